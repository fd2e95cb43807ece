"""This library's own training loop on the same job: the real `fit`, told of each step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from preceptor.bench.job import Job, images
from preceptor.data import FixedViews, Loader, plain_batches, seen_batches
from preceptor.labels import Encoding, LabelSource, LabelStore, Manifest, write_labels
from preceptor.models import create, observe
from preceptor.objectives.distill import KD
from preceptor.objectives.teacher import CrossEntropy
from preceptor.objectives.weighted import Sum, total
from preceptor.training import (
    Engine,
    EngineName,
    EpochRow,
    Learner,
    LearningRate,
    LiveTeacher,
    OptimizerSettings,
    Plan,
    StoredTeacher,
    TeacherSource,
    choose_engine,
    fit,
    forward_flops,
    predict,
)
from preceptor.types import Progress, View

__all__ = ["Trial", "flops_per_image"]

_ENGINES: Mapping[str, EngineName] = {
    "plain": "plain",
    "auto": "auto",
    "live": "fast",
    "stored": "fast",
}
_SHORT = 0.0  # work so little that engine=auto does not compile


class Trial:
    """One variant of a job, ready to train.

    Args:
        job: what is trained.
        variant: one of ours.
        folder: for checkpoints and labels.
    """

    def __init__(self, job: Job, variant: str, folder: Path) -> None:
        torch.manual_seed(0)
        self._folder = folder
        self._split, self._normalisation = images(job)
        self._engine = choose_engine(job.device, name=_ENGINES[variant]).decide(_SHORT)
        teacher, student = _networks(job)
        teacher = self._engine.place(teacher)
        network = self._engine.place(observe(student, ()))
        objective = Sum(cross_entropy=(0.1, CrossEntropy()), kd=(0.9, KD(4.0)))
        self._learner = self._engine.place(
            Learner(network, objective, self._engine.accelerate(network, job.batch_size))
        )
        self._source: TeacherSource = LiveTeacher(observe(teacher, ()), self._engine, job.batch_size)
        shown = None
        if variant == "stored":
            self._source, shown = self._stored(job, teacher), FixedViews(0, job.views)
        self._loader = Loader(
            self._split,
            batch_size=job.batch_size,
            view="crop_flip",
            normalisation=self._normalisation,
            seed=0,
            device=self._engine.device,
            shown=shown,
        )
        self._optimizer = OptimizerSettings("sgd", 0.05, 5e-4).make(self._learner)

    @property
    def engine(self) -> Engine:
        """What it runs on."""
        return self._engine

    def train(self, stepped: Callable[[], None]) -> None:
        """Train until `stepped`, which is called after each step, raises."""
        fit(
            self._learner,
            loader=self._loader,
            teacher=self._source,
            optimizer=self._optimizer,
            plan=Plan(10**6, 10**6, LearningRate(0.05)),
            engine=self._engine,
            evaluate=dict,
            metrics_log=_NoJournal(),
            callback=_Listener(stepped),
            checkpoints=self._folder,
        )

    def parts(self, steps: int) -> dict[str, float]:
        """Return milliseconds a step by part, medians, each part waited for; and a batch's evaluation.

        Args:
            steps: how many are timed.
        """
        marks: dict[str, list[float]] = {}
        batches = self._loader.batches(1)
        self._learner.train()
        progress = Progress(1, 1, 0.0)
        for _ in range(steps):
            last = self._now()

            def mark(name: str, since: float) -> float:
                now = self._now()
                marks.setdefault(name, []).append(1e3 * (now - since))
                return now

            batch = next(batches)
            last = mark("data", last)
            answers = self._source(batch)
            last = mark("teacher", last)
            with self._engine.autocast():
                terms, _ = self._learner(batch, answers, progress)
                loss = total(terms, self._learner.objective.weights(progress))
            last = mark("student forward", last)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            last = mark("student backward", last)
            self._optimizer.step()
            last = mark("optimiser", last)
            rows = self._split.take(batch.index.cpu())
            plain = list(plain_batches(rows, self._normalisation, len(rows), self._engine.device))
            last = self._now()
            predict(self._learner.network, plain, self._engine)
            mark("evaluation", last)
        return {name: sorted(values)[len(values) // 2] for name, values in marks.items()}

    def _stored(self, job: Job, teacher: nn.Module) -> StoredTeacher:
        plain = LiveTeacher(observe(teacher, ()), Engine(self._engine.device, self._engine.precision))

        def predictions(requests: Iterable[tuple[int, Tensor]]) -> Iterator[Tensor]:
            seen = ((View("crop_flip", 0, number), rows) for number, rows in requests)
            for batch in seen_batches(self._split, seen, self._normalisation, self._engine.device):
                yield plain(batch).logits

        encoding = Encoding(job.num_classes)
        source = LabelSource(("bench",), "bench", len(self._split), "crop_flip", 0, encoding, self._engine.precision)
        write_labels(self._folder / "labels", Manifest(source, {}, job.views, 65536), predictions)
        return StoredTeacher(LabelStore(self._folder / "labels"), self._engine)

    def _now(self) -> float:
        if self._engine.device.type == "cuda":
            torch.cuda.synchronize(self._engine.device)
        return time.perf_counter()


def flops_per_image(job: Job) -> tuple[float, float]:
    """Return the floating-point operations that an image costs: in the teacher, and in the student (three passes)."""
    teacher, student = _networks(job)
    sample = torch.zeros(2, 3, 32, 32)
    return forward_flops(teacher, sample), 3 * forward_flops(student, sample)


def _networks(job: Job) -> tuple[nn.Module, nn.Module]:
    teacher, student = (
        create(name, num_classes=job.num_classes, input_shape=(3, 32, 32)) for name in (job.teacher, job.student)
    )
    return teacher, student


class _Listener:
    def __init__(self, stepped: Callable[[], None]) -> None:
        self._stepped = stepped

    def stepped(self, *_: object) -> None:
        self._stepped()

    def epoch_ended(self, row: EpochRow) -> None:
        """Nothing to show."""

    def note(self, line: str) -> None:
        """Nothing to show."""


class _NoJournal:
    def append(self, row: Mapping[str, object]) -> None:
        """Nothing is kept."""

    def size(self) -> int:
        return 0

    def cut(self, size: int) -> None:
        """Nothing was kept."""
