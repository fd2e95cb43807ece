"""A teacher's outputs for every training sample, stored: `preceptor label`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.progress import Progress
from torch import Tensor, nn

from preceptor.artifacts.create import reading_notes
from preceptor.artifacts.fingerprints import fingerprint
from preceptor.artifacts.teachers import load_teachers
from preceptor.checksums import sha256_of
from preceptor.config.sections import LabelRecipe, TeacherSection
from preceptor.console import open_console
from preceptor.data import Data, check_views, view_batches
from preceptor.distributed import join_processes
from preceptor.errors import UsageError
from preceptor.labels import (
    Encoding,
    LabelSource,
    Manifest,
    Predictions,
    check_folder,
    logits_of_samples,
    read_predictions,
    write_labels,
)
from preceptor.models import observe
from preceptor.runner.data import load_data
from preceptor.runner.load import LoadedInputs
from preceptor.runner.passed import left_as_passed
from preceptor.runner.teacher_check import check_logits, measure_teachers
from preceptor.runner.teachers import TeacherSet, change_teachers
from preceptor.training import Engine, EnsembleTeacher, LiveTeacher, TeacherSource, choose_engine, forward_flops
from preceptor.types import View

__all__ = ["Labelled", "label"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """What `preceptor label` made.

    Attributes:
        path: the folder; `labels=` of distill.
        manifest: its contents.
        bytes: of all its files except the manifest.
        num_predicted: rows that were labelled now, over all processes; the others were there already.
    """

    path: Path
    manifest: Manifest
    bytes: int
    num_predicted: int


@dataclass(frozen=True, slots=True)
class _Answers:
    """What is stored, and where it comes from.

    Attributes:
        fingerprints: see `LabelSource`.
        names: of the teacher, see `Manifest`.
        precision: of its forward pass.
        notes: for the user, a line each.
        predict: returns the logits of each request (view, rows).
    """

    fingerprints: tuple[str, ...]
    names: Mapping[str, str]
    precision: str
    notes: Sequence[str]
    predict: Callable[[Iterable[tuple[int, Tensor]]], Iterator[Tensor]]


def label(
    recipe: LabelRecipe,
    data: Data | None = None,
    teacher: nn.Module | Sequence[nn.Module] | None = None,
    predictions: Predictions | None = None,
    *,
    show: bool = True,
) -> Labelled:
    """Store the teacher's outputs for every training sample in `recipe.views` views; several processes share the work.

    Args:
        recipe: what to do.
        data: stands in for the recipe's, when passed from Python.
        teacher: likewise.
        predictions: likewise.
        show: whether to show progress.

    Raises:
        UsageError: for an invalid recipe, predictions that do not fit the data, or a folder that holds other labels.
        RunError: when the disk refuses.
    """
    check_folder(Path(recipe.out))
    if predictions is None and recipe.predictions.path is not None:
        predictions = read_predictions(Path(recipe.predictions.path).expanduser(), recipe.predictions.id)
    _check(recipe, teacher, predictions)
    data = load_data(recipe.data) if data is None else data
    if not data.train.has_rows:
        raise UsageError("labels: a stream's samples cannot be told apart; pass a Dataset with a length and rows")
    plain = predictions is not None and recipe.data.view is None
    view = "none" if plain else data.view_named(recipe.data.view)
    check_views(data.train, view)
    if view == "none" and recipe.views > 1:
        raise UsageError(
            f"views: {recipe.views}, but data.view=none shows a sample in one way only; views=1 is all there is"
        )
    if recipe.top is not None and data.task == "multilabel":
        raise UsageError(f"top: {recipe.top} keeps the largest of classes that exclude each other; leave it out here")
    encoding = Encoding(data.num_classes, recipe.dtype, recipe.top)
    chosen: list[str] = []
    networks = [] if predictions else load_teachers(recipe.teacher, data, teacher=teacher, tell=chosen.append)
    stored = None if predictions is None else _of_predictions(recipe, data, view, predictions)
    show = show and join_processes().is_first
    with (
        Progress(console=open_console(stderr=True, quiet=not show), disable=not show) as progress,
        left_as_passed(teacher),
    ):
        engine = choose_engine(recipe.device, recipe.precision, recipe.engine, partial(_note, progress))
        answers = stored or _of_networks(networks, recipe, data, view, engine)
        source = LabelSource(
            teachers=answers.fingerprints,
            data=data.fingerprint,
            samples=len(data.train),
            view=view,
            view_seed=recipe.seed,
            encoding=encoding,
            precision=answers.precision,
        )
        wanted = Manifest(source, {"data": data.name, **answers.names}, recipe.views, recipe.rows_per_shard)
        size = f"labels: {encoding.bytes_per_sample} bytes per sample and view"
        for note in (data.summary(view), *data.notes, *chosen, *answers.notes, size):
            _note(progress, note)
        task, num_predicted = progress.add_task("label", total=source.samples * recipe.views), 0

        def predict(requests: Iterable[tuple[int, Tensor]]) -> Iterator[Tensor]:
            nonlocal num_predicted
            for logits in answers.predict(requests):
                num_predicted += len(logits)
                yield logits

        manifest = write_labels(
            recipe.out,
            wanted,
            predict,
            batch_size=recipe.batch_size,
            advance=partial(progress.advance, task),
            rank=engine.processes.rank,
            world_size=engine.processes.world_size,
            gather=engine.processes.exchange,
        )
    path = Path(recipe.out)
    num_bytes = sum((path / name).stat().st_size for name in manifest.shards)
    return Labelled(path, manifest, num_bytes, sum(engine.processes.exchange(num_predicted)))


def _check(recipe: LabelRecipe, teacher: object, predictions: Predictions | None) -> None:
    """Check that a recipe names either networks as they are, or predictions.

    Raises:
        UsageError: when it does not.
    """
    section, stored = recipe.teacher, recipe.predictions
    if section.truth or section.anchors is not None or section.assistants:
        raise UsageError("teacher: labels are made of networks as they are, without truth, anchors or assistants")
    if predictions is not None and (teacher is not None or section != TeacherSection()):
        raise UsageError(f"teacher: predictions={stored.path or predictions.name} stand in for it; name one of the two")
    for key, value in {"kind": stored.kind, "id": stored.id}.items():
        if predictions is None and value is not None:
            raise UsageError(f"predictions.{key}: {value}, but there are no predictions; predictions=FILE names them")
    if predictions is not None and predictions.ids is None and stored.id is not None:
        raise UsageError(
            f"predictions.id: {stored.id} is a column of a file, and an array has none; its rows are in order"
        )


def _of_networks(networks: list[nn.Module], recipe: LabelRecipe, data: Data, view: str, engine: Engine) -> _Answers:
    teachers = change_teachers(TeacherSet(networks), recipe.teacher, data, engine, recipe.seed)
    fingerprints = tuple(fingerprint(network) for network in teachers.networks)
    source, engine = _source(teachers, recipe, data, engine)

    def predict(requests: Iterable[tuple[int, Tensor]]) -> Iterator[Tensor]:
        views = ((View(view, recipe.seed, number), rows) for number, rows in requests)
        for batch in view_batches(data.train, views, data.normalisation, engine.device, workers=recipe.workers):
            yield source(batch).logits

    checks = measure_teachers(teachers, LoadedInputs(data, None, None), engine, recipe.teacher)
    notes = (
        *(reading_notes("teacher", teachers.networks) or data.normalisation_notes),
        *map(str, checks),
        f"engine: {engine}",
    )
    return _Answers(fingerprints, {"teacher": str(recipe.teacher.path)}, engine.precision, notes, predict)


def _of_predictions(recipe: LabelRecipe, data: Data, view: str, predictions: Predictions) -> _Answers:
    notes: list[str] = []
    stated = recipe.predictions
    logits = logits_of_samples(predictions, data, id_column=stated.id, kind=stated.kind, tell=notes.append)
    check = check_logits("predictions", logits, data.train.labels, data.task, "training", None)
    notes += [f"predictions: {check}", *check.warnings]
    if view != "none":
        notes.append(f"predictions: every view ({view}) of a sample gets the same prediction")

    def predict(requests: Iterable[tuple[int, Tensor]]) -> Iterator[Tensor]:
        return (logits[rows] for _, rows in requests)

    digest = sha256_of(logits.contiguous().numpy().tobytes())[:16]
    return _Answers((digest,), {"teacher": predictions.name, "sha256": predictions.sha256}, "fp32", notes, predict)


def _source(teachers: TeacherSet, recipe: LabelRecipe, data: Data, engine: Engine) -> tuple[TeacherSource, Engine]:
    sample = data.normalisation(data.train.inputs(torch.tensor([0, 1]))).to(engine.device)
    placed = [engine.place(network) for network in teachers.networks]
    if engine.compiles is None:
        per_row = teachers.passes * sum(forward_flops(network, sample) for network in placed)
        engine = engine.decide(per_row * len(data.train) * recipe.views)
    live = [LiveTeacher(observe(network, ()), engine, recipe.batch_size) for network in placed]
    live *= teachers.passes
    return (live[0] if len(live) == 1 else EnsembleTeacher(live, data.task)), engine


def _note(progress: Progress, line: str) -> None:
    progress.console.print(f"note: {line}", highlight=False, soft_wrap=True)
