"""Images in a folder, one sub-folder a class: held in memory, or decoded when they are asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from preceptor.data.dataset import Source
from preceptor.data.images import Cut, a_fifth, image_source, image_split
from preceptor.data.split import Split
from preceptor.errors import UsageError

__all__ = ["IMAGE_SUFFIXES", "UnreadableError", "decode", "folder", "image_files"]

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
_VALIDATION_NAMES = ("validation", "val", "valid")
_FEW = 3  # files that are named where many are left out


class UnreadableError(UsageError):
    """A file that is no image, or a damaged one."""


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
        train, test = a_fifth(whole)
        note = f"folder: no train/ and test/ in {root}, so {len(test):,} of {len(whole):,} images are test, stratified"
        return image_source("folder", str(root), names, (train, test, None), (note, *notes))
    names = _classes(parts["train"])
    for name, part in parts.items():
        if _classes(part) != names:
            differing = sorted(set(_classes(part)) ^ set(names))
            raise UsageError(f"data.path: {root}: classes of train/ and {name}/ differ: {', '.join(differing[:5])}")
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
    return image_source("folder", str(root), names, (train, test, validation), notes)


def image_files(folder: Path) -> list[Path]:
    """Return the image files in a folder and below it, by their suffix, sorted."""
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)


def decode(file: Any, name: str, *, where: str = "data.path: ", advice: str = "") -> Image.Image:
    """Return an image in mode RGB.

    Args:
        file: a path, or an open file.
        name: what it is called in messages.
        where: what they begin with.
        advice: what could be done where it cannot be decoded.

    Raises:
        UnreadableError: when it cannot be decoded.
        UsageError: when it has more than 8 bits a channel.
    """
    try:
        with Image.open(file) as opened:
            if opened.mode.startswith(("I", "F")):
                raise UsageError(f"{where}{name}: has more than 8 bits a channel ({opened.mode}); convert it to 8")
            return opened.convert("RGB")
    except UsageError:
        raise
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableError(f"{where}{name}: no readable image ({' '.join(str(error).split())}){advice}") from error


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
        return decode(path, path, advice="; data.skip_unreadable=true leaves such out")


def _classes(root: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
    if len(names) < 2:
        raise UsageError(f"data.path: {root} has {len(names)} class folders, at least 2 are needed")
    return names


def _read(root: Path, names: tuple[str, ...], cut: Cut, *, skips: bool) -> tuple[Split, tuple[str, ...]]:
    """Return a part of the data, and a note on what was left out."""
    files: list[Path] = []
    labels: list[int] = []
    left_out: list[Path] = []
    for label, name in enumerate(names):
        found = image_files(root / name)
        bad = {file for file in found if not _is_readable(file)} if skips else set()
        if len(found) == len(bad):
            raise UsageError(f"data.path: {root / name} holds no images{f', {len(bad)} unreadable' if bad else ''}")
        left_out += sorted(bad)
        files += [file for file in found if file not in bad]
        labels += [label] * (len(found) - len(bad))
    described = np.array([os.fsencode(file.relative_to(root)) for file in files])
    read = _Files(root, described)
    split = image_split(read, torch.tensor(labels), cut, name_of=read.path, described=described)
    if not left_out:
        return split, ()
    shown = ", ".join(str(file.relative_to(root)) for file in left_out[:_FEW]) + ", ..." * (len(left_out) > _FEW)
    return split, (f"folder: {len(left_out):,} unreadable images of {root} are left out: {shown}",)


def _is_readable(file: Path) -> bool:
    try:
        decode(file, str(file))
    except UnreadableError:
        return False
    return True
