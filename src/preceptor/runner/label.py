"""A teacher's outputs for every training sample, stored: `preceptor label`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.progress import Progress
from torch import Tensor, nn

from preceptor.artifacts.create import reading_notes
from preceptor.artifacts.fingerprints import fingerprint
from preceptor.artifacts.teachers import load_teachers
from preceptor.config.sections import LabelRecipe
from preceptor.console import open_console
from preceptor.data import Data, check_views, view_batches
from preceptor.distributed import join_processes
from preceptor.errors import UsageError
from preceptor.labels import Encoding, LabelSource, Manifest, check_folder, write_labels
from preceptor.models import observe
from preceptor.runner.data import load_data
from preceptor.runner.load import LoadedInputs
from preceptor.runner.passed import left_as_passed
from preceptor.runner.teacher_check import measure_teachers
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
        num_predicted: rows that the teacher predicted now, over all processes; the others were there already.
    """

    path: Path
    manifest: Manifest
    bytes: int
    num_predicted: int


def label(
    recipe: LabelRecipe,
    data: Data | None = None,
    teacher: nn.Module | Sequence[nn.Module] | None = None,
    *,
    show: bool = True,
) -> Labelled:
    """Store the teacher's outputs for every training sample in `recipe.views` views; several processes share the work.

    Args:
        recipe: what to do.
        data: stands in for the recipe's, when passed from Python.
        teacher: likewise.
        show: whether to show progress.

    Raises:
        UsageError: for an invalid recipe, or a folder that holds other labels.
        RunError: when the disk refuses.
    """
    check_folder(Path(recipe.out))
    data = load_data(recipe.data) if data is None else data
    if recipe.teacher.truth or recipe.teacher.anchors is not None or recipe.teacher.assistants:
        raise UsageError("teacher: labels are made of networks as they are, without truth, anchors or assistants")
    if not data.train.has_rows:
        raise UsageError("labels: a stream's samples cannot be told apart; pass a Dataset with a length and rows")
    view = recipe.data.view or data.view
    check_views(data.train, view)
    if view == "none" and recipe.views > 1:
        raise UsageError(
            f"views: {recipe.views}, but data.view=none shows a sample in one way only; views=1 is all there is"
        )
    if recipe.top is not None and data.task == "multilabel":
        raise UsageError(f"top: {recipe.top} keeps the largest of classes that exclude each other; leave it out here")
    encoding = Encoding(data.num_classes, recipe.dtype, recipe.top)
    chosen: list[str] = []
    teachers = TeacherSet(load_teachers(recipe.teacher, data, teacher=teacher, tell=chosen.append))
    show = show and join_processes().is_first
    with (
        Progress(console=open_console(stderr=True, quiet=not show), disable=not show) as progress,
        left_as_passed(teacher),
    ):
        engine = choose_engine(recipe.device, recipe.precision, recipe.engine, partial(_note, progress))
        teachers = change_teachers(teachers, recipe.teacher, data, engine, recipe.seed)
        fingerprints = tuple(fingerprint(network) for network in teachers.networks)
        source, engine = _source(teachers, recipe, data, engine)
        label_source = LabelSource(
            teachers=fingerprints,
            data=data.fingerprint,
            samples=len(data.train),
            view=view,
            view_seed=recipe.seed,
            encoding=encoding,
            precision=engine.precision,
        )
        names = {"data": data.name, "teacher": str(recipe.teacher.path)}
        wanted = Manifest(label_source, names, recipe.views, recipe.rows_per_shard)
        for note in (
            data.summary(view),
            *data.notes,
            *chosen,
            *(reading_notes("teacher", teachers.networks) or data.normalisation_notes),
            *measure_teachers(teachers, LoadedInputs(data, None, None), engine, recipe.teacher),
            f"engine: {engine}",
            f"labels: {encoding.bytes_per_sample} bytes per sample and view",
        ):
            _note(progress, note)
        task, num_predicted = progress.add_task("label", total=label_source.samples * recipe.views), 0

        def predict(requests: Iterable[tuple[int, Tensor]]) -> Iterator[Tensor]:
            nonlocal num_predicted
            view_requests = ((View(view, recipe.seed, number), rows) for number, rows in requests)
            batches = view_batches(data.train, view_requests, data.normalisation, engine.device, workers=recipe.workers)
            for batch in batches:
                num_predicted += len(batch.inputs)
                yield source(batch).logits

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
    size = sum((path / name).stat().st_size for name in manifest.shards)
    return Labelled(path, manifest, size, sum(engine.processes.exchange(num_predicted)))


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
