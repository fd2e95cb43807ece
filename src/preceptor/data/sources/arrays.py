"""Samples that lie in arrays: an .npz file, or what somebody passes from Python."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from preceptor.data.dataset import Normalisation, Source, held_out
from preceptor.data.sources.stream import Stream, read_whole
from preceptor.data.split import Arrays, Items, Split, as_labels
from preceptor.errors import UsageError

__all__ = ["Pair", "npz", "source_of"]

Array = NDArray[Any] | Tensor
Pair = tuple[Array, Array]
_TEST_SHARE = 0.2
_SUFFIXES = {"train": ("_train",), "test": ("_test",), "validation": ("_val", "_validation")}


def npz(*, path: str) -> Source:
    """Arrays x, y (and p, the true label distribution) in an .npz; or x_train, y_train, x_test, y_test (, x_val, y_val).

    Labels are one class a sample, or multi-label: zeros and ones [samples, classes]. Inputs are uint8 images, channels first
    or last, or floating-point arrays.

    Args:
        path: the file.
    """
    file = Path(path).expanduser()
    if file.suffix == ".npy":
        raise UsageError(f"data.path: {file}: one array has no labels; save x and y with numpy.savez")
    if not file.exists():
        raise UsageError(f"data.path: {file}: no such file")
    try:
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise UsageError(f"data {file}: cannot be read ({' '.join(str(error).split())})") from error
    where = f"npz:{file}"
    if {"x", "y"} <= set(arrays):
        return _cut(where, _split(arrays, "", where))
    if not {"x_train", "y_train", "x_test", "y_test"} <= set(arrays):
        found = ", ".join(arrays) or "nothing"
        raise UsageError(f"data {file}: needs x, y or x_train, y_train, x_test, y_test; it has {found}")
    held = next((suffix for suffix in _SUFFIXES["validation"] if f"x{suffix}" in arrays), None)
    validation = None if held is None else _split(arrays, held, where)
    return _source(where, _split(arrays, "_train", where), _split(arrays, "_test", where), validation)


def source_of(given: Dataset[Any] | Pair | Mapping[str, Any]) -> Source:
    """Return the source that objects from Python make.

    Args:
        given: a torch Dataset of (input, label); an (inputs, labels) pair of arrays or tensors; or a mapping of "train",
            "test" and perhaps "validation" to these. Without a test part, a fifth is split off. An IterableDataset is read
            as it comes where it is "train", and into memory elsewhere.

    Raises:
        UsageError: for anything else, and for labels that are no classes.
    """
    if isinstance(given, Mapping):
        if not {"train", "test"} <= set(given) <= {"train", "test", "validation"}:
            raise UsageError(f"data: the mapping has {', '.join(map(str, given))}; it takes train, test and validation")
        validation = given.get("validation")
        held = None if validation is None else _part(validation)
        return _source("python", _part(given["train"], may_stream=True), _part(given["test"]), held)
    if isinstance(given, IterableDataset | Stream):
        raise UsageError("data: no test part can be split off a stream; pass {'train': stream, 'test': ...}")
    return _cut("python", _part(given))


def _part(given: object, *, may_stream: bool = False) -> Split:
    if isinstance(given, IterableDataset):
        given = Stream(given)
    if isinstance(given, Stream):
        return given if may_stream else read_whole(given)
    if isinstance(given, Split):
        return given
    if isinstance(given, tuple | list) and len(given) == 2:
        return _split({"x": _numbers(given[0]), "y": _numbers(given[1])}, "", "data")
    if isinstance(given, Dataset):
        return Items(given)
    raise UsageError(
        f"data: cannot use an object of type {type(given).__name__}; pass a name, a Dataset, or (inputs, labels)"
    )


def _split(arrays: Mapping[str, NDArray[Any]], suffix: str, where: str) -> Arrays:
    labels = as_labels(arrays[f"y{suffix}"], where)
    inputs, truth = _inputs(arrays[f"x{suffix}"], where), arrays.get(f"p{suffix}")
    if truth is not None and labels.ndim == 2:
        raise UsageError(f"{where}: p is a distribution over classes, and multi-label samples have none")
    return Arrays(inputs, labels, None if truth is None else _truth(truth, len(labels), where))


def _numbers(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _truth(values: NDArray[Any], samples: int, where: str) -> Tensor:
    if values.ndim != 2 or len(values) != samples or values.dtype.kind != "f":
        raise UsageError(
            f"{where}: p is {values.dtype} {values.shape}, expected one distribution for each of {samples}"
        )
    bad = ~((values >= 0).all(1) & (np.abs(values.sum(1) - 1) < 1e-3))
    if bad.any():
        row = int(np.argmax(bad))
        raise UsageError(f"{where}: p of sample {row} is no distribution: it sums to {values[row].sum():.4g}")
    return torch.from_numpy(values).float()


def _inputs(values: NDArray[Any], where: str) -> Tensor:
    if values.dtype != np.uint8:
        if values.dtype.kind not in "iuf" or values.ndim < 2:
            raise UsageError(f"{where}: inputs are {values.dtype} {values.shape}, expected one numeric row a sample")
        bad = ~np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        if bad.any():
            raise UsageError(f"{where}: inputs of sample {int(np.argmax(bad))} are not finite")
        return torch.from_numpy(np.ascontiguousarray(_channels_first(values), dtype=np.float32))
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim != 4 or not {values.shape[1], values.shape[3]} & {1, 3}:
        raise UsageError(f"{where}: uint8 inputs of shape {values.shape} are no images with 1 or 3 channels")
    return torch.from_numpy(np.ascontiguousarray(_channels_first(values)))


def _channels_first(values: NDArray[Any]) -> NDArray[Any]:
    """Return images whose last axis is plainly the colours, 1 or 3, with that axis first; anything else as it is."""
    is_last = values.ndim == 4 and values.shape[3] in {1, 3} and values.shape[1] not in {1, 3}
    return values.transpose(0, 3, 1, 2) if is_last else values


def _cut(name: str, whole: Split) -> Source:
    rows = held_out(whole.labels, round(_TEST_SHARE * len(whole)), 0, stream=9)
    is_test = torch.zeros(len(whole), dtype=torch.bool)
    is_test[rows] = True
    return _source(name, whole.take(torch.nonzero(~is_test).flatten()), whole.take(rows), None, is_cut=True)


def _source(name: str, train: Split, test: Split, validation: Split | None, *, is_cut: bool = False) -> Source:
    parts = [part for part in (train, test, validation) if part is not None]
    if min(len(train), len(test)) == 0:
        raise UsageError(f"{name}: {len(train)} training and {len(test)} test samples; both are needed")
    widths = {part.truth.shape[1] for part in parts if part.truth is not None}
    num_classes = max(*_num_classes(parts, name), *widths, 2)
    if widths - {num_classes}:
        raise UsageError(f"{name}: p has {min(widths)} classes, the labels and the other parts {num_classes}")
    normalisation, is_vectors = _normalisation(train)
    described = ("inputs are normalised by the training samples' own mean and std",) if normalisation.mean else ()
    return Source(
        name=name,
        train=train,
        test=test,
        validation=validation,
        class_names=tuple(str(k) for k in range(num_classes)),
        normalisation=normalisation,
        protocol="vectors" if is_vectors else "default",
        notes=(*_unseen(train, num_classes), *described),
        is_cut=is_cut,
    )


def _num_classes(parts: list[Split], name: str) -> set[int]:
    """Return how many classes the labels of the parts show."""
    widths = {part.labels.shape[1] if part.labels.ndim == 2 else 0 for part in parts}
    if len(widths) > 1:
        kinds = " and ".join(f"zeros and ones for {width}" if width else "one class" for width in sorted(widths))
        raise UsageError(f"{name}: the parts have labels of different kinds: {kinds}; they must be alike")
    if widths != {0}:
        return widths
    return {1 + max(int(part.labels.max()) for part in parts if len(part))}


def _unseen(train: Split, num_classes: int) -> tuple[str, ...]:
    """Return a note on classes without training samples, where there are any: labels may not count from 0."""
    if train.labels.ndim == 2 or not train.has_rows:
        return ()
    unseen = torch.nonzero(torch.bincount(train.labels, minlength=num_classes) == 0).flatten().tolist()
    few = ", ".join(map(str, unseen[:5])) + ", ..." * (len(unseen) > 5)
    return (f"labels: of {num_classes} classes, no training sample has {few}",) if unseen else ()


def _normalisation(train: Split) -> tuple[Normalisation, bool]:
    """Return per-channel statistics of arrays; a Dataset's inputs are taken as its owner made them."""
    if not isinstance(train, Arrays):
        return Normalisation(), train.inputs(torch.tensor([0])).ndim == 2
    values = train.values.float() / 255 if train.values.dtype == torch.uint8 else train.values
    others = [axis for axis in range(values.ndim) if axis != 1]
    mean, std = values.mean(others), values.std(others)
    return Normalisation(tuple(mean.tolist()), tuple(std.clamp_min(1e-6).tolist())), values.ndim == 2
