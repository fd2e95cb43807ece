"""`preceptor predict` and `preceptor.predict`: what a model says of image files, or of the rows of a table."""

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
from preceptor.exports.opened import Opened, open_model
from preceptor.models import ModelMetadata
from preceptor.runner.progress import show_notes

__all__ = ["Prediction", "predict"]

_BATCH_SIZE = 256


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one image, or of one row of a table.

    Attributes:
        image: its file; of a row its file and number, counted from 1.
        classes: the likeliest, first the likeliest; empty where the image could not be read.
        probabilities: of these classes.
        resized_from: height and width of the file's image, where they are not what the model reads.
        problem: why it could not be read, or None.
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
    """Return what a model says of image files, in the order given.

    Images are read in grey or colours as the model was trained; one of another size is scaled until it just covers the
    model's input and cropped to the centre. Pixels are normalised as the run's were. A table's columns are found by their names
    and become numbers as they did in the run; a column of classes is not needed.

    Args:
        path: a `.onnx`, `.pt2` or `.safetensors` file or a folder for the Hub that `export` wrote, or a run folder.
        images: files, or folders of which every image is taken, those below them too; of a table .csv, .tsv or .parquet files.
        top: how many classes to name of each image.
        model: as for `preceptor.load`; programs (`.onnx`, `.pt2`) need none.

    Returns:
        A prediction each; of an image that cannot be read, one that says why.

    Raises:
        UsageError: for a model that cannot be read or reads neither images nor tables, no image, a table that lacks a column, or
            a `top` below 1.
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
        return [prediction for given in images for prediction in _predict_rows(opened, fit, Path(given), top)]
    if not opened.metadata.reads_images:
        raise UsageError(f"{path}: reads {opened.metadata.input_dtype} inputs of shape {shape}, not 8-bit images")
    files = [file for given in images for file in _files(Path(given))]
    if not files:
        raise UsageError("predict: no image given; preceptor predict MODEL IMAGE_OR_FOLDER ...")
    return [
        prediction
        for start in range(0, len(files), _BATCH_SIZE)
        for prediction in _predict(opened, files[start : start + _BATCH_SIZE], top)
    ]


def _predict_rows(opened: Opened, fit: TableFit, file: Path, top: int) -> list[Prediction]:
    inputs, notes = read_rows(str(file), fit, "predict")
    show_notes(notes)
    answers = [answer for rows in inputs.split(_BATCH_SIZE) for answer in _ask(opened, rows, top)]
    return [Prediction(f"{file}: row {number}", *answer) for number, answer in enumerate(answers, start=1)]


def _files(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    found = image_files(given)
    if not found:
        raise UsageError(f"predict: {given} holds no images")
    return found


def _predict(opened: Opened, files: Sequence[Path], top: int) -> list[Prediction]:
    read = [_read(file, opened.metadata) for file in files]
    pixels = [found for found, _ in read if isinstance(found, Tensor)]
    answers = iter(_ask(opened, torch.stack(pixels), top) if pixels else ())
    return [
        Prediction(str(file), problem=found)
        if isinstance(found, str)
        else Prediction(str(file), *next(answers), resized_from=size)
        for file, (found, size) in zip(files, read, strict=True)
    ]


def _read(file: Path, metadata: ModelMetadata) -> tuple[Tensor | str, tuple[int, int] | None]:
    """Return an image as the model reads it, or why there is none; and its size where that is another."""
    channels, height, width = metadata.input_shape
    try:
        whole = read_image(file, channels=channels)
        size = (int(whole.shape[1]), int(whole.shape[2]))
        if size == (height, width):
            return whole, None
        return read_image(file, channels=channels, size=(height, width)), size
    except UsageError as error:
        return str(error), None


def _ask(opened: Opened, pixels: Tensor, top: int) -> list[tuple[tuple[str, ...], tuple[float, ...]]]:
    """Return the likeliest classes of each image, and their probabilities."""
    probabilities = opened.probabilities(pixels)
    values, places = probabilities.topk(min(top, probabilities.shape[1]))
    names = opened.metadata.class_names
    return [
        (tuple(names[place] for place in row), tuple(shares))
        for row, shares in zip(places.tolist(), values.tolist(), strict=True)
    ]
