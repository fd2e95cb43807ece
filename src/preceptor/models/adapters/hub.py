"""The Hugging Face Hub kept out: its client looks in its cache alone, and no configuration names code for it to load."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from preceptor.errors import UsageError

__all__ = ["check_config", "offline"]

_KERNELS = "attn_implementation", "experts_implementation"  # ends of keys whose value may be a repository of kernels
_NETWORKS = "architecture", "backbone"  # of timm, where a prefix names a repository or a folder
_PICKLES = ("checkpoint_path",)  # of timm, some versions of which run what a checkpoint says


@contextmanager
def offline() -> Iterator[None]:
    """Let the hub's client look in its cache alone."""
    constants: Any = importlib.import_module("huggingface_hub.constants")
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def check_config(title: str, values: Mapping[str, Any], where: str = "") -> None:
    """Check that a configuration of transformers names nothing that is fetched or run to make its network.

    Args:
        title: what the user called the network.
        values: the configuration.
        where: prefix of its keys.

    Raises:
        UsageError: when it does: the key.
    """
    for key, value in values.items():
        texts = [value] if isinstance(value, str) else list(value.values()) if isinstance(value, Mapping) else []
        names = [text for text in texts if isinstance(text, str)]
        is_code = (
            (str(key).endswith(_KERNELS) and any("/" in name or ":" in name for name in names))
            or (key in _NETWORKS and any(":" in name for name in names))
            or (key in _PICKLES and value is not None)
        )
        if is_code:
            raise UsageError(
                f"model: {title}: its configuration sets {where}{key}={value}, which loads code; delete that key"
            )
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, Mapping):
                check_config(title, inner, f"{where}{key}.")
