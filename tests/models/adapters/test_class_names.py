from __future__ import annotations

from types import SimpleNamespace

import pytest
from torch import nn

from preceptor.models import class_names_of, rename_config
from preceptor.models.adapters.class_names import config_names, timm_names


@pytest.mark.parametrize(
    ("id2label", "label2id", "expected"),
    [
        ({0: "cat", 1: "dog"}, {"cat": 0, "dog": 1}, ("cat", "dog")),
        ({"1": "dog", "0": "cat"}, {}, ("cat", "dog")),
        ({0: "LABEL_0", 1: "LABEL_1"}, {"LABEL_0": 0, "LABEL_1": 1}, ()),
        ({0: "LABEL_0", 1: "LABEL_1"}, {"dog": 0, "cat": 1}, ("dog", "cat")),
        ({1: "cat", 2: "dog"}, {}, ()),
        (None, {}, ()),
    ],
)
def test_names_of_a_configuration(
    id2label: dict[int, str] | None, label2id: dict[str, int], expected: tuple[str, ...]
) -> None:
    assert config_names(SimpleNamespace(id2label=id2label, label2id=label2id)) == expected
    assert config_names(SimpleNamespace(width=3)) == ()


def test_names_of_timm_are_taken_where_they_are_as_many_as_its_classes() -> None:
    assert timm_names({"label_names": ["cat", "dog"]}, 2) == ("cat", "dog")
    assert timm_names({"label_names": ["cat", "dog"]}, 10) == ()
    assert timm_names({"label_names": None}, 2) == timm_names(None, 2) == ()


def test_names_are_written_where_there_were_some() -> None:
    network = nn.Linear(3, 2)
    assert class_names_of(network) == ()
    rename_config(network, ("cat", "dog"))
    assert "config" not in vars(network)
    network.config = SimpleNamespace(id2label={0: "a", 1: "b"}, label2id={})  # type: ignore[assignment]
    rename_config(network, ("cat", "dog"))
    assert class_names_of(network) == ("cat", "dog")
    network = nn.Linear(3, 2)
    network.pretrained_cfg, network.num_classes = {"label_names": ["a", "b"]}, 2  # type: ignore[assignment]
    rename_config(network, ("cat", "dog"))
    assert class_names_of(network) == ("cat", "dog")
