"""Images in a folder, one sub-folder a class."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from preceptor.data.dataset import Normalisation, Source, held_out
from preceptor.data.images import image_files, read_image
from preceptor.data.split import Arrays
from preceptor.errors import UsageError

__all__ = ["folder"]

_TEST_SHARE = 0.2
_VALIDATION_NAMES = ("validation", "val", "valid")


def folder(*, path: str, size: int | None = None) -> Source:
    """Images by class: PATH/class/*.png, or PATH/train/class, PATH/test/class (and PATH/validation/class).

    Args:
        path: the folder.
        size: side in pixels: images are scaled so that the shorter side fits, and cropped to the centre. Needed where
            images differ in size.
    """
    if size is not None and size < 1:
        raise UsageError(f"data.size: {size} is not at least 1")
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UsageError(f"data.path: {root}: no such folder")
    parts = {name: root / name for name in ("train", "test", *_VALIDATION_NAMES) if (root / name).is_dir()}
    if "train" not in parts:
        names = _classes(root)
        whole = _read(root, names, size)
        rows = held_out(whole.labels, round(_TEST_SHARE * len(whole)), 0, stream=9)
        is_test = torch.zeros(len(whole), dtype=torch.bool)
        is_test[rows] = True
        train, test = whole.take(torch.nonzero(~is_test).flatten()), whole.take(rows)
        note = f"folder: no train/ and test/ in {root}, so {len(test):,} of {len(whole):,} images are test, stratified"
        return _source(str(root), names, train, test, None, (note,))
    if "test" not in parts:
        raise UsageError(f"data.path: {root} has train/ but no test/")
    names = _classes(parts["train"])
    for name, part in parts.items():
        if _classes(part) != names:
            differing = sorted(set(_classes(part)) ^ set(names))
            raise UsageError(f"data.path: {root}: classes of train/ and {name}/ differ: {', '.join(differing[:5])}")
    held = next((parts[name] for name in _VALIDATION_NAMES if name in parts), None)
    validation = None if held is None else _read(held, names, size)
    return _source(
        str(root), names, _read(parts["train"], names, size), _read(parts["test"], names, size), validation, ()
    )


def _source(
    name: str, names: tuple[str, ...], train: Arrays, test: Arrays, validation: Arrays | None, notes: tuple[str, ...]
) -> Source:
    shapes = {tuple(part.values.shape[1:]) for part in (train, test, *([] if validation is None else [validation]))}
    if len(shapes) > 1:
        raise UsageError(f"data.path: {name}: parts differ in image shape: {sorted(shapes)}; set data.size")
    pixels = train.values.float() / 255
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)).clamp_min(1e-3)
    return Source(
        name=f"folder:{name}",
        train=train,
        test=test,
        validation=validation,
        class_names=names,
        normalisation=Normalisation(tuple(mean.tolist()), tuple(std.tolist())),
        view="crop_flip",
        notes=(*notes, f"folder: normalised by the training images' own mean {_round(mean)} and std {_round(std)}"),
    )


def _classes(root: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
    if len(names) < 2:
        raise UsageError(f"data.path: {root} has {len(names)} class folders, at least 2 are needed")
    return names


def _read(root: Path, names: tuple[str, ...], size: int | None) -> Arrays:
    images: list[Tensor] = []
    labels: list[int] = []
    first: Path | None = None
    for label, name in enumerate(names):
        files = image_files(root / name)
        if not files:
            raise UsageError(f"data.path: {root / name} holds no images")
        for file in files:
            image = _image(file, size)
            if images and image.shape != images[0].shape:
                raise UsageError(
                    f"data.path: {file} is {image.shape[2]}x{image.shape[1]}, {first} is "
                    f"{images[0].shape[2]}x{images[0].shape[1]}; set data.size"
                )
            first = first or file
            images.append(image)
            labels.append(label)
    return Arrays(torch.stack(images), torch.tensor(labels))


def _image(file: Path, size: int | None) -> Tensor:
    try:
        return read_image(file, size=None if size is None else (size, size))
    except UsageError as error:
        raise UsageError(f"data.path: {error}") from error


def _round(values: Tensor) -> str:
    return "(" + ", ".join(f"{value:.3f}" for value in values.tolist()) + ")"
