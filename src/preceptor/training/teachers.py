"""Where a teacher's outputs come from: networks, several of them, the true label distribution, a label store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from preceptor.divergences import log_mean, log_soften, one_vs_rest
from preceptor.labels import LabelStore
from preceptor.models import Observed
from preceptor.training.engine import Engine, Forward
from preceptor.types import Batch, Outputs, Task

__all__ = [
    "EnsembleTeacher",
    "LiveTeacher",
    "OracleTeacher",
    "SequentialTeacher",
    "StoredTeacher",
    "TeacherSource",
    "average_outputs",
    "forward",
]

TeacherSource = Callable[[Batch], Outputs]


def forward(forward_pass: Forward, batch: Batch) -> Outputs:
    """Return a network's outputs for a batch and, from the same forward pass, for its extra views."""
    if not batch.extra_views:
        return forward_pass(batch.inputs)
    outputs = forward_pass(torch.cat([batch.inputs, *batch.extra_views.values()]))
    rows = len(batch.inputs)
    first, *others = [outputs.rows(start, start + rows) for start in range(0, len(outputs.logits), rows)]
    return replace(first, views=dict(zip(batch.extra_views, others, strict=True)))


class LiveTeacher:
    """A frozen network that runs for every batch.

    It is no nn.Module: nothing can put it into training mode or pass it to an optimiser.

    Args:
        network: is put on the engine's device, into eval mode, and takes no gradients from then on.
        engine: device, precision, compilation.
        rows: of a full batch with all its views.
    """

    def __init__(self, network: Observed, engine: Engine, rows: int = 0) -> None:
        engine.place(network).eval().requires_grad_(False)
        engine.shard(network.model, "teacher")
        self._forward_pass: Forward = engine.accelerate(network, rows)
        draws = any(module.training for module in network.modules())  # dropout that stays on: folding compares outputs
        self._to_fold: Observed | None = None if engine.compiles or draws else network  # until the first batch
        self._engine = engine

    def __call__(self, batch: Batch) -> Outputs:
        with torch.no_grad(), self._engine.autocast():
            if self._to_fold is not None:
                self._forward_pass, self._to_fold = self._engine.fold(self._to_fold, batch.inputs[:2]), None
            return forward(self._forward_pass, batch)


class EnsembleTeacher:
    """Several teachers: their mean distribution, the first one's features, and all of them as members.

    Args:
        teachers: all run for every batch.
        task: on multi-label data, each class's probability is averaged.
    """

    def __init__(self, teachers: Sequence[TeacherSource], task: Task = "multiclass") -> None:
        self._teachers = tuple(teachers)
        self._task = task

    def __call__(self, batch: Batch) -> Outputs:
        return average_outputs([teacher(batch) for teacher in self._teachers], self._task)


class SequentialTeacher:
    """Several states of one teacher, one after another; the last one stays to the end of the run.

    Args:
        teachers: in order.
        switch_epochs: the first epoch of the second teacher, of the third, ...; rising.
    """

    def __init__(self, teachers: Sequence[TeacherSource], switch_epochs: Sequence[int]) -> None:
        self._teachers = tuple(teachers)
        self._switch_epochs = tuple(switch_epochs)

    def __call__(self, batch: Batch) -> Outputs:
        return self._teachers[sum(batch.view.epoch >= epoch for epoch in self._switch_epochs)](batch)


def average_outputs(members: Sequence[Outputs], task: Task = "multiclass") -> Outputs:
    """Return the log of the mean distribution as logits, for each view too, with the first one's features and all members.

    On multi-label data, the logits are the log-odds of each class's mean probability.
    """
    if task == "multilabel":
        pairs = [log_soften(one_vs_rest(member.logits)) for member in members]
        absent, present = torch.stack(pairs).logsumexp(0).unbind(1)
        logits = (present - absent).reshape(members[0].logits.shape)
    else:
        logits = log_mean(torch.stack([log_soften(member.logits) for member in members]))
    views = {name: average_outputs([member.views[name] for member in members], task) for name in members[0].views}
    return replace(members[0], logits=logits, views=views, members=tuple(members))


class OracleTeacher:
    """The true label distribution as a teacher: logits log p*(x), an upper bound for any teacher."""

    def __init__(self, truth: Tensor, engine: Engine) -> None:
        self._log_truth = truth.float().clamp_min(1e-12).log().to(engine.device)

    def __call__(self, batch: Batch) -> Outputs:
        return Outputs(self._log_truth[batch.index])


class StoredTeacher:
    """A teacher's stored outputs for the samples and view of a batch: logits only."""

    def __init__(self, store: LabelStore) -> None:
        self._store = store

    def __call__(self, batch: Batch) -> Outputs:
        return Outputs(self._store.logits(batch.view.epoch, batch.index))
