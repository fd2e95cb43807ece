"""A data set by the name of its source, or from Python objects."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from preceptor.data.assemble import assemble
from preceptor.data.dataset import Data, Source
from preceptor.data.images.images import PHOTOGRAPHS
from preceptor.data.sources.arrays import Pair, source_of
from preceptor.data.sources.registry import SOURCES
from preceptor.data.sources.table_fit import TableFit
from preceptor.errors import UsageError
from preceptor.messages import did_you_mean
from preceptor.signature import check_hyperparameters, default_hyperparameters
from preceptor.types import Preprocessing

__all__ = ["check_source", "from_objects", "load"]


def load(
    name: str,
    *,
    validation: float | None = None,
    limit: int | None = None,
    test_limit: int | None = None,
    split_seed: int = 0,
    labelled_fraction: float | None = None,
    options: Mapping[str, Any] | None = None,
    fit: TableFit | None = None,
    preprocessing: Preprocessing | None = None,
    trained_on: Collection[str] | None = None,
) -> Data:
    """Return a data set by name, cut into train, validation and test.

    Args:
        name: one of `registry.names()`; `folder:PATH`, `npz:PATH`, ... are short for their option `path`.
        validation: share of train to hold out, stratified; None: the source's own share.
        limit: train on this many samples.
        test_limit: validate and test on at most this many.
        split_seed: of all these choices.
        labelled_fraction: share of the training samples whose labels are known; the others become `Data.pool`.
        options: of the source.
        fit: default of the option `fit`, for a source that has it.
        preprocessing: of a network; default of the options `size`, `centre` and `in_memory`, for a source that has them, so
            that the network sees images as in training.
        trained_on: as for `assemble`.

    Raises:
        UsageError: for an unknown name or option, and for anything wrong with the files.

    Examples:
        >>> data = load("digits", limit=100)
        >>> len(data.train), data.num_classes, data.input_shape
        (100, 10, (1, 8, 8))
    """
    make, path = _named(name)
    own = default_hyperparameters(make)
    fitted = {"fit": fit.as_dict()} if fit is not None and "fit" in own else {}
    cropped = _crop(preprocessing) if preprocessing is not None and {"size", "centre"} <= set(own) else {}
    added = {key: value for key, value in cropped.items() if (options or {}).get(key) is None}
    source = make(**_checked(make, {**fitted, **(options or {}), **added, **path}))
    if added and source.preprocessing.channels is not None:
        words = ", ".join(f"data.{key}={value}".lower() for key, value in added.items())
        source = replace(source, notes=(*source.notes, f"{words}, as the network was trained"))
    return assemble(
        source,
        validation=validation,
        limit=limit,
        test_limit=test_limit,
        split_seed=split_seed,
        labelled_fraction=labelled_fraction,
        trained_on=trained_on,
    )


def check_source(name: str, options: Mapping[str, Any]) -> None:
    """Check a source's name and options without reading any data.

    Raises:
        UsageError: for an unknown name, an unknown or missing option, or a value of the wrong type.
    """
    make, path = _named(name)
    _checked(make, {**options, **path})


def from_objects(
    samples: Dataset[Any] | Pair | Mapping[str, Any],
    *,
    validation: float | None = None,
    limit: int | None = None,
    split_seed: int = 0,
    trained_on: Collection[str] | None = None,
    normalise: bool | None = None,
) -> Data:
    """Return a data set from Python objects: see `source_of` for these and `normalise`, `load` for the rest."""
    return assemble(
        source_of(samples, normalise=normalise),
        validation=validation,
        limit=limit,
        test_limit=None,
        split_seed=split_seed,
        trained_on=trained_on,
    )


def _named(name: str) -> tuple[Callable[..., Source], dict[str, str]]:
    """Return what makes a source, and the option that its name holds, if it holds one."""
    kind, colon, path = name.partition(":")
    if kind not in SOURCES:
        raise UsageError(f"data: unknown name {name!r}{did_you_mean(kind, SOURCES)}")
    if colon and not path:
        raise UsageError(f"data: {name!r} names no path; write {kind}:PATH")
    return SOURCES[kind].load(), {"path": path} if colon else {}


def _checked(make: Callable[..., Source], options: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: _plain(value) for key, value in options.items()}
    # a column or a folder may be called 5
    return check_hyperparameters(make, plain, "data", numbers_as_text=True)


def _crop(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return the options that make images what a network was trained on; an oblong size has none."""
    if preprocessing.size is None or len(set(preprocessing.size)) > 1:
        return {}
    was_in_memory = preprocessing.mean != PHOTOGRAPHS[0]  # then by their own mean; so the same images are known again
    options = {"size": preprocessing.size[0], "centre": preprocessing.centre}
    return {**options, "in_memory": True} if was_in_memory else options


def _plain(value: Any) -> Any:
    """Return an array as a list and a path as text, as they would come from a configuration."""
    if isinstance(value, np.ndarray | np.generic | Tensor):
        return value.tolist()
    return str(value) if isinstance(value, PathLike) else value
