"""Data sets of the `datasets` library on disk: images or columns of numbers, with a column of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from preceptor.data.dataset import Source
from preceptor.data.images.decoding import ENDS, LEAVE_OUT, UNREADABLE, UnreadableError, in_colours, is_complete
from preceptor.data.images.images import Cut, image_source, image_split, left_out_note, readable, split_off_test
from preceptor.data.sources.arrays import source_of
from preceptor.data.sources.tables import class_labels
from preceptor.data.split import Arrays, Split, as_labels
from preceptor.errors import UsageError
from preceptor.extras import import_extra

__all__ = ["hf"]

_VALIDATION_NAMES = ("validation", "val", "valid", "dev")
_PARTS = ("train", "test", *_VALIDATION_NAMES)
_LABEL_NAMES = ("label", "labels", "fine_label", "target")


def hf(
    *,
    path: str,
    target: str | None = None,
    image: str | None = None,
    features: str | Sequence[str] | None = None,
    test: str | None = None,
    size: int | None = None,
    held: bool | None = None,
    centre: float = 0.875,
    skip_unreadable: bool = False,
) -> Source:
    """Data of the datasets library on disk: a folder of save_to_disk, or of .parquet or .arrow files.

    Args:
        path: the folder; of files, the first word of a name says which part it belongs to: train, test, validation.
        target: the column of classes; by default the one that is declared as such, or is called label.
        image: the column of images; by default the one that is declared as such.
        features: columns of numbers to learn from, where there are no images; by default all that hold numbers.
        test: the part to test on; without it, test, else validation, else a fifth of the samples.
        size: as for folder.
        held: as for folder.
        centre: as for folder.
        skip_unreadable: as for folder.
    """
    cut = Cut(size, centre, held)
    library = import_extra("datasets", "hf", needed_by=f"hf:{path}")
    parts = _parts(Path(path).expanduser(), library)
    train = parts.get("train") if len(parts) > 1 else next(iter(parts.values()))
    if train is None:
        raise UsageError(f"data.path: {path} has {', '.join(parts)} and no train")
    if test is not None and test not in parts:
        raise UsageError(f"data.test: {path} has no part {test!r}; it has {', '.join(parts)}")
    held_name = next((name for name in _VALIDATION_NAMES if name in parts), None)
    tested = test or ("test" if "test" in parts else held_name)
    wanted = {"train": train, **{name: parts[name] for name in (tested, held_name) if name is not None}}
    target = _target(train, target, path, library)
    names, labels = _labels(wanted, target, path, library)
    column = _image_column(train, image, path, library)
    if column is None and skip_unreadable:
        raise UsageError(f"data.skip_unreadable: {path} has no column of images; data.image=COLUMN")
    notes: tuple[str, ...] = (f"hf: classes are those of column {target}",)
    splits: dict[str, Split] = {}
    for name, part in wanted.items():
        where = f"{path}: {name}"
        if column is None:
            splits[name] = _numbers(part, labels[name], _features(part, features, target, path), path)
        else:
            splits[name], left_out = _images(part, labels[name], column, cut, where, library, skips=skip_unreadable)
            notes += left_out_note("hf", where, left_out)
    whole, validation = splits["train"], None if held_name == tested or held_name is None else splits[held_name]
    if tested is None:
        whole, test_part = split_off_test(whole)
    else:
        test_part = splits[tested]
        notes += (f"hf: tested on the part {tested}",) if tested != "test" else ()
    if column is not None:
        three = (whole, test_part, validation)
        return image_source("hf", path, names, three, notes, test_name=tested or "test", is_cut=tested is None)
    found = source_of({"train": whole, "test": test_part, **({} if validation is None else {"validation": validation})})
    return Source(
        name=f"hf:{path}",
        train=whole,
        test=test_part,
        validation=validation,
        class_names=names,
        normalisation=found.normalisation,
        protocol=found.protocol,
        notes=(*notes, *found.notes),
        test_name=tested or "test",
        is_cut=tested is None,
    )


def _parts(root: Path, library: ModuleType) -> Mapping[str, Any]:
    """Return the parts of a data set by name; a single one is called train."""
    if not root.is_dir():
        raise UsageError(f"data.path: {root}: no such folder")
    try:
        if (root / "dataset_dict.json").exists() or (root / "state.json").exists():
            found = library.load_from_disk(str(root))
            return dict(found) if isinstance(found, Mapping) else {"train": found}
        files = {kind: sorted(root.rglob(f"*.{kind}")) for kind in ("parquet", "arrow")}
        kind = next((kind for kind, there in files.items() if there), None)
        if kind is None:
            raise UsageError(f"data.path: {root} holds no data set of save_to_disk and no .parquet or .arrow files")
        by_part: dict[str, list[str]] = {}
        for file in files[kind]:
            by_part.setdefault(_part_of(file, root), []).append(str(file))
        return dict(library.load_dataset(kind, data_files=by_part))
    except (OSError, ValueError, library.exceptions.DatasetsError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"data.path: {root}: cannot be read ({' '.join(str(error).split())[:200]})") from error


def _part_of(file: Path, root: Path) -> str:
    """Return the part that a file belongs to, by the first word of its name or its folder's; train where none says."""
    words = [re.split(r"[^a-z]", name.lower(), maxsplit=1)[0] for name in reversed(file.relative_to(root).parts)]
    return next((word for word in words if word in _PARTS), "train")


def _target(part: Any, target: str | None, path: str, library: ModuleType) -> str:
    if target is not None:
        _check_column(part, target, "data.target", path)
        return target
    declared = [name for name, kind in part.features.items() if isinstance(kind, library.ClassLabel)]
    called = [name for name in _LABEL_NAMES if name in part.features]
    if len(declared) == 1 or called:
        return str((called if len(declared) != 1 else declared)[0])
    raise UsageError(f"data.target: {path} has columns {', '.join(part.features)}; say which holds the class")


def _image_column(part: Any, image: str | None, path: str, library: ModuleType) -> str | None:
    if image is not None:
        _check_column(part, image, "data.image", path)
        return image
    return next((str(name) for name, kind in part.features.items() if isinstance(kind, library.Image)), None)


def _features(part: Any, features: str | Sequence[str] | None, target: str, path: str) -> list[str]:
    if features is not None:
        chosen = [features] if isinstance(features, str) else list(features)
        for name in chosen:
            _check_column(part, name, "data.features", path)
        return chosen
    sample = part[0]
    numeric = [name for name in part.features if name != target and np.asarray(sample[name]).dtype.kind in "iufb"]
    if not numeric:
        raise UsageError(f"data.features: {path} has no column of images or numbers beside {target}")
    return numeric


def _check_column(part: Any, name: str, key: str, path: str) -> None:
    if name not in part.features:
        raise UsageError(f"{key}: {path} has no column {name!r}; it has {', '.join(part.features)}")


def _labels(
    parts: Mapping[str, Any], target: str, path: str, library: ModuleType
) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """Return the classes, and the labels of each part."""
    found: dict[str, list[Any]] = {}
    for name, part in parts.items():
        _check_column(part, target, "data.target", f"{path}: {name}")
        found[name] = list(part[target])
    if isinstance(found["train"][0], str):
        names, _ = class_labels(found["train"], f"{path}: train", target)
        return names, {name: class_labels(cells, f"{path}: {name}", target, names)[1] for name, cells in found.items()}
    declared = parts["train"].features[target]
    stated = tuple(declared.names) if isinstance(declared, library.ClassLabel) else ()
    labels = {
        name: as_labels(np.asarray(values), f"hf:{path}: {name}", len(stated) or None) for name, values in found.items()
    }
    highest = 1 + max(int(each.max()) for each in labels.values())
    return stated or tuple(str(number) for number in range(max(highest, 2))), labels


class _Rows:
    """Reads the images of a column by their number among those that are kept."""

    def __init__(self, part: Any, column: str, where: str, kept: NDArray[np.int64], library: ModuleType) -> None:
        self._part = self._stored = part.select_columns([column])
        if isinstance(self._part.features[column], library.Image):
            self._stored = self._part.cast_column(column, library.Image(decode=False))
        self._column = column
        self._where = where
        self._kept = kept

    def name(self, number: int) -> str:
        """Return what an image is called."""
        return f"{self._where}: row {self._kept[number]}"

    def is_complete(self, number: int) -> bool:
        """Say whether an image is surely not cut off, by the ends of what is stored."""
        stored = self._stored[int(self._kept[number])][self._column]
        content = stored["bytes"] if isinstance(stored, Mapping) else None
        return content is not None and is_complete(content[:ENDS], content[-ENDS:], len(content))

    def __call__(self, number: int) -> Image.Image:
        name = self.name(number)
        try:
            image = self._part[int(self._kept[number])][self._column]
        except UNREADABLE as error:
            reason = " ".join(str(error).split())
            raise UnreadableError(f"data.path: {name}: no readable image ({reason}){LEAVE_OUT}") from error
        if image is None:
            raise UnreadableError(f"data.path: {name}: no readable image (there is none){LEAVE_OUT}")
        if not isinstance(image, Image.Image):
            raise UsageError(f"data.image: {name} of column {self._column} is of type {type(image).__name__}, no image")
        return in_colours(image, name)


def _images(
    part: Any, labels: Tensor, column: str, cut: Cut, where: str, library: ModuleType, *, skips: bool
) -> tuple[Split, list[str]]:
    """Return the images of a part, and the names of those that are left out."""
    left_out: list[str] = []
    read = _Rows(part, column, where, np.arange(len(labels)), library)
    if skips:
        kept, left_out = readable(read, len(labels), name_of=lambda number: f"row {number}")
        labels, read = labels[kept], _Rows(part, column, where, kept.numpy(), library)
    return image_split(read, labels, cut, name_of=read.name, is_complete=read.is_complete), left_out


def _numbers(part: Any, labels: Tensor, columns: Sequence[str], path: str) -> Arrays:
    values = []
    for name in columns:
        try:
            column = np.asarray(list(part[name]), dtype=np.float64).reshape(len(labels), -1)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"data.features: column {name} of {path} holds no numbers, or lists of several lengths"
            ) from error
        if not np.isfinite(column).all():
            row = int(np.argmin(np.isfinite(column).all(1)))
            raise UsageError(f"data.features: column {name} of {path} has no finite number in row {row}")
        values.append(column)
    return Arrays(torch.from_numpy(np.hstack(values)).float(), labels)
