"""`preceptor export` and `preceptor predict`, from words to files and printed answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from preceptor.errors import RunError
from preceptor.exports.export import Exported
from preceptor.exports.predict import Prediction, predict

__all__ = ["predict_verb", "show_exported"]


def show_exported(done: Exported) -> None:
    """Print what `preceptor export` wrote."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    if done.opset is not None:
        table.add_row("opset", str(done.opset))
    if done.difference is not None:
        table.add_row("largest difference to PyTorch", f"{done.difference:.2g}, on a batch size that was not traced")
    if done.path is not None:
        table.add_row("size", _size(done.bytes))
    if done.quantised is not None:
        small = done.quantised
        table.add_row("int8 size", f"{_size(small.bytes)} (float32: {_size(small.bytes_before)})")
        accuracies = f"{100 * small.accuracy:.2f} % (float32: {100 * small.accuracy_before:.2f} %)"
        table.add_row("int8 accuracy", f"{accuracies} on {small.samples:,} test samples")
        table.add_row("int8 operators", ", ".join(small.operators))
    console = Console(soft_wrap=True)
    console.print(table)
    for name, path in (
        ("File", done.path),
        ("Int8", done.quantised and done.quantised.path),
        ("Hub folder", done.hub_folder),
    ):
        if path is not None:
            console.print(f"{name}: {path}", highlight=False, markup=False)


def predict_verb(path: Path, images: Sequence[Path], *, top: int, model: str | None, as_json: bool) -> None:
    """Carry out `preceptor predict`.

    Raises:
        RunError: at the end, when an image could not be read: each is named.
    """
    found = predict(path, *images, top=top, model=model)
    resized = [one for one in found if one.resized_from is not None]
    if resized:
        sizes = sorted({one.resized_from[::-1] for one in resized if one.resized_from is not None})
        named = ", ".join(f"{width}x{height}" for width, height in sizes[:3]) + (", ..." if len(sizes) > 3 else "")
        print(f"{len(resized)} of {len(found)} images scaled and cropped from {named}", file=sys.stderr)
    if as_json:
        print(json.dumps([one.as_dict() for one in found], indent=1))
    else:
        _print(found)
    problems = [one.problem for one in found if one.problem is not None]
    if problems:
        raise RunError("\n".join(problems))


def _print(found: Sequence[Prediction]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("of", overflow="fold")
    table.add_column("class")
    table.add_column("probability", justify="right")
    for one in found:
        for rank, (name, share) in enumerate(zip(one.classes, one.probabilities, strict=True)):
            table.add_row(Text("" if rank else one.image), Text(name), f"{share:.4f}")
    (Console() if sys.stdout.isatty() else Console(width=200)).print(table)


def _size(count: int) -> str:
    return f"{count / 2**20:,.2f} MiB" if count >= 2**20 else f"{count / 2**10:,.1f} KiB"
