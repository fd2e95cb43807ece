"""This library's own training loop on the same job: the real `fit`, with a callback per step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from preceptor.artifacts.metrics_log import MetricsLog
from preceptor.bench.job import Job, images
from preceptor.data import FixedViews, Loader, LoaderSettings, plain_batches, view_batches
from preceptor.distributed import Processes
from preceptor.labels import Encoding, LabelSource, LabelStore, Manifest, write_labels
from preceptor.models import create, observe
from preceptor.objectives.distill import KD
from preceptor.objectives.teacher import CrossEntropy
from preceptor.objectives.weighted import Sum
from preceptor.training import (
    Callback,
    Engine,
    EngineName,
    Learner,
    LearningRate,
    LiveTeacher,
    OptimizerSettings,
    Plan,
    RunFiles,
    StoredTeacher,
    TeacherSource,
    TrainState,
    choose_engine,
    fit,
    forward_flops,
    make_optimizer,
    predict,
)
from preceptor.training.optimizers.base import Optimizer, StepLoss
from preceptor.training.step import train_step
from preceptor.types import Batch, Outputs, View

__all__ = ["Trial", "flops_per_image"]

_ENGINES: Mapping[str, EngineName] = {
    "plain": "plain",
    "auto": "auto",
    "graph": "auto",
    "live": "fast",
    "stored": "fast",
    "stored_graph": "auto",
}
_PLAN = Plan(10**6, 10**6, LearningRate(0.05))
_SHORT = 0.0  # so little work that engine=auto does not compile


class Trial:
    """One variant of a job, ready for training.

    Args:
        job: what is trained.
        variant: one of `VARIANTS` other than the baseline.
        folder: for checkpoints and labels.
    """

    def __init__(self, job: Job, variant: str, folder: Path) -> None:
        torch.manual_seed(0)
        self._folder = folder
        self._split, self._normalisation = images(job)
        engine = choose_engine(job.device, name=_ENGINES[variant], graph=variant in {"graph", "stored_graph"})
        self._engine = engine.decide(_SHORT)
        teacher, student = _networks(job)
        teacher = self._engine.place(teacher)
        network = self._engine.place(observe(student, ()))
        objective = Sum(cross_entropy=(0.1, CrossEntropy()), kd=(0.9, KD(4.0)))
        self._learner = self._engine.place(
            Learner(network, objective, self._engine.accelerate(network, job.batch_size))
        )
        self._source: TeacherSource = LiveTeacher(observe(teacher, ()), self._engine, job.batch_size)
        views = None
        if variant in {"stored", "stored_graph"}:
            self._source, views = self._stored(job, teacher), FixedViews(0, job.views)
        self._loader = Loader(
            self._split,
            LoaderSettings(
                batch_size=job.batch_size,
                view="crop_flip",
                normalisation=self._normalisation,
                seed=0,
                device=self._engine.device,
                fixed_views=views,
            ),
        )
        self._optimizer = make_optimizer(OptimizerSettings(lr=0.05, weight_decay=5e-4), self._learner)

    @property
    def engine(self) -> Engine:
        """What it runs on."""
        return self._engine

    def train(self, stepped: Callable[[], None]) -> None:
        """Train until `stepped`, which is called after each step, raises."""
        files = RunFiles(self._folder, MetricsLog(self._folder / "metrics.jsonl", writes=False))
        state = self._state(self._optimizer)
        fit(
            state,
            self._loader,
            self._source,
            _PLAN,
            self._engine,
            evaluate=dict,
            files=files,
            callbacks=[_Each(stepped)],
        )

    def phases(self, steps: int) -> dict[str, float]:
        """Return milliseconds per step by component, medians, each one waited for; and a batch's evaluation.

        Args:
            steps: how many are timed.
        """
        watch = _Stopwatch(self._engine.device)
        state = self._state(_TimedOptimizer(self._optimizer, watch))
        hook = self._learner.register_forward_hook(lambda *_: watch.mark("student forward"))
        batches = self._loader.batches(1)
        self._learner.train()

        def teacher(batch: Batch) -> Outputs:
            outputs = self._source(batch)
            watch.mark("teacher")
            return outputs

        for _ in range(steps):
            watch.start()
            batch = next(batches)
            watch.mark("data")
            train_step(state, batch, teacher, _PLAN, self._engine)
            rows = self._split.take(batch.index.cpu())
            plain = list(plain_batches(rows, self._normalisation, len(rows), self._engine.device))
            watch.start()
            predict(self._learner.network, plain, self._engine)
            watch.mark("evaluation")
        hook.remove()
        return {name: sorted(times)[len(times) // 2] for name, times in watch.times.items()}

    def _state(self, optimizer: Optimizer) -> TrainState:
        return TrainState(self._learner, optimizer, _PLAN, self._loader.num_batches)

    def _stored(self, job: Job, teacher: nn.Module) -> StoredTeacher:
        plain = LiveTeacher(observe(teacher, ()), Engine(self._engine.device, self._engine.precision))

        def predictions(requests: Iterable[tuple[int, Tensor]]) -> Iterator[Tensor]:
            views = ((View("crop_flip", 0, number), rows) for number, rows in requests)
            for batch in view_batches(self._split, views, self._normalisation, self._engine.device):
                yield plain(batch).logits

        encoding = Encoding(job.num_classes)
        source = LabelSource(("bench",), "bench", len(self._split), "crop_flip", 0, encoding, self._engine.precision)
        write_labels(self._folder / "labels", Manifest(source, {}, job.views, 65536), predictions)
        return StoredTeacher(LabelStore(self._folder / "labels"))


def flops_per_image(job: Job) -> tuple[float, float]:
    """Return the floating-point operations per image: of the teacher, and of the student (three passes)."""
    teacher, student = _networks(job)
    sample = torch.zeros(2, 3, 32, 32)
    return forward_flops(teacher, sample), 3 * forward_flops(student, sample)


def _networks(job: Job) -> tuple[nn.Module, nn.Module]:
    teacher, student = (
        create(name, num_classes=job.num_classes, input_shape=(3, 32, 32)) for name in (job.teacher, job.student)
    )
    return teacher, student


class _Each(Callback):
    def __init__(self, stepped: Callable[[], None]) -> None:
        self._stepped = stepped

    def stepped(self, state: TrainState, plan: Plan) -> None:
        self._stepped()


class _Stopwatch:
    """Milliseconds by name, each from the mark before it, once the device is done."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.times: dict[str, list[float]] = {}
        self.start()

    def start(self) -> None:
        self._last = self._now()

    def mark(self, name: str) -> None:
        now = self._now()
        self.times.setdefault(name, []).append(1e3 * (now - self._last))
        self._last = now

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


class _TimedOptimizer(Optimizer):
    def __init__(self, optimizer: Optimizer, watch: _Stopwatch) -> None:
        super().__init__(optimizer.inner, optimizer.names)
        self._optimizer = optimizer
        self._watch = watch

    def backward(self, loss: StepLoss, scale: float) -> None:
        self._optimizer.backward(loss, scale)
        self._watch.mark("student backward")

    def average_gradients(self, processes: Processes, parameters: Iterable[nn.Parameter]) -> None:
        self._optimizer.average_gradients(processes, parameters)

    def step(self, lr: float | Tensor) -> None:
        self._optimizer.step(lr)
        self._watch.mark("optimiser")
