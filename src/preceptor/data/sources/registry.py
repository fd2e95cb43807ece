"""The sources by name; a source's signature is its options."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from os import PathLike
from typing import Any, get_type_hints

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor
from torch.utils.data import Dataset

from preceptor.data.dataset import Data, Source, assemble
from preceptor.data.sources.arrays import Pair, npz, source_of
from preceptor.data.sources.cifar import cifar10, cifar100
from preceptor.data.sources.digits import ambiguous_digits, digits
from preceptor.data.sources.folders import folder
from preceptor.data.sources.gaussian import gaussian
from preceptor.data.sources.hf_data import hf
from preceptor.data.sources.mixed_features import mixed_features
from preceptor.data.sources.shards import wds
from preceptor.data.sources.table_fit import TableFit
from preceptor.data.sources.tables import table
from preceptor.data.sources.texts import text
from preceptor.errors import UsageError

__all__ = ["SOURCES", "from_objects", "load", "names"]

_LENIENT = ConfigDict(coerce_numbers_to_str=True)  # a column or a folder may be called 5

SOURCES: dict[str, Callable[..., Source]] = {
    "digits": digits,
    "ambiguous_digits": ambiguous_digits,
    "gaussian": gaussian,
    "mixed_features": mixed_features,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "folder": folder,
    "npz": npz,
    "table": table,
    "hf": hf,
    "wds": wds,
    "text": text,
}


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
    trained_on: Collection[str] | None = None,
) -> Data:
    """Return a data set by name, cut into train, validation and test.

    Args:
        name: one of `names()`; `folder:PATH`, `npz:PATH`, ... are short for their option `path`.
        validation: share of train to hold out, stratified; None: the source's own share.
        limit: train on this many samples.
        test_limit: validate and test on at most this many.
        split_seed: of these choices.
        labelled_fraction: share of the training samples whose labels are known; the others become `Data.pool`.
        options: of the source.
        fit: stands in for the option `fit`, where the source has it and it was not given.
        trained_on: as for `assemble`, where networks are measured.

    Raises:
        UsageError: for an unknown name or option, and for anything wrong with the files.

    Example:
        >>> data = load("digits", limit=100)
        >>> len(data.train), data.num_classes, data.input_shape
        (100, 10, (1, 8, 8))
    """
    kind, colon, path = name.partition(":")
    if kind not in SOURCES:
        near = difflib.get_close_matches(kind, SOURCES, n=3, cutoff=0.5)
        raise UsageError(f"data: unknown name {name!r}; did you mean {' or '.join(near) or ', '.join(SOURCES)}?")
    if colon and not path:
        raise UsageError(f"data: {name!r} names no path; write {kind}:PATH")
    make = SOURCES[kind]
    hyperparameters = inspect.signature(make).parameters
    fitted = {"fit": fit.as_dict()} if fit is not None and "fit" in hyperparameters else {}
    given = {**fitted, **(options or {}), **({"path": path} if colon else {})}
    unknown = sorted(set(given) - set(hyperparameters))
    if unknown:
        raise UsageError(f"data.{unknown[0]}: {kind} has no such key; it has {', '.join(hyperparameters) or 'none'}")
    needed = [
        key
        for key, hyperparameter in hyperparameters.items()
        if hyperparameter.default is inspect.Parameter.empty and key not in given
    ]
    if needed:
        raise UsageError(f"data.{needed[0]}: is needed by {kind} and was not given")
    return assemble(
        make(**_checked(make, given)),
        validation=validation,
        limit=limit,
        test_limit=test_limit,
        split_seed=split_seed,
        labelled_fraction=labelled_fraction,
        trained_on=trained_on,
    )


def from_objects(
    given: Dataset[Any] | Pair | Mapping[str, Any],
    *,
    validation: float | None = None,
    limit: int | None = None,
    split_seed: int = 0,
    trained_on: Collection[str] | None = None,
) -> Data:
    """Return a data set from objects: see `source_of` for what is taken; the rest is as for `load`."""
    return assemble(
        source_of(given),
        validation=validation,
        limit=limit,
        test_limit=None,
        split_seed=split_seed,
        trained_on=trained_on,
    )


def _checked(make: Callable[..., Source], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as the source's signature has them.

    Raises:
        UsageError: for one of another type.
    """
    hints, checked = get_type_hints(inspect.unwrap(make)), {}
    for key, value in given.items():
        plain = value.tolist() if isinstance(value, np.ndarray | np.generic | Tensor) else value
        try:
            checked[key] = TypeAdapter(hints[key], config=_LENIENT).validate_python(
                str(plain) if isinstance(plain, PathLike) else plain
            )
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise UsageError(f"data.{key}: {reason[0].lower()}{reason[1:]}, got {value!r}") from error
    return checked


def names() -> dict[str, str]:
    """Return each source's name and the first line of its description."""
    return {name: (make.__doc__ or "").strip().splitlines()[0] for name, make in SOURCES.items()}
