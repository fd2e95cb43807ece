"""The sources by name; the options of a source are its signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preceptor.lazy import LazyImport

if TYPE_CHECKING:
    from collections.abc import Callable

    from preceptor.data.dataset import Source

__all__ = ["SOURCES", "names"]

SOURCES: dict[str, LazyImport[Callable[..., Source]]] = {
    "digits": LazyImport("preceptor.data.sources.digits:digits"),
    "ambiguous_digits": LazyImport("preceptor.data.sources.digits:ambiguous_digits"),
    "gaussian": LazyImport("preceptor.data.sources.gaussian:gaussian"),
    "mixed_features": LazyImport("preceptor.data.sources.mixed_features:mixed_features"),
    "cifar10": LazyImport("preceptor.data.sources.cifar:cifar10"),
    "cifar100": LazyImport("preceptor.data.sources.cifar:cifar100"),
    "folder": LazyImport("preceptor.data.sources.folders:folder"),
    "npz": LazyImport("preceptor.data.sources.arrays:npz"),
    "table": LazyImport("preceptor.data.sources.tables:table"),
    "hf": LazyImport("preceptor.data.sources.hf_data:hf"),
    "wds": LazyImport("preceptor.data.sources.shards:wds"),
    "text": LazyImport("preceptor.data.sources.texts:text"),
}


def names() -> dict[str, str]:
    """Return each source's name and the first line of its description."""
    return {name: source.doc().splitlines()[0] for name, source in SOURCES.items()}
