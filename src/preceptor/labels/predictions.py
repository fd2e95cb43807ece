"""Predictions that exist already, as logits for the training samples of some data."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from preceptor.data import Data
from preceptor.divergences import as_logits
from preceptor.errors import UsageError
from preceptor.labels.prediction_files import Kind, Predictions
from preceptor.messages import first_few

__all__ = ["logits_of_samples"]

_KEY = "predictions"
_SUM = 0.02  # how far a row of probabilities may be from 1: they were rounded
_FILE = "file"  # the ids of image folders, whatever the column is called


def logits_of_samples(
    predictions: Predictions,
    data: Data,
    *,
    id_column: str | None = None,
    kind: Kind | None = None,
    tell: Callable[[str], None],
) -> Float[Tensor, "samples classes"]:
    """Return the logits that predictions mean, float32, one row per training sample.

    Args:
        predictions: a row per sample of the source (training and held-out ones, in the order of its file), or per training
            sample; with ids, in any order.
        data: whose training samples they belong to.
        id_column: what the ids are called, for data that have a column of that name.
        kind: what the numbers are; None: as the file says, else probabilities where each row is a distribution.
        tell: hears what was decided.

    Raises:
        UsageError: for other classes, rows that are missing, there twice, of no sample or not finite, and probabilities that
            are none: the row is named.
    """
    order = _columns(predictions, data, tell)
    values = predictions.values if order is None else predictions.values[:, order]
    rows = _by_number(predictions, data, tell) if predictions.ids is None else _by_id(predictions, data, id_column)
    values = values[rows]
    bad = ~np.isfinite(values).all(1)
    if bad.any():
        place = int(np.argmax(bad))
        numbers = ", ".join(f"{value:g}" for value in values[place][~np.isfinite(values[place])][:1])
        raise UsageError(f"{_KEY}: {predictions.name}: {predictions.row(int(rows[place]))} holds {numbers}")
    is_multilabel = data.task == "multilabel"
    chosen = kind or predictions.kind or _detected(values, predictions, rows, tell, is_multilabel=is_multilabel)
    found = torch.from_numpy(values)
    if chosen == "probabilities":
        _check_probabilities(values, predictions, rows, is_multilabel=is_multilabel)
        one = values.shape[1] == 1
        found = as_logits(found, is_multilabel=is_multilabel or one)
    if found.shape[1] < data.num_classes:
        found = functional.pad(found, (1, 0))  # one output is the log-odds of the second of two classes
    return found.float()


def _columns(predictions: Predictions, data: Data, tell: Callable[[str], None]) -> list[int] | None:
    """Return the column of each class; None: they are in the data's order."""
    columns, names = predictions.columns, data.class_names
    count = predictions.values.shape[1]
    if not columns:
        if count != data.num_classes and not (count == 1 and data.num_classes == 2):
            raise UsageError(
                f"{_KEY}: {predictions.name} has {count} columns, and data {data.name} has {data.num_classes} classes: "
                f"{first_few(names, 5)}"
            )
        return None
    shared = len(os.path.commonprefix(columns))  # noqa: RUF071  (of texts, not of paths)
    for own in (columns, tuple(name[shared:] for name in columns)):
        if set(own) == set(names) and len(own) == len(names):
            order = [own.index(name) for name in names]
            return None if order == list(range(len(names))) else order
    if [name[shared:] for name in columns] == list(map(str, range(len(names)))):
        tell(f"{_KEY}: columns {first_few(columns)} are the classes in their order: {first_few(names)}")
        return None
    extra = [name for name in columns if name not in names]
    missing = [name for name in names if name not in columns]
    words = [f"only there: {first_few(extra)}"] if extra else []
    words += [f"only here: {first_few(missing)}"] if missing else []
    hint = f"; {_KEY}.id={extra[0]} if that names the samples" if len(extra) == 1 and not missing else ""
    raise UsageError(
        f"{_KEY}: {predictions.name} has {len(columns)} columns, which are not the {len(names)} classes of data {data.name} "
        f"({'; '.join(words)}){hint}"
    )


def _by_number(predictions: Predictions, data: Data, tell: Callable[[str], None]) -> NDArray[np.int64]:
    count, train, source = len(predictions.values), len(data.train), data.source_samples
    numbers = torch.arange(train) if data.train.numbers is None else data.train.numbers
    if count == source:
        if source != train:
            tell(f"{_KEY}: a row for each of the {source:,} samples of {data.name}; those of training are taken")
        return numbers.numpy()
    if count == train:
        tell(f"{_KEY}: a row for each of the {train:,} training samples, in their order")
        return np.arange(train)
    raise UsageError(
        f"{_KEY}: {predictions.name} has {count:,} rows, and data {data.name} has {source:,} samples, {train:,} of them for "
        f"training; give one row for each, or a column of ids: {_KEY}.id=COLUMN"
    )


def _by_id(predictions: Predictions, data: Data, id_column: str | None) -> NDArray[np.int64]:
    assert predictions.ids is not None
    numbers = torch.arange(len(data.train)) if data.train.numbers is None else data.train.numbers
    stated = data.ids.get(str(id_column), data.ids.get(_FILE))
    known = [str(number) for number in range(data.source_samples)] if stated is None else _texts(stated)
    what = f"the samples of {data.name} are called {first_few(known)}"
    twice = [name for name, count in Counter(known).items() if count > 1]
    if twice:
        raise UsageError(f"{_KEY}.id: {id_column} is no id: two samples of {data.name} are called {twice[0]!r}")
    if stated is None and not all(re.fullmatch(r"\d+", each) for each in predictions.ids) and data.ids:
        columns = first_few(list(data.ids))
        raise UsageError(
            f"{_KEY}.id: data {data.name} has no column {id_column!r} that names its samples; it has {columns}"
        )
    places: dict[str, int] = {}
    for place, each in enumerate(predictions.ids):
        if each in places:
            raise UsageError(
                f"{_KEY}: {predictions.name}: id {each} is there twice, in rows {predictions.first_row + places[each]} and "
                f"{predictions.first_row + place}"
            )
        places[each] = place
    samples = set(known)
    foreign = next((place for place, each in enumerate(predictions.ids) if each not in samples), None)
    if foreign is not None:
        raise UsageError(f"{_KEY}: {predictions.name}: {predictions.row(foreign)} is of no sample; {what}")
    wanted = [known[number] for number in numbers.tolist()]
    missing = [each for each in wanted if each not in places]
    if missing:
        raise UsageError(
            f"{_KEY}: {predictions.name}: no row has the id {missing[0]} of a training sample; {len(missing):,} of "
            f"{len(wanted):,} are missing"
        )
    return np.array([places[each] for each in wanted])


def _texts(values: Sequence[str | None] | NDArray[Any]) -> list[str]:
    return [os.fsdecode(each) if isinstance(each, bytes) else "" if each is None else str(each) for each in values]


def _are_distributions(values: NDArray[np.float64], *, is_multilabel: bool) -> NDArray[np.bool_]:
    """Return which rows are distributions, or lie in [0, 1] where classes do not exclude each other, or one is stated."""
    sums = np.ones(len(values)) if is_multilabel or values.shape[1] == 1 else values.sum(1)
    found: NDArray[np.bool_] = (values.min(1) >= 0) & (values.max(1) <= 1 + _SUM) & (np.abs(sums - 1) <= _SUM)
    return found


def _detected(
    values: NDArray[np.float64],
    predictions: Predictions,
    rows: NDArray[np.int64],
    tell: Callable[[str], None],
    *,
    is_multilabel: bool,
) -> Kind:
    """Return what predictions are, judged by their rows.

    Raises:
        UsageError: when most rows are distributions, and some are not.
    """
    looks = _are_distributions(values, is_multilabel=is_multilabel)
    if looks.all():
        why = "all lie in [0, 1]" if is_multilabel or values.shape[1] == 1 else "each row sums to 1"
        tell(f"{_KEY}: read as probabilities, because {why}; {_KEY}.kind=logits changes that")
        return "probabilities"
    if looks.mean() > 0.5:
        place = int(np.argmin(looks))
        raise UsageError(
            f"{_KEY}: {predictions.name}: most rows are probabilities, but {predictions.row(int(rows[place]))} is not: its sum "
            f"is {values[place].sum():.4g}; {_KEY}.kind=logits if these are logits"
        )
    tell(f"{_KEY}: read as logits, because rows are no distributions; {_KEY}.kind=probabilities changes that")
    return "logits"


def _check_probabilities(
    values: NDArray[np.float64], predictions: Predictions, rows: NDArray[np.int64], *, is_multilabel: bool
) -> None:
    looks = _are_distributions(values, is_multilabel=is_multilabel)
    if looks.all():
        return
    place = int(np.argmin(looks))
    sums = "" if is_multilabel or values.shape[1] == 1 else f" with the sum {values[place].sum():.4g}"
    low, high = values[place].min(), values[place].max()
    raise UsageError(
        f"{_KEY}: {predictions.name}: {predictions.row(int(rows[place]))} is no distribution: values from {low:.4g} to "
        f"{high:.4g}{sums}; {_KEY}.kind=logits if these are logits"
    )
