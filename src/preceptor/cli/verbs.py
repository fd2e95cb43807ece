"""`preceptor teach`, `distill`, `label` and `evaluate`: from a recipe to printed numbers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from preceptor.api.measuring import evaluate
from preceptor.api.reporting import draw_run
from preceptor.artifacts.record import RunRecord
from preceptor.artifacts.run_folder import RunFolder
from preceptor.assessment import Metrics
from preceptor.cli.keys import read_sections
from preceptor.config.sections import DataSection, DistillRecipe, LabelRecipe, TeachRecipe
from preceptor.console import open_console
from preceptor.distributed import join_processes
from preceptor.reports import print_report, summarise_run
from preceptor.runner.label import Labelled, label
from preceptor.runner.run import run

__all__ = ["carry_out", "evaluate_verb"]

_PERCENT = {"accuracy", "top5", "exact_match", "balanced_accuracy", "prevalence"}


def carry_out(recipe: TeachRecipe | DistillRecipe | LabelRecipe) -> None:
    """Carry out `preceptor teach`, `distill` or `label`."""
    match recipe:
        case LabelRecipe():
            made = label(recipe)
            if join_processes().is_first:
                _print_labelled(made)
        case _:
            result = run(recipe)
            draw_run(result.path)
            if join_processes().is_first:
                _print_end(result.path)


def _print_end(path: Path) -> None:
    """Print the end of a run: its table, where everything is, and what can be done next."""
    summary, folder, console = summarise_run(path), RunFolder(path), open_console(width_of_files=120)
    record, data = folder.read_record(), DataSection(**folder.read_config()["data"])
    console.print()
    print_report(summary, console)
    drawn = (folder.page, folder.pictures, folder.confusion, folder.classes, folder.weights)
    files = ", ".join(each.name for each in drawn if each.exists())
    run_folder = shlex.quote(str(path))
    distil = f"preceptor distill {_words_of(data)} teacher={run_folder} model=NAME"
    following = [
        *([distil] if record.kind == "teach" else []),
        f"preceptor assess {run_folder}",
        f"preceptor export {run_folder} --to {shlex.quote(path.name)}.onnx",
        *(f"preceptor predict {run_folder} {samples}" for samples in _samples(record)),
    ]
    lines = [f"saved  {path}  ({files})", f"next   {following[0]}", *(f"       {line}" for line in following[1:])]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _words_of(data: DataSection) -> str:
    """Return the words that name these data on the command line."""
    options = {key: value for key, value in data.hyperparameters.items() if value is not None}
    words = [f"data={data.name}"]
    words += [f"data.{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in options.items()]
    return shlex.join(words)


def _samples(record: RunRecord) -> list[str]:
    """Return what `preceptor predict` takes for a run's network; nothing where it reads plain numbers."""
    if record.vocabulary is not None:
        return ['"some text"']
    return ["FILE.csv"] if record.table is not None else ["IMAGES"] if len(record.input_shape) == 3 else []


def evaluate_verb(path: str, words: Sequence[str], *, workers: int) -> None:
    """Carry out `preceptor evaluate`."""
    data, model, weights_key, classes, onnx = read_sections("evaluate", words)
    metrics = evaluate(
        path, data=data, model=model, classes=classes, weights_key=weights_key, onnx=onnx, workers=workers
    )
    if join_processes().is_first:
        _print_metrics(metrics)


def _print_metrics(metrics: Metrics) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in metrics.as_dict().items():
        table.add_row(f"test {name}", f"{100 * value:.2f} %" if name in _PERCENT else f"{value:.5g}")
    open_console().print(table)


def _print_labelled(made: Labelled) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("samples", f"{made.manifest.source.samples:,}")
    table.add_row("views", f"{made.manifest.views}")
    table.add_row("labelled now", f"{made.num_predicted:,} rows")
    table.add_row(
        "size", f"{made.bytes / 2**20:,.1f} MiB, {made.manifest.source.encoding.bytes_per_sample} bytes per row"
    )
    open_console().print(table)
    open_console().print(f"Labels: {made.path}", highlight=False)
