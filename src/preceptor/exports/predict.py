"""`preceptor predict` and `preceptor.predict`: a model's predictions for image files, for the rows of a table, or for texts."""

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
from preceptor.exports.texts import TextReader, open_reader
from preceptor.runner.progress import show_notes
from preceptor.types import Preprocessing

__all__ = ["Prediction", "predict"]

_BATCH_SIZE = 256


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's prediction for one image, one row of a table or one text.

    Attributes:
        sample: the image's file; of a row, the file and the row number, counted from 1; a text itself, or its file and line.
        classes: the most likely ones, in order; empty where the image could not be read.
        probabilities: of these classes.
        resized_from: height and width of the upright image, where the model reads another size.
        problem: why the image could not be read, or None.
    """

    sample: str
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    resized_from: tuple[int, int] | None = None
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def predict(
    path: str | Path,
    *samples: str | Path,
    top: int = 1,
    model: AnyModel | None = None,
    tokenizer: str | Path | None = None,
) -> list[Prediction]:
    """Return a model's predictions for images, rows of tables or texts, in order.

    Images are read as those of the run's test split: turned upright as their EXIF orientation says, in grey or colour, scaled
    and cropped to the same centre, normalised by the same mean and std. A table's columns are found by name and encoded as in
    the run; a column of classes is not needed. Texts are read by the run's tokenizer, in its length.

    Args:
        path: a `.onnx`, `.pt2` or `.safetensors` file or a folder for the Hub that `export` wrote, or a run folder.
        samples: image files, or folders of them, searched recursively; for a table, .csv, .tsv or .parquet files; for texts,
            the texts themselves, .txt files with one on each line, or tables with a column of them. Where a network reads
            pairs, a tab stands between the two sentences.
        top: number of classes per sample.
        model: as for `preceptor.load`; `.onnx` and `.pt2` files need none.
        tokenizer: folder of the tokenizer of texts; by default the one that the run's data name.

    Returns:
        One prediction per sample; for an image that cannot be read, one that says why.

    Raises:
        UsageError: for a model that cannot be read or reads other samples, no sample, a table that misses a column, another
            tokenizer than the run's, or a `top` below 1.
    """
    if top < 1:
        raise UsageError(f"top: {top} is not at least 1")
    opened = open_model(Path(path), model)
    metadata = opened.metadata
    if metadata.vocabulary is not None:
        return _predict_texts(opened, open_reader(Path(path), metadata, tokenizer), list(map(str, samples)), top)
    if tokenizer is not None:
        raise UsageError(f"--tokenizer: {path} reads no texts")
    if metadata.table is not None and samples:
        fit = TableFit.read(metadata.table, str(path))
        return [prediction for file in samples for prediction in _predict_rows(opened, fit, Path(file), top)]
    if not metadata.reads_images:
        raise UsageError(
            f"{path}: reads {metadata.input_dtype} inputs of shape {metadata.input_shape}, not 8-bit images"
        )
    return _predict_images(opened, samples, top)


def _predict_images(opened: OpenModel, images: Sequence[str | Path], top: int) -> list[Prediction]:
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


def _predict_texts(opened: OpenModel, reader: TextReader, samples: Sequence[str], top: int) -> list[Prediction]:
    texts = [text for sample in samples for text in reader.read(sample)]
    if not texts:
        raise UsageError('predict: needs a text; preceptor predict MODEL "some text" FILE.txt ...')
    predictions: list[Prediction] = []
    for start in range(0, len(texts), _BATCH_SIZE):
        batch = texts[start : start + _BATCH_SIZE]
        tops = _top_classes(opened, reader.inputs(batch), top)
        predictions += [Prediction(text.name, *each) for text, each in zip(batch, tops, strict=True)]
    if reader.tokens.num_truncated:
        show_notes(
            [f"{reader.tokens.num_truncated:,} of {len(texts):,} texts are longer than the network reads; truncated"]
        )
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
