"""Images in a folder, one sub-folder a class: held in memory, or decoded when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from preceptor.data.crops import centre_crop, pixels_of
from preceptor.data.dataset import Normalisation, Source, held_out
from preceptor.data.pictures import RESIZED_CROP, Pictures
from preceptor.data.split import Arrays, Split
from preceptor.errors import UsageError

__all__ = ["PHOTOGRAPHS", "check_size", "folder"]

PHOTOGRAPHS = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # ImageNet's, which published weights expect
_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
_TEST_SHARE = 0.2
_VALIDATION_NAMES = ("validation", "val", "valid")


class _UnreadableError(UsageError):
    """A file that is no image, or a damaged one."""


@dataclass(frozen=True, slots=True)
class _Options:
    """How the images of a folder are read."""

    size: int | None
    centre: float
    is_held: bool
    skips: bool


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
    check_size(size, centre)
    if held is False and size is None:
        raise UsageError("data.held: false needs data.size, the side in pixels of what the networks see")
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UsageError(f"data.path: {root}: no such folder")
    options = _Options(size, centre, size is None if held is None else held, skip_unreadable)
    parts = {name: root / name for name in ("train", "test", *_VALIDATION_NAMES) if (root / name).is_dir()}
    if "train" not in parts:
        return _whole(root, options)
    names = _classes(parts["train"])
    for name, part in parts.items():
        if _classes(part) != names:
            differing = sorted(set(_classes(part)) ^ set(names))
            raise UsageError(f"data.path: {root}: classes of train/ and {name}/ differ: {', '.join(differing[:5])}")
    held_name = next((name for name in _VALIDATION_NAMES if name in parts), None)
    tested = "test" if "test" in parts else held_name
    if tested is None:
        raise UsageError(f"data.path: {root} has train/ but no test/")
    train, notes = _read(parts["train"], names, options)
    test, more = _read(parts[tested], names, options)
    if tested == held_name:
        notes += (f"folder: no test/ in {root}, so {tested}/ is the test part, and validation is split from train/",)
        return _source(str(root), names, train, test, None, notes + more)
    validation, still_more = (None, ()) if held_name is None else _read(parts[held_name], names, options)
    return _source(str(root), names, train, test, validation, notes + more + still_more)


def check_size(size: int | None, centre: float) -> None:
    """Check how images are cut.

    Raises:
        UsageError: for a size below 1, or a share that is not in (0, 1].
    """
    if size is not None and size < 1:
        raise UsageError(f"data.size: {size} is not at least 1")
    if not 0 < centre <= 1:
        raise UsageError(f"data.centre: {centre} is not in (0, 1]")


def _whole(root: Path, options: _Options) -> Source:
    names = _classes(root)
    whole, notes = _read(root, names, options)
    rows = held_out(whole.labels, round(_TEST_SHARE * len(whole)), 0, stream=9)
    is_test = torch.zeros(len(whole), dtype=torch.bool)
    is_test[rows] = True
    note = f"folder: no train/ and test/ in {root}, so {len(rows):,} of {len(whole):,} images are test, stratified"
    train = whole.take(torch.nonzero(~is_test).flatten())
    return _source(str(root), names, train, whole.take(rows), None, (note, *notes))


def _source(
    name: str, names: tuple[str, ...], train: Split, test: Split, validation: Split | None, notes: tuple[str, ...]
) -> Source:
    source = Source(
        name=f"folder:{name}",
        train=train,
        test=test,
        validation=validation,
        class_names=names,
        normalisation=PHOTOGRAPHS,
        view=RESIZED_CROP,
        protocol="photographs",
        notes=(*notes, "folder: images are decoded as they are needed; normalised by ImageNet's mean and std"),
    )
    if not isinstance(train, Arrays):
        return source
    held = [part for part in (train, test, validation) if isinstance(part, Arrays)]
    shapes = {tuple(part.values.shape[1:]) for part in held}
    if len(shapes) > 1:
        raise UsageError(f"data.path: {name}: parts differ in image shape: {sorted(shapes)}; set data.size")
    pixels = train.values.float() / 255
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)).clamp_min(1e-3)
    return replace(
        source,
        normalisation=Normalisation(tuple(mean.tolist()), tuple(std.tolist())),
        view="crop_flip",
        protocol="default",
        notes=(*notes, f"folder: normalised by the training images' own mean {_round(mean)} and std {_round(std)}"),
    )


def _classes(root: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
    if len(names) < 2:
        raise UsageError(f"data.path: {root} has {len(names)} class folders, at least 2 are needed")
    return names


def _read(root: Path, names: tuple[str, ...], options: _Options) -> tuple[Split, tuple[str, ...]]:
    """Return a part of the data, and a note on what was left out."""
    files: list[Path] = []
    labels: list[int] = []
    left_out: list[Path] = []
    for label, name in enumerate(names):
        found = sorted(file for file in (root / name).rglob("*") if file.suffix.lower() in _IMAGE_SUFFIXES)
        bad = [file for file in found if not _is_readable(file)] if options.skips else []
        left_out += bad
        good = sorted(set(found) - set(bad)) if bad else found
        if not good:
            raise UsageError(f"data.path: {root / name} holds no images{f', {len(bad)} unreadable' if bad else ''}")
        files += good
        labels += [label] * len(good)
    shown = ", ".join(str(file.relative_to(root)) for file in left_out[:3])
    note = f"folder: {len(left_out):,} unreadable images of {root} are left out: {shown}" + ", ..." * (
        len(left_out) > 3
    )
    split = _held(files, labels, options) if options.is_held else _on_demand(root, files, labels, options)
    return split, (note,) if left_out else ()


def _held(files: Sequence[Path], labels: Sequence[int], options: _Options) -> Arrays:
    images: list[Tensor] = []
    for file in files:
        whole = _image(file)
        image = pixels_of(whole if options.size is None else centre_crop(whole, options.size, options.centre))
        if images and image.shape != images[0].shape:
            raise UsageError(
                f"data.path: {file} is {image.shape[2]}x{image.shape[1]}, {files[0]} is "
                f"{images[0].shape[2]}x{images[0].shape[1]}; set data.size"
            )
        images.append(image)
    return Arrays(torch.stack(images), torch.tensor(labels))


def _on_demand(root: Path, files: Sequence[Path], labels: Sequence[int], options: _Options) -> Pictures:
    assert options.size is not None
    # One array of bytes, not a list of strings: processes that read ahead would copy a list by counting its references.
    names = np.array([os.fsencode(file.relative_to(root)) for file in files])
    return Pictures(
        _Files(root, names), torch.tensor(labels), size=options.size, centre=options.centre, described=names
    )


class _Files:
    """Reads images by their number."""

    def __init__(self, root: Path, names: NDArray[Any]) -> None:
        self._root = root
        self._names = names

    def __call__(self, number: int) -> Image.Image:
        return _image(self._root / os.fsdecode(self._names[number]))


def _image(file: Path) -> Image.Image:
    try:
        with Image.open(file) as opened:
            if opened.mode.startswith(("I", "F")):
                raise UsageError(f"data.path: {file}: has more than 8 bits a channel ({opened.mode}); convert it to 8")
            return opened.convert("RGB")
    except UsageError:
        raise
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _UnreadableError(
            f"data.path: {file}: no readable image ({' '.join(str(error).split())}); data.skip_unreadable=true leaves it out"
        ) from error


def _is_readable(file: Path) -> bool:
    try:
        _image(file)
    except _UnreadableError:
        return False
    return True


def _round(values: Tensor) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in values.tolist()) + ")"
