"""Data sets of the `datasets` library on disk: images or columns of numbers, with a column of classes."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from preceptor.data.dataset import Source
from preceptor.data.images.decoding import (
    ENDS,
    LEAVE_OUT,
    UNREADABLE,
    UnreadableError,
    in_colours,
    is_complete,
    is_turned,
)
from preceptor.data.images.identity import Ends, image_identity
from preceptor.data.images.images import Cut, image_source, image_split, left_out_note, readable, turned_note
from preceptor.data.sources.arrays import source_of
from preceptor.data.sources.columns import is_row_index
from preceptor.data.sources.hf_labels import VALIDATION_NAMES, check_column, labelled, read_labels
from preceptor.data.split import Arrays, Split
from preceptor.data.stratify import split_off_test
from preceptor.errors import UsageError
from preceptor.extras import import_extra
from preceptor.messages import first_few
from preceptor.reading import check_regular

__all__ = ["hf"]

_SPLIT_NAMES = ("train", "test", *VALIDATION_NAMES)
_SHOWN = 20  # columns in a note
_LABEL_NAMES = ("label", "labels", "fine_label", "target")


def hf(
    *,
    path: str,
    target: str | None = None,
    image: str | None = None,
    features: str | Sequence[str] | None = None,
    test: str | None = None,
    size: int | None = None,
    in_memory: bool | None = None,
    centre: float = 0.875,
    skip_unreadable: bool = False,
) -> Source:
    """Data of the datasets library on disk: a folder of save_to_disk, or of .parquet or .arrow files.

    Args:
        path: the folder; the first word of a file's name says which split it belongs to: train, test, validation.
        target: the column of classes; by default the one declared as such, or called label.
        image: the column of images; by default the one declared as such.
        features: columns of numbers to learn from, if there are no images; by default all columns of numbers.
        test: the split to test on; by default test, else validation, else a fifth of the samples.
        size: as for folder.
        in_memory: as for folder.
        centre: as for folder.
        skip_unreadable: as for folder.
    """
    cut = Cut(size, centre, in_memory)
    library = import_extra("datasets", "hf", needed_by=f"hf:{path}")
    tables = _tables(Path(path).expanduser(), library)
    train = tables.get("train") if len(tables) > 1 else next(iter(tables.values()))
    if train is None:
        raise UsageError(f"data.path: {path} has {', '.join(tables)} and no train")
    if test is not None and test not in tables:
        raise UsageError(f"data.test: {path} has no split {test!r}; it has {', '.join(tables)}")
    target = _target(train, target, path, library)
    tables, notes = labelled(tables, target, test)
    validation_name = next((name for name in VALIDATION_NAMES if name in tables), None)
    test_name = test or ("test" if "test" in tables else validation_name)
    used = {"train": train, **{name: tables[name] for name in (test_name, validation_name) if name is not None}}
    unused = [name for name in tables if name not in used] if len(tables) > 1 else []
    names, labels = read_labels(used, target, path, library)
    notes += (f"hf: classes are those of column {target}",)
    notes += (f"hf: splits not used: {', '.join(unused)}",) if unused else ()
    column = _image_column(train, image, path, library)
    if column is None and skip_unreadable:
        raise UsageError(f"data.skip_unreadable: {path} has no column of images; data.image=COLUMN")
    chosen = [column] if column is not None else _features(train, features, target, path)
    notes += (_columns_note(train, chosen, target),)
    splits: dict[str, Split] = {}
    for name, table in used.items():
        where = f"{path}: {name}"
        if column is None:
            splits[name] = _numbers(table, labels[name], chosen, where)
        else:
            splits[name], more = _images(table, labels[name], column, cut, where, library, skips=skip_unreadable)
            notes += more
    three: tuple[Split, Split, Split | None]
    if test_name is None:
        three = (*split_off_test(splits["train"]), None)
    else:
        has_validation = validation_name is not None and validation_name != test_name
        three = (splits["train"], splits[test_name], splits[str(validation_name)] if has_validation else None)
        notes += (f"hf: tested on the split {test_name}",) if test_name != "test" else ()
    is_cut, test_name = test_name is None, test_name or "test"
    if column is not None:
        return image_source("hf", path, names, three, notes, cut=cut, test_name=test_name, is_cut=is_cut)
    pairs = zip(("train", "test", "validation"), three, strict=True)
    source = source_of({name: split for name, split in pairs if split is not None}, normalise=True)
    return replace(
        source,
        name=f"hf:{path}",
        class_names=names,
        notes=(*notes, *source.notes),
        test_name=test_name,
        is_cut=is_cut,
    )


def _tables(root: Path, library: ModuleType) -> Mapping[str, Any]:
    """Return the splits of a data set by name, as the library's tables; a single one is called train."""
    if not root.is_dir():
        raise UsageError(f"data.path: {root}: no such folder")
    for file in root.rglob("*"):
        if not file.is_dir():
            check_regular(file, "data.path: ")
    try:
        if (root / "dataset_dict.json").exists() or (root / "state.json").exists():
            loaded = library.load_from_disk(str(root))
            return dict(loaded) if isinstance(loaded, Mapping) else {"train": loaded}
        files = {kind: sorted(root.rglob(f"*.{kind}")) for kind in ("parquet", "arrow")}
        kind = next((kind for kind in files if files[kind]), None)
        if kind is None:
            raise UsageError(f"data.path: {root} holds no data set of save_to_disk and no .parquet or .arrow files")
        by_split: dict[str, list[str]] = {}
        for file in files[kind]:
            by_split.setdefault(_split_name(file, root), []).append(str(file))
        return dict(library.load_dataset(kind, data_files=by_split))
    except (OSError, ValueError, library.exceptions.DatasetsError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"data.path: {root}: cannot be read ({' '.join(str(error).split())[:200]})") from error


def _split_name(file: Path, root: Path) -> str:
    """Return a file's split by the first word of its name, or of its folder's; train by default."""
    words = [re.split(r"[^a-z]", name.lower(), maxsplit=1)[0] for name in reversed(file.relative_to(root).parts)]
    return next((word for word in words if word in _SPLIT_NAMES), "train")


def _target(table: Any, target: str | None, path: str, library: ModuleType) -> str:
    if target is not None:
        check_column(table, target, "data.target", path)
        return target
    declared = [name for name, kind in table.features.items() if isinstance(kind, library.ClassLabel)]
    called = [name for name in _LABEL_NAMES if name in table.features]
    if len(declared) == 1 or called:
        return str((called if len(declared) != 1 else declared)[0])
    raise UsageError(f"data.target: {path} has columns {', '.join(table.features)}; say which holds the class")


def _image_column(table: Any, image: str | None, path: str, library: ModuleType) -> str | None:
    if image is not None:
        check_column(table, image, "data.image", path)
        return image
    return next((str(name) for name, kind in table.features.items() if isinstance(kind, library.Image)), None)


def _features(table: Any, features: str | Sequence[str] | None, target: str, path: str) -> list[str]:
    if features is not None:
        chosen = [features] if isinstance(features, str) else list(features)
        for name in chosen:
            check_column(table, name, "data.features", path)
        return chosen
    types = import_extra("pyarrow", "hf", needed_by=f"hf:{path}")
    numeric = [name for name in table.features if name != target and _holds_numbers(table, name, types)]
    if not numeric:
        raise UsageError(f"data.features: {path} has no column of images or numbers beside {target}")
    return numeric


def _holds_numbers(table: Any, name: str, types: ModuleType) -> bool:
    """Return whether a column is of numbers, or of lists of them, that do not number the rows."""
    kind = table.features.arrow_schema.field(name).type
    if isinstance(kind, types.BaseExtensionType):
        kind = kind.storage_type
    is_list = False
    while isinstance(kind, types.ListType | types.LargeListType | types.FixedSizeListType):
        kind, is_list = kind.value_type, True
    tests = (types.types.is_integer, types.types.is_floating, types.types.is_boolean)
    if not any(test(kind) for test in tests):
        return False
    return is_list or not is_row_index(name, [None if cell is None else str(cell) for cell in table[name]])


def _columns_note(table: Any, chosen: Sequence[str], target: str) -> str:
    others = [name for name in table.features if name not in {*chosen, target}]
    left_out = f"; left out: {', '.join(others)}" if others else ""
    return f"hf: inputs are the columns {first_few(chosen, _SHOWN)}{left_out}"


class _Rows:
    """Decodes the images of a column by their number among the rows that are kept."""

    def __init__(self, table: Any, column: str, where: str, kept: NDArray[np.int64], library: ModuleType) -> None:
        self._table = self._stored = table.select_columns([column])
        if isinstance(self._table.features[column], library.Image):
            self._stored = self._table.cast_column(column, library.Image(decode=False))
        self._column = column
        self._where = where
        self._kept = kept

    def name(self, number: int) -> str:
        """Return the name of an image in messages."""
        return f"{self._where}: row {self._kept[number]}"

    def is_turned(self, number: int) -> bool:
        """Return whether an image is turned upright as its EXIF says."""
        stored = self._stored[int(self._kept[number])][self._column]
        if not isinstance(stored, Mapping):
            return False
        return is_turned(stored["path"] if stored["bytes"] is None else io.BytesIO(stored["bytes"]))

    def is_complete(self, number: int) -> bool:
        """Return whether an image is certainly not truncated, judged by the ends of its stored bytes."""
        first, last, length = self.ends(number, ENDS)
        return length > 0 and is_complete(first, last, length)

    def ends(self, number: int, count: int) -> Ends:
        """Return the first and the last bytes of a stored image, up to so many, and its length; nothing for 0 bytes."""
        stored = self._stored[int(self._kept[number])][self._column] if count else None
        content = stored["bytes"] if isinstance(stored, Mapping) else None
        if content is None and isinstance(stored, Mapping) and stored.get("path") and Path(stored["path"]).is_file():
            content = Path(stored["path"]).read_bytes()
        return (b"", b"", 0) if content is None else (content[:count], content[-count:], len(content))

    def identity(self, numbers: Tensor) -> bytes:
        """Return what tells these images from others: see `image_identity`."""
        return image_identity(numbers, None, self.ends)

    def __call__(self, number: int) -> Image.Image:
        name = self.name(number)
        try:
            image = self._table[int(self._kept[number])][self._column]
        except UNREADABLE as error:
            reason = " ".join(str(error).split())
            raise UnreadableError(f"data.path: {name}: no readable image ({reason}){LEAVE_OUT}") from error
        if image is None:
            raise UnreadableError(f"data.path: {name}: no readable image (there is none){LEAVE_OUT}")
        if not isinstance(image, Image.Image):
            raise UsageError(f"data.image: {name} of column {self._column} is of type {type(image).__name__}, no image")
        return in_colours(image, name)


def _images(
    table: Any, labels: Tensor, column: str, cut: Cut, where: str, library: ModuleType, *, skips: bool
) -> tuple[Split, tuple[str, ...]]:
    """Return the images of a split, and notes on those that are turned upright or left out."""
    left_out: list[str] = []
    images = _Rows(table, column, where, np.arange(len(labels)), library)
    if skips:
        kept, left_out = readable(images, len(labels), name_of=lambda number: f"row {number}")
        labels, images = labels[kept], _Rows(table, column, where, kept.numpy(), library)
    split = image_split(
        images, labels, cut, name_of=images.name, is_complete=images.is_complete, identity=images.identity
    )
    turned = turned_note("hf", where, images.is_turned, len(labels))
    return split, (*turned, *left_out_note("hf", where, left_out))


def _numbers(table: Any, labels: Tensor, columns: Sequence[str], path: str) -> Arrays:
    values = []
    for name in columns:
        try:
            column = np.asarray(list(table[name]), dtype=np.float64).reshape(len(labels), -1)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"data.features: column {name} of {path} holds no numbers, or lists of several lengths"
            ) from error
        if not np.isfinite(column).all():
            row = int(np.argmin(np.isfinite(column).all(1)))
            raise UsageError(
                f"data.features: column {name} of {path} has no finite number in row {row}; "
                "leave it out by naming the others: data.features=[A,B]"
            )
        values.append(column)
    return Arrays(torch.from_numpy(np.hstack(values)).float(), labels)
