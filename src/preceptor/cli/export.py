"""`preceptor export` and `preceptor predict`: from words to files and printed predictions."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from preceptor.console import open_console
from preceptor.errors import RunError
from preceptor.exports.export import Exported
from preceptor.exports.predict import Prediction, predict
from preceptor.messages import first_few

__all__ = ["predict_verb", "show_exported"]


def show_exported(exported: Exported) -> None:
    """Print what `preceptor export` wrote."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    if exported.opset is not None:
        table.add_row("opset", str(exported.opset))
    if exported.difference is not None:
        table.add_row(
            "largest difference to PyTorch", f"{exported.difference:.2g}, on a batch size that was not traced"
        )
    if exported.path is not None:
        table.add_row("size", _size(exported.bytes))
    if exported.quantised is not None:
        int8 = exported.quantised
        table.add_row("int8 size", f"{_size(int8.bytes)} (float32: {_size(int8.bytes_before)})")
        accuracies = f"{100 * int8.accuracy:.2f} % (float32: {100 * int8.accuracy_before:.2f} %)"
        table.add_row("int8 accuracy", f"{accuracies} on {int8.samples:,} test samples")
        table.add_row("int8 operators", ", ".join(int8.operators))
    console = open_console(soft_wrap=True)
    console.print(table)
    for name, path in (
        ("File", exported.path),
        ("Int8", exported.quantised and exported.quantised.path),
        ("Hub folder", exported.hub_folder),
    ):
        if path is not None:
            console.print(f"{name}: {path}", highlight=False)


def predict_verb(
    path: Path, samples: Sequence[str], *, top: int, model: str | None, tokenizer: Path | None, as_json: bool
) -> None:
    """Carry out `preceptor predict`.

    Raises:
        RunError: at the end, naming each image that could not be read.
    """
    predictions = predict(path, *samples, top=top, model=model, tokenizer=tokenizer)
    resized_from = [each.resized_from for each in predictions if each.resized_from is not None]
    if resized_from:
        sizes = first_few([f"{width}x{height}" for width, height in sorted({size[::-1] for size in resized_from})])
        print(f"{len(resized_from)} of {len(predictions)} images scaled and cropped from {sizes}", file=sys.stderr)
    if as_json:
        print(json.dumps([each.as_dict() for each in predictions], indent=1))
    else:
        _print(predictions)
    problems = [each.problem for each in predictions if each.problem is not None]
    if problems:
        raise RunError("\n".join(problems))


def _print(predictions: Sequence[Prediction]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("of", overflow="fold")
    table.add_column("class")
    table.add_column("probability", justify="right")
    for each in predictions:
        for rank, (name, probability) in enumerate(zip(each.classes, each.probabilities, strict=True)):
            table.add_row(Text("" if rank else each.sample), Text(name), f"{probability:.4f}")
    open_console(width_of_files=200).print(table)


def _size(count: int) -> str:
    return f"{count / 2**20:,.2f} MiB" if count >= 2**20 else f"{count / 2**10:,.1f} KiB"
