"""Images in a folder, one sub-folder a class: held in memory, or decoded when they are asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from preceptor.data.dataset import Source
from preceptor.data.images.decoding import ENDS, LEAVE_OUT, decode, is_complete
from preceptor.data.images.images import Cut, image_source, image_split, left_out_note, readable, split_off_test
from preceptor.data.split import Split
from preceptor.errors import UsageError

__all__ = ["IMAGE_SUFFIXES", "folder", "image_files"]

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
_VALIDATION_NAMES = ("validation", "val", "valid")


def folder(
    *,
    path: str,
    size: int | None = None,
    held: bool | None = None,
    centre: float = 0.875,
    skip_unreadable: bool = False,
) -> Source:
    """Images by class: PATH/class/*.png, or PATH/train/class, PATH/test/class (and PATH/validation/class).

    Args:
        path: the folder. With train/ and val/ only, as ImageNet comes, val/ is the test part.
        size: side in pixels of what the networks see; needed where images differ in size.
        held: decode all images once and hold them in memory, cut to `size`; by default where no size is given. Otherwise
            they are decoded when they are asked for (workers=N processes read ahead), a random part of each in training.
        centre: share of the shorter side that evaluation sees, and that is held; images of that size already are left alone.
        skip_unreadable: leave out what cannot be decoded, and count it, which decodes every image once at the start.
    """
    cut = Cut(size, centre, held)
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UsageError(f"data.path: {root}: no such folder")
    parts = {name: root / name for name in ("train", "test", *_VALIDATION_NAMES) if (root / name).is_dir()}
    if "train" not in parts:
        names = _classes(root)
        whole, notes = _read(root, names, cut, skips=skip_unreadable)
        train, test = split_off_test(whole)
        return image_source("folder", str(root), names, (train, test, None), notes, is_cut=True)
    names = _classes(parts["train"])
    for name, part in parts.items():
        if (others := _classes(part)) != names:
            sides = {"train": sorted(set(names) - set(others)), name: sorted(set(others) - set(names))}
            only = "; ".join(f"only in {side}/: {', '.join(there[:5])}" for side, there in sides.items() if there)
            raise UsageError(f"data.path: {root}: classes of train/ and {name}/ differ: {only}")
    held_name = next((name for name in _VALIDATION_NAMES if name in parts), None)
    tested = "test" if "test" in parts else held_name
    if tested is None:
        raise UsageError(f"data.path: {root} has train/ but no test/")
    train, notes = _read(parts["train"], names, cut, skips=skip_unreadable)
    test, more = _read(parts[tested], names, cut, skips=skip_unreadable)
    notes += more
    validation = None
    if tested == held_name:
        notes += (f"folder: no test/ in {root}, so {tested}/ is the test part, and validation is split from train/",)
    elif held_name is not None:
        validation, more = _read(parts[held_name], names, cut, skips=skip_unreadable)
        notes += more
    return image_source("folder", str(root), names, (train, test, validation), notes, test_name=tested)


def image_files(folder: Path) -> list[Path]:
    """Return the image files in a folder and below it, by their suffix, sorted."""
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)


class _Files:
    """Reads images by their number.

    Names are one array of bytes: of a list of strings, processes that read ahead would copy what they count references to.
    """

    def __init__(self, root: Path, names: NDArray[Any]) -> None:
        self._root = root
        self._names = names

    def path(self, number: int) -> str:
        """Return where an image lies."""
        return str(self._root / os.fsdecode(self._names[number]))

    def __call__(self, number: int) -> Image.Image:
        path = self.path(number)
        return decode(path, path, advice=LEAVE_OUT)

    def is_complete(self, number: int) -> bool:
        """Say whether a file is surely not cut off, by its ends."""
        try:
            with Path(self.path(number)).open("rb", buffering=0) as opened:
                length = os.fstat(opened.fileno()).st_size
                first = opened.read(ENDS)
                opened.seek(max(0, length - ENDS))
                return is_complete(first, opened.read(ENDS), length)
        except OSError:
            return False


def _classes(root: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
    if len(names) < 2:
        folders = "class folder" if len(names) == 1 else "class folders"
        raise UsageError(f"data.path: {root} has {len(names)} {folders}, at least 2 are needed")
    return names


def _read(root: Path, names: tuple[str, ...], cut: Cut, *, skips: bool) -> tuple[Split, tuple[str, ...]]:
    """Return a part of the data, and a note on what was left out."""
    found = {name: image_files(root / name) for name in names}
    files = [file for name in names for file in found[name]]
    labels = torch.tensor([label for label, name in enumerate(names) for _ in found[name]], dtype=torch.int64)
    described = np.array([os.fsencode(file.relative_to(root)) for file in files])
    read = _Files(root, described)
    left_out: list[str] = []
    if skips:
        kept, left_out = readable(read, len(files), name_of=lambda number: str(files[number].relative_to(root)))
        labels, described = labels[kept], described[kept.numpy()]
        read = _Files(root, described)
    for label, name in enumerate(names):
        if not (labels == label).any():
            bad = f", {len(found[name])} unreadable" if found[name] else ""
            raise UsageError(f"data.path: {root / name} holds no images{bad}")
    split = image_split(read, labels, cut, name_of=read.path, is_complete=read.is_complete, described=described)
    return split, left_out_note("folder", str(root), left_out)
