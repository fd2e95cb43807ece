"""Samples in arrays: an .npz file, or objects passed from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from preceptor.data.dataset import Source
from preceptor.data.sources.npz_files import read_npz
from preceptor.data.sources.stream import Stream, read_all
from preceptor.data.split import Arrays, Items, Split, as_labels, count_classes
from preceptor.data.stratify import split_off_test
from preceptor.errors import UsageError
from preceptor.types import Preprocessing

__all__ = ["Pair", "npz", "source_of"]

Array = NDArray[Any] | Tensor
Pair = tuple[Array, Array]
_VALIDATION_SUFFIXES = ("_val", "_validation")
_STD_OF_NORMALISED = (0.1, 5.0)  # of each channel, if other data's statistics were used, too
_MEAN_OF_NORMALISED = 2.5  # at most, either way


def npz(*, path: str, normalise: bool | None = None) -> Source:
    """Arrays x, y (and p, the true label distribution) in an .npz; or x_train, y_train, x_test, y_test (, x_val, y_val).

    Labels are one class per sample, or multi-label: zeros and ones [samples, classes]. Inputs are uint8 images, channels first
    or last, or floating-point arrays.

    Args:
        path: the file.
        normalise: whether inputs are normalised by the training samples' own mean and std; by default uint8, vectors, and
            floats that are not normalised already are.
    """
    file = Path(path).expanduser()
    if file.suffix == ".npy":
        raise UsageError(f"data.path: {file}: one array has no labels; save x and y with numpy.savez")
    arrays = read_npz(file, "data.path")
    where = f"npz:{file}"
    if {"x", "y"} <= set(arrays):
        source = _source(where, *split_off_test(_split(arrays, "", where)), None, normalise, is_cut=True)
        return _with_unused(source, arrays, ("",))
    if not {"x_train", "y_train", "x_test", "y_test"} <= set(arrays):
        names = ", ".join(arrays) or "nothing"
        raise UsageError(f"data {file}: needs x, y or x_train, y_train, x_test, y_test; it has {names}")
    suffix = next((suffix for suffix in _VALIDATION_SUFFIXES if f"x{suffix}" in arrays), None)
    validation = None if suffix is None else _split(arrays, suffix, where)
    source = _source(where, _split(arrays, "_train", where), _split(arrays, "_test", where), validation, normalise)
    return _with_unused(source, arrays, ("_train", "_test", *([suffix] if suffix else [])))


def source_of(samples: Dataset[Any] | Pair | Mapping[str, Any], *, normalise: bool | None = None) -> Source:
    """Return the source that objects from Python make.

    Args:
        samples: a torch Dataset of (input, label); an (inputs, labels) pair of arrays or tensors; or a mapping of "train",
            "test" and optionally "validation" to these. Without a test split, a fifth is split off. An IterableDataset is
            streamed as "train", and read into memory otherwise.
        normalise: as for `npz`.

    Raises:
        UsageError: for anything else, and for labels that are no classes.
    """
    if isinstance(samples, Mapping):
        if not {"train", "test"} <= set(samples) <= {"train", "test", "validation"}:
            keys = ", ".join(map(str, samples))
            raise UsageError(f"data: the mapping has {keys}; it takes train, test and validation")
        validation = samples.get("validation")
        return _source(
            "python",
            _split_of(samples["train"], may_stream=True),
            _split_of(samples["test"]),
            None if validation is None else _split_of(validation),
            normalise,
        )
    if isinstance(samples, IterableDataset | Stream):
        raise UsageError("data: a stream has no test split to split off; pass {'train': stream, 'test': ...}")
    return _source("python", *split_off_test(_split_of(samples)), None, normalise, is_cut=True)


def _with_unused(source: Source, arrays: Mapping[str, NDArray[Any]], suffixes: Sequence[str]) -> Source:
    """Return a source with a note on the arrays of its file that are not read, if there are any."""
    unused = [name for name in arrays if name not in {f"{kind}{suffix}" for kind in "xyp" for suffix in suffixes}]
    note = f"npz: not used: {', '.join(unused)}"
    return replace(source, notes=(*source.notes, note)) if unused else source


def _split_of(samples: object, *, may_stream: bool = False) -> Split:
    if isinstance(samples, DataLoader):
        raise UsageError("data: a DataLoader makes batches of its own; pass what it reads, loader.dataset")
    if isinstance(samples, IterableDataset):
        samples = Stream(samples)
    if isinstance(samples, Stream):
        return samples if may_stream else read_all(samples)
    if isinstance(samples, Split):
        return samples
    if isinstance(samples, tuple | list) and len(samples) == 2:
        return _split({"x": _numbers(samples[0]), "y": _numbers(samples[1])}, "", "data")
    if isinstance(samples, Dataset):
        return Items(samples)
    raise UsageError(
        f"data: cannot use an object of type {type(samples).__name__}; pass a name, a Dataset, or (inputs, labels)"
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
            raise UsageError(f"{where}: inputs are {values.dtype} {values.shape}, expected one numeric row per sample")
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
    """Return images whose last axis is clearly the channels, 1 or 3, channels first; anything else as it is."""
    is_last = values.ndim == 4 and values.shape[3] in {1, 3} and values.shape[1] not in {1, 3}
    return values.transpose(0, 3, 1, 2) if is_last else values


def _source(
    name: str, train: Split, test: Split, validation: Split | None, normalise: bool | None, *, is_cut: bool = False
) -> Source:
    splits = [split for split in (train, test, validation) if split is not None]
    if min(len(train), len(test)) == 0:
        raise UsageError(f"{name}: {len(train)} training and {len(test)} test samples; both are needed")
    widths = {split.truth.shape[1] for split in splits if split.truth is not None}
    num_classes = max(*_num_classes(splits, name), *widths, 2)
    if widths - {num_classes}:
        raise UsageError(f"{name}: p has {min(widths)} classes, the labels and the other splits {num_classes}")
    preprocessing, normalised_by, notes = _normalisation(train, normalise, name)
    is_vectors = train.inputs(torch.tensor([0])).ndim == 2
    return Source(
        name=name,
        train=train,
        test=test,
        validation=validation,
        class_names=tuple(str(k) for k in range(num_classes)),
        preprocessing=preprocessing,
        normalised_by=normalised_by,
        protocol="vectors" if is_vectors else "default",
        notes=notes,
        is_cut=is_cut,
    )


def _num_classes(splits: list[Split], name: str) -> set[int]:
    """Return the number of classes that the labels of the splits imply."""
    widths = {split.labels.shape[1] if split.labels.ndim == 2 else 0 for split in splits}
    if len(widths) > 1:
        kinds = " and ".join(f"zeros and ones for {width}" if width else "one class" for width in sorted(widths))
        raise UsageError(f"{name}: the splits have labels of different kinds: {kinds}; they must be alike")
    if widths != {0}:
        return widths
    return {count_classes([split.labels for split in splits], name)}


def _normalisation(train: Split, normalise: bool | None, name: str) -> tuple[Preprocessing, str, tuple[str, ...]]:
    """Return per-channel statistics of arrays, none where they are normalised already, whose they are, and notes."""
    if not isinstance(train, Arrays):
        if normalise:
            raise UsageError("data.normalise: true needs arrays; a Dataset normalises its own samples")
        return Preprocessing(), "", ()
    is_bytes = train.values.dtype == torch.uint8
    values = train.values.float() / 255 if is_bytes else train.values
    others = [axis for axis in range(values.ndim) if axis != 1]
    mean, std = values.mean(others), values.std(others)
    preprocessing = Preprocessing(tuple(mean.tolist()), tuple(std.clamp_min(1e-6).tolist()))
    if normalise is None:
        normalise = is_bytes or not _look_normalised(values, mean, std)
        seen = f" (floats in [{values.min():.3g}, {values.max():.3g}]"
        why = "" if is_bytes else seen + (")" if normalise else ", normalised already)")
        other = "" if is_bytes else f"; data.normalise={str(not normalise).lower()} changes that"
        if other and name == "python":
            other = f"; preceptor.data.from_objects(..., normalise={not normalise}) changes that"
    else:
        why = other = ""
    if normalise:
        return preprocessing, f"the training samples' own mean and std{why}{other}", ()
    return Preprocessing(), "", (f"inputs are used as they are{why}{other}",)


def _look_normalised(values: Tensor, mean: Tensor, std: Tensor) -> bool:
    """Return whether floats of maps were centred and scaled by someone: raw pixels and counts are not negative.

    Columns of vectors are always standardised, which leaves those that are already as they are.
    """
    varies = std > 1e-6
    if values.ndim == 2 or not varies.any() or float(values.min()) >= 0:
        return False
    (low, high), far = _STD_OF_NORMALISED, _MEAN_OF_NORMALISED
    return bool((mean[varies].abs() <= far).all() and ((std[varies] >= low) & (std[varies] <= high)).all())
