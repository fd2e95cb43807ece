"""A training step as one CUDA graph: recorded once per epoch, then started with a single launch.

Not yet run on a GPU (see docs/speed.md). What is recorded is the ordinary step on tensors that stay where they are: each batch is
copied into them, and so are the learning rate and the weights of the terms, which change from step to step. All that Python
decides by the epoch (schedules, views, teachers) stays Python, because every epoch is recorded anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from preceptor.distributed.sharding import clip_gradients
from preceptor.messages import first_line
from preceptor.objectives.weighted import renormalise, weighted_sum
from preceptor.training.engine import Engine
from preceptor.training.optimizers.base import StepLoss
from preceptor.training.plan import Plan
from preceptor.training.state import TrainState
from preceptor.training.step import train_step
from preceptor.training.teachers import TeacherSource
from preceptor.types import Batch

__all__ = ["GraphedSteps", "Record", "cuda_graph"]

Record = Callable[[Callable[[], None]], Callable[[], None]]  # returns what repeats the operations of a function
_EAGER_FIRST = 3  # ordinary steps on each kind of batch before it is recorded: libraries set themselves up in them


def cuda_graph(function: Callable[[], None]) -> Callable[[], None]:
    """Return what repeats the operations of a function on the device; the function runs once, and computes nothing."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay


@dataclass(slots=True)
class _Recorded:
    """A recorded step: where it reads from, what repeats it, and where it leaves each term, the loss and the logits."""

    batch: Batch
    rate_and_weights: Tensor
    repeat: Callable[[], None]
    terms: Mapping[str, Tensor]
    found: Mapping[str, Tensor]


class GraphedSteps:
    """Takes training steps, those on full batches as recorded ones.

    Args:
        state: of one process, whose optimiser takes `found_inf`.
        teacher: as for `train_step`.
        plan: without gradient accumulation.
        engine: its device.
        record: how a step is recorded.
    """

    def __init__(
        self, state: TrainState, teacher: TeacherSource | None, plan: Plan, engine: Engine, record: Record = cuda_graph
    ) -> None:
        self._state = state
        self._teacher = teacher
        self._plan = plan
        self._engine = engine
        self._record = record
        self._works = engine.processes.world_size == 1 and plan.accumulate == 1 and state.finite.is_late
        self._epoch = 0
        self._recorded: dict[Hashable, _Recorded] = {}
        self._steps: Counter[Hashable] = Counter()  # of each kind of batch
        self._steps_this_epoch: Counter[Hashable] = Counter()

    def __call__(self, batch: Batch) -> str | None:
        """Take one step, as `train_step` does."""
        progress = self._state.progress.of(self._plan.epochs, self._state.num_batches)
        weights = self._state.learner.objective.weights(progress)
        if progress.epoch != self._epoch:
            self._epoch = progress.epoch
            self._recorded.clear()
            self._steps_this_epoch.clear()
        labels = None if batch.labels is None else (batch.num_labelled, batch.labels.dtype)
        counted = tuple(name for name, weight in weights.items() if weight != 0.0)
        kind = (batch.inputs.shape, labels, len(batch.index), batch.renormalise, counted)
        if self._works and kind not in self._recorded and self._is_due(kind):
            self._try(kind, batch, counted)
        if not self._works or kind not in self._recorded:
            self._steps[kind] += 1
            self._steps_this_epoch[kind] += 1
            return train_step(self._state, batch, self._teacher, self._plan, self._engine)
        return self._repeat(self._recorded[kind], batch, weights)

    def _is_due(self, kind: Hashable) -> bool:
        return self._steps[kind] >= _EAGER_FIRST and self._steps_this_epoch[kind] >= 1

    def _try(self, kind: Hashable, batch: Batch, counted: tuple[str, ...]) -> None:
        try:
            self._recorded[kind] = self._recorded_step(batch, counted)
        except Exception as error:  # whatever cannot be recorded: the ordinary step can still be taken
            self._works = False
            self._engine.tell(f"graph: steps run one operation at a time: {first_line(error)}")

    def _recorded_step(self, batch: Batch, counted: tuple[str, ...]) -> _Recorded:
        state, plan, engine = self._state, self._plan, self._engine
        progress = state.progress.of(plan.epochs, state.num_batches)
        own = _copied(batch)
        rate_and_weights = torch.zeros(1 + len(state.learner.objective.running), device=engine.device)
        weight_of = dict(zip(state.learner.objective.running, rate_and_weights[1:].unbind(), strict=True))
        found: dict[str, Tensor] = {}
        terms: dict[str, Tensor] = {}

        def step() -> None:
            state.optimizer.zero_grad()
            outputs = None if self._teacher is None else self._teacher(own)
            with engine.autocast():
                each, logits = state.learner(own, outputs, progress)
                names = [name for name in each if name in counted]
                loss = weighted_sum([each[name] for name in names], [weight_of[name] for name in names])
            state.finite.flag(loss)
            state.optimizer.backward(StepLoss(loss, each, {}, frozenset()), 1.0)
            state.optimizer.unscale()
            if plan.clip_norm is not None:
                clip_gradients(state.learner.parameters(), plan.clip_norm)
            state.optimizer.step(rate_and_weights[0])
            found.update(loss=loss.detach(), logits=logits.detach())
            terms.update({name: term.detach() for name, term in each.items()})

        return _Recorded(own, rate_and_weights, self._record(step), terms, found)

    def _repeat(self, recorded: _Recorded, batch: Batch, weights: Mapping[str, float]) -> str | None:
        state = self._state
        progress = state.progress.of(self._plan.epochs, state.num_batches)
        if batch.renormalise:
            weights = renormalise(weights, state.learner.objective.present(batch))
        numbers = [self._plan.learning_rate(progress), *(weights.get(n, 0.0) for n in state.learner.objective.running)]
        recorded.rate_and_weights.copy_(torch.tensor(numbers), non_blocking=True)
        for name, tensor in _tensors(recorded.batch).items():
            tensor.copy_(_tensors(batch)[name], non_blocking=True)
        recorded.repeat()
        loss, logits = recorded.found["loss"], recorded.found["logits"]
        state.metrics.add(logits, batch.labels, loss, recorded.terms, weights)
        return state.finite.keep(state.progress.step, loss, recorded.terms)


def _tensors(batch: Batch) -> dict[str, Tensor]:
    own = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in {**own, **batch.extra_views}.items() if isinstance(value, Tensor)}


def _copied(batch: Batch) -> Batch:
    views = {name: inputs.clone() for name, inputs in batch.extra_views.items()}
    labels = None if batch.labels is None else batch.labels.clone()
    return replace(batch, inputs=batch.inputs.clone(), labels=labels, index=batch.index.clone(), extra_views=views)
