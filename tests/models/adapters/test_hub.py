"""A configuration that names code is refused; the hub's client stays offline, and is as before afterwards."""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import Any

import pytest

from preceptor.errors import UsageError
from preceptor.models.adapters.hub import check_config, offline


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"attn_implementation": "kernels-community/flash-attn"}, "attn_implementation="),
        ({"_attn_implementation": "a/b@main:f"}, "_attn_implementation="),
        ({"attn_implementation": {"text_config": "a/b"}}, "attn_implementation="),
        ({"text_config": {"experts_implementation": "a/b"}}, "text_config.experts_implementation="),
        ({"layers": [{"attn_implementation": "a/b"}]}, "layers.attn_implementation="),
        ({"architecture": "hf-hub:a/b"}, "architecture=hf-hub:a/b"),
        ({"backbone": "local-dir:/tmp/x"}, "backbone=local-dir:/tmp/x"),
        ({"model_args": {"checkpoint_path": "x.pth"}}, "model_args.checkpoint_path=x.pth"),
    ],
)
def test_what_loads_code_is_named(values: dict[str, Any], key: str) -> None:
    with pytest.raises(UsageError, match=r"hf:x: its configuration sets .*, which loads code") as caught:
        check_config("hf:x", values)
    assert key in str(caught.value)


def test_what_loads_none_is_accepted() -> None:
    check_config(
        "hf:x",
        {
            "attn_implementation": "sdpa",
            "_attn_implementation": None,
            "architecture": "resnet18",
            "id2label": {"0": "a/b"},
        },
    )


def test_the_client_is_offline_for_a_while() -> None:
    pytest.importorskip("huggingface_hub")
    constants: Any = importlib.import_module("huggingface_hub.constants")
    before = constants.HF_HUB_OFFLINE
    with offline():
        assert constants.HF_HUB_OFFLINE is True
    with suppress(ZeroDivisionError), offline():
        raise ZeroDivisionError
    assert constants.HF_HUB_OFFLINE is before
