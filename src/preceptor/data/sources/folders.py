"""Images in a folder, one sub-folder per class: in memory, or decoded on demand."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from preceptor.data.dataset import Source
from preceptor.data.images.decoding import ENDS, LEAVE_OUT, decode, is_complete, is_turned
from preceptor.data.images.identity import Ends, image_identity
from preceptor.data.images.images import Cut, image_source, image_split, left_out_note, readable, turned_note
from preceptor.data.sources.walk import files_left_out, is_hidden, walk
from preceptor.data.split import Split
from preceptor.data.stratify import split_off_test
from preceptor.errors import UsageError
from preceptor.messages import first_few

__all__ = ["folder"]

_VALIDATION_NAMES = ("validation", "val", "valid")


def folder(
    *,
    path: str,
    size: int | None = None,
    in_memory: bool | None = None,
    centre: float = 0.875,
    skip_unreadable: bool = False,
) -> Source:
    """Images by class: PATH/class/*.png, or PATH/train/class, PATH/test/class (and PATH/validation/class).

    Args:
        path: the folder. With only train/ and val/, as in ImageNet, val/ is the test split.
        size: side in pixels of what the networks see; needed where images differ in size.
        in_memory: decode all images once and keep centre crops of `size` in memory; the default if there is no size.
            Otherwise they are decoded on demand (workers=N processes read ahead), and training sees random crops.
        centre: share of the shorter side that the centre crop covers; images that have `size` already are not cropped.
        skip_unreadable: leave out and count images that cannot be decoded; this decodes every image once at the start.
    """
    cut = Cut(size, centre, in_memory)
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UsageError(f"data.path: {root}: no such folder")
    folders = {name: root / name for name in ("train", "test", *_VALIDATION_NAMES) if (root / name).is_dir()}
    if "train" not in folders:
        names = _classes(root)
        images, files, notes = _read(root, names, cut, skips=skip_unreadable)
        train, test = split_off_test(images)
        source = image_source("folder", str(root), names, (train, test, None), notes, cut=cut, is_cut=True)
        return replace(source, ids={"file": files})
    names = _classes(folders["train"])
    for name, each in folders.items():
        if (others := _classes(each)) != names:
            sides = {"train": sorted(set(names) - set(others)), name: sorted(set(others) - set(names))}
            only = "; ".join(f"only in {side}/: {first_few(extra, 5)}" for side, extra in sides.items() if extra)
            raise UsageError(f"data.path: {root}: classes of train/ and {name}/ differ: {only}")
    validation_name = next((name for name in _VALIDATION_NAMES if name in folders), None)
    test_name = "test" if "test" in folders else validation_name
    if test_name is None:
        raise UsageError(f"data.path: {root} has train/ but no test/")
    train, files, notes = _read(folders["train"], names, cut, skips=skip_unreadable)
    test, _, more = _read(folders[test_name], names, cut, skips=skip_unreadable)
    notes = (*_beside(root, {"train", test_name, validation_name}, "the splits"), *notes, *more)
    validation = None
    if test_name == validation_name:
        notes += (f"folder: no test/ in {root}, so {test_name}/ is the test split; validation is split from train/",)
    elif validation_name is not None:
        validation, _, more = _read(folders[validation_name], names, cut, skips=skip_unreadable)
        notes += more
    splits = (train, test, validation)
    source = image_source("folder", str(root), names, splits, notes, cut=cut, test_name=test_name)
    return replace(source, ids={"file": files})


class _Files:
    """Decodes images by their number.

    Names are one array of bytes: worker processes would copy a list of strings, because they count references to each.
    """

    def __init__(self, root: Path, names: NDArray[Any]) -> None:
        self._root = root
        self._names = names

    def path(self, number: int) -> str:
        """Return the path of an image."""
        return str(self._root / os.fsdecode(self._names[number]))

    def __call__(self, number: int) -> Image.Image:
        path = self.path(number)
        return decode(path, path, advice=LEAVE_OUT)

    def ends(self, number: int, count: int) -> Ends:
        """Return the first and the last bytes of a file, up to so many, and its length; no bytes if it cannot be read."""
        path = Path(self.path(number))
        try:
            if count == 0:
                return b"", b"", path.stat().st_size
            with path.open("rb", buffering=0) as opened:
                length = os.fstat(opened.fileno()).st_size
                first = opened.read(count)
                opened.seek(max(0, length - count))
                return first, opened.read(count), length
        except OSError:
            return b"", b"", 0

    def is_turned(self, number: int) -> bool:
        """Return whether an image is turned upright as its EXIF says."""
        return is_turned(self.path(number))

    def is_complete(self, number: int) -> bool:
        """Return whether a file is certainly not truncated, judged by its ends."""
        return is_complete(*self.ends(number, ENDS))

    def identity(self, numbers: Tensor) -> bytes:
        """Return what tells these images from others: see `image_identity`."""
        return image_identity(numbers, self._names, self.ends)


def _classes(root: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not is_hidden(entry.name)))
    if len(names) < 2:
        folders = "class folder" if len(names) == 1 else "class folders"
        raise UsageError(f"data.path: {root} has {len(names)} {folders}, at least 2 are needed")
    return names


def _beside(root: Path, used: Collection[str | None], what: str) -> tuple[str, ...]:
    """Return a note on what lies in a folder beside the folders that are read, if there is anything."""
    others = sorted(entry.name for entry in root.iterdir() if entry.name not in used)
    return (f"folder: left out of {root}: {len(others):,} beside {what}: {first_few(others)}",) if others else ()


def _read(root: Path, names: tuple[str, ...], cut: Cut, *, skips: bool) -> tuple[Split, NDArray[Any], tuple[str, ...]]:
    """Return the images below a folder, their files within it, and notes on what was left out."""
    found = [walk(root / name) for name in names]
    files = [file for each in found for file in each.files]
    labels = torch.tensor([label for label, each in enumerate(found) for _ in each.files], dtype=torch.int64)
    file_names = np.array([os.fsencode(file.relative_to(root)) for file in files])
    images = _Files(root, file_names)
    left_out: list[str] = []
    if skips:
        kept, left_out = readable(images, len(files), name_of=lambda number: str(files[number].relative_to(root)))
        labels, file_names = labels[kept], file_names[kept.numpy()]
        images = _Files(root, file_names)
    for label, name in enumerate(names):
        if not (labels == label).any():
            bad = f", {len(found[label].files)} unreadable" if found[label].files else ""
            raise UsageError(f"data.path: {root / name} holds no images{bad}")
    split = image_split(
        images, labels, cut, name_of=images.path, is_complete=images.is_complete, identity=images.identity
    )
    notes = (*_beside(root, names, "the class folders"), *files_left_out("folder", root, found))
    turned = turned_note("folder", str(root), images.is_turned, len(labels))
    left = left_out_note("folder", str(root), left_out)
    return split, file_names, (*notes, *turned, *left)
