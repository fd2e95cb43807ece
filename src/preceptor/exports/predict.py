"""`preceptor predict` and `preceptor.predict`: a model's predictions for image files, or for the rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from preceptor.artifacts.create import AnyModel
from preceptor.data import ImageRead, TableFit, image_files, read_image, read_rows
from preceptor.errors import UsageError
from preceptor.exports.open_model import OpenModel, open_model
from preceptor.runner.progress import show_notes
from preceptor.types import Preprocessing

__all__ = ["Prediction", "predict"]

_BATCH_SIZE = 256


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's prediction for one image, or for one row of a table.

    Attributes:
        image: its file; for a row, the file and the row number, counted from 1.
        classes: the most likely ones, in order; empty where the image could not be read.
        probabilities: of these classes.
        resized_from: height and width of the upright image, where the model reads another size.
        problem: why the image could not be read, or None.
    """

    image: str
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    resized_from: tuple[int, int] | None = None
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def predict(path: str | Path, *images: str | Path, top: int = 1, model: AnyModel | None = None) -> list[Prediction]:
    """Return a model's predictions for image files, in order.

    Images are read as those of the run's test split: turned upright as their EXIF orientation says, in grey or colour, scaled
    and cropped to the same centre, normalised by the same mean and std. A table's columns are found by name and encoded as in
    the run; a column of classes is not needed.

    Args:
        path: a `.onnx`, `.pt2` or `.safetensors` file or a folder for the Hub that `export` wrote, or a run folder.
        images: files, or folders, searched recursively; for a table, .csv, .tsv or .parquet files.
        top: number of classes per image.
        model: as for `preceptor.load`; `.onnx` and `.pt2` files need none.

    Returns:
        One prediction per image; for an image that cannot be read, one that says why.

    Raises:
        UsageError: for a model that cannot be read or reads neither images nor tables, no image, a table that misses a column,
            or a `top` below 1.
    """
    if top < 1:
        raise UsageError(f"top: {top} is not at least 1")
    opened = open_model(Path(path), model)
    shape = opened.metadata.input_shape
    if opened.metadata.vocabulary is not None:
        raise UsageError(
            f"{path}: reads texts as token numbers {shape}, and predict reads images; preceptor evaluate RUN data=text:FILE "
            "measures it, preceptor.load gives the network"
        )
    if opened.metadata.table is not None and images:
        fit = TableFit.read(opened.metadata.table, str(path))
        return [prediction for image in images for prediction in _predict_rows(opened, fit, Path(image), top)]
    if not opened.metadata.reads_images:
        raise UsageError(f"{path}: reads {opened.metadata.input_dtype} inputs of shape {shape}, not 8-bit images")
    files = [file for image in images for file in _files(Path(image))]
    if not files:
        raise UsageError("predict: needs an image; preceptor predict MODEL IMAGE_OR_FOLDER ...")
    predictions: list[Prediction] = []
    turned = 0
    for start in range(0, len(files), _BATCH_SIZE):
        batch = files[start : start + _BATCH_SIZE]
        read = [_read(file, opened.metadata.preprocessing) for file in batch]
        turned += sum(isinstance(each, ImageRead) and each.was_turned for each in read)
        predictions += _predict(opened, batch, read, top)
    if turned:
        images_are = "image is" if len(files) == 1 else "images are"
        show_notes([f"{turned:,} of {len(files):,} {images_are} turned upright, as their EXIF orientation says"])
    return predictions


def _predict_rows(opened: OpenModel, fit: TableFit, file: Path, top: int) -> list[Prediction]:
    inputs, notes = read_rows(str(file), fit, "predict")
    show_notes(notes)
    tops = [each for rows in inputs.split(_BATCH_SIZE) for each in _top_classes(opened, rows, top)]
    return [Prediction(f"{file}: row {number}", *each) for number, each in enumerate(tops, start=1)]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = image_files(path)
    if not files:
        raise UsageError(f"predict: {path} holds no images")
    return files


def _predict(opened: OpenModel, files: Sequence[Path], read: Sequence[ImageRead | str], top: int) -> list[Prediction]:
    pixels = [image.pixels for image in read if isinstance(image, ImageRead)]
    tops = iter(_top_classes(opened, torch.stack(pixels), top) if pixels else ())
    return [
        Prediction(str(file), problem=image)
        if isinstance(image, str)
        else Prediction(str(file), *next(tops), resized_from=image.resized_from)
        for file, image in zip(files, read, strict=True)
    ]


def _read(file: Path, preprocessing: Preprocessing) -> ImageRead | str:
    """Return an image as the model reads it, or why it cannot be read."""
    try:
        return read_image(file, preprocessing)
    except UsageError as error:
        return str(error)


def _top_classes(opened: OpenModel, samples: Tensor, top: int) -> list[tuple[tuple[str, ...], tuple[float, ...]]]:
    """Return the most likely classes per sample, and their probabilities."""
    probabilities = opened.probabilities(samples)
    values, indices = probabilities.topk(min(top, probabilities.shape[1]))
    names = opened.metadata.class_names
    return [
        (tuple(names[index] for index in row), tuple(shares))
        for row, shares in zip(indices.tolist(), values.tolist(), strict=True)
    ]
