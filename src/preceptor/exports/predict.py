"""`preceptor predict` and `preceptor.predict`: a model's predictions for image files, or for the rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from preceptor.artifacts.create import AnyModel
from preceptor.data import TableFit, image_files, read_image, read_rows
from preceptor.errors import UsageError
from preceptor.exports.open_model import OpenModel, open_model
from preceptor.models import ModelMetadata
from preceptor.runner.progress import show_notes

__all__ = ["Prediction", "predict"]

_BATCH_SIZE = 256


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's prediction for one image, or for one row of a table.

    Attributes:
        image: its file; for a row, the file and the row number, counted from 1.
        classes: the most likely ones, in order; empty where the image could not be read.
        probabilities: of these classes.
        resized_from: height and width of the image in the file, where the model reads another size.
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

    Images are read in grey or colour, as the model was trained; one of another size is scaled until it just covers the
    model's input and cropped to the centre. Pixels are normalised as in the run. A table's columns are found by name and
    encoded as in the run; a column of classes is not needed.

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
    return [
        prediction
        for start in range(0, len(files), _BATCH_SIZE)
        for prediction in _predict(opened, files[start : start + _BATCH_SIZE], top)
    ]


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


def _predict(opened: OpenModel, files: Sequence[Path], top: int) -> list[Prediction]:
    read = [_read(file, opened.metadata) for file in files]
    pixels = [image for image, _ in read if isinstance(image, Tensor)]
    tops = iter(_top_classes(opened, torch.stack(pixels), top) if pixels else ())
    return [
        Prediction(str(file), problem=image)
        if isinstance(image, str)
        else Prediction(str(file), *next(tops), resized_from=size)
        for file, (image, size) in zip(files, read, strict=True)
    ]


def _read(file: Path, metadata: ModelMetadata) -> tuple[Tensor | str, tuple[int, int] | None]:
    """Return an image as the model reads it, or why it cannot be read; and its size where it was resized."""
    channels, height, width = metadata.input_shape
    try:
        image = read_image(file, channels=channels)
        size = (int(image.shape[1]), int(image.shape[2]))
        if size == (height, width):
            return image, None
        return read_image(file, channels=channels, size=(height, width)), size
    except UsageError as error:
        return str(error), None


def _top_classes(opened: OpenModel, samples: Tensor, top: int) -> list[tuple[tuple[str, ...], tuple[float, ...]]]:
    """Return the most likely classes per sample, and their probabilities."""
    probabilities = opened.probabilities(samples)
    values, indices = probabilities.topk(min(top, probabilities.shape[1]))
    names = opened.metadata.class_names
    return [
        (tuple(names[index] for index in row), tuple(shares))
        for row, shares in zip(indices.tolist(), values.tolist(), strict=True)
    ]
