"""The one module that is trained, and the places a teacher's answers can come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from preceptor.divergences import each_class, log_soften
from preceptor.labels import LabelStore
from preceptor.models import Observed
from preceptor.objectives.weighted import Sum
from preceptor.training.engine import Engine, Forward
from preceptor.training.sharding import whole_state
from preceptor.types import Batch, Clock, Outputs, Step, Task

__all__ = [
    "Bystander",
    "Learner",
    "LiveTeacher",
    "StoredTeacher",
    "TeacherRoute",
    "TeacherSource",
    "TeacherTeam",
    "TruthTeacher",
    "ask",
    "together",
]

TeacherSource = Callable[[Batch], Outputs]


def ask(forward: Forward, batch: Batch) -> Outputs:
    """Return what a network says of a batch and, in the same forward pass, of its further views."""
    if not batch.further:
        return forward(batch.inputs)
    together = forward(torch.cat([batch.inputs, *batch.further.values()]))
    rows = len(batch.inputs)
    parts = [together.rows(start, start + rows) for start in range(0, len(together.logits), rows)]
    return replace(parts[0], views=dict(zip(batch.further, parts[1:], strict=True)))


class Learner(nn.Module):
    """The network and its objective together: what is moved, optimised, saved and restored as one.

    Args:
        network: is trained.
        objective: is minimised; what it learns is trained too.
        forward_pass: the network's forward pass as an engine accelerates it; the network itself when not given.
        plain: a copy of the network that stays whole, where the network's weights are parted over processes.
    """

    def __init__(
        self,
        network: Observed,
        objective: Sum,
        forward_pass: Forward | None = None,
        plain: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        # in tuples, they are no further children of this module
        self._ways: tuple[Forward, ...] = (forward_pass or network,)
        self._plain: tuple[nn.Module | None] = (plain,)

    def forward(
        self, batch: Batch, teacher: Outputs | None, clock: Clock, whole: Callable[[Step], Step] | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return each term's unweighted loss, and the logits.

        Args:
            batch: this process's rows.
            teacher: what it said of them.
            clock: where in the run the step stands.
            whole: makes of a step with these rows the one with those of all processes.
        """
        outputs = self.answer(batch, teacher)
        step = Step(batch, outputs, teacher, self.network.model, clock)
        return self.objective.terms(step, whole), outputs.logits

    def answer(self, batch: Batch, teacher: Outputs | None) -> Outputs:
        """Return what the network says of a batch."""
        return ask(self.forward_pass, batch)

    def whole_network(self) -> nn.Module:
        """Return the network with all its weights; where they are parted, its copy, and all processes call this together."""
        (plain,) = self._plain
        if plain is None:
            return self.network.model
        plain.load_state_dict(whole_state(self.network.model.state_dict()))
        return plain

    @property
    def forward_pass(self) -> Forward:
        """How the network is asked."""
        return self._ways[0]


class Bystander(Learner):
    """A learner whose network is not asked: its objective studies the teacher, whose outputs stand for the student's."""

    def answer(self, batch: Batch, teacher: Outputs | None) -> Outputs:
        """Return what the teacher said."""
        assert teacher is not None, "a stage that trains the objective alone needs a teacher"
        return teacher


class LiveTeacher:
    """A frozen network asked anew for every batch.

    It is not an nn.Module and no child of one: nothing can put it into training mode or hand it to an optimiser.

    Args:
        network: is put on the engine's device, into eval mode, and takes no gradients from then on.
        engine: device, precision, compilation.
        rows: of a full batch with all its views.
    """

    def __init__(self, network: Observed, engine: Engine, rows: int = 0) -> None:
        engine.place(network).eval().requires_grad_(False)
        engine.shard(network.model, "teacher")
        self._forward = engine.accelerate(network, rows)
        self._engine = engine

    def __call__(self, batch: Batch) -> Outputs:
        with torch.no_grad(), self._engine.autocast():
            return ask(self._forward, batch)


class TeacherTeam:
    """Several teachers asked together: their mean distribution, the first one's features, and all of them as members.

    Args:
        teachers: all asked about every batch.
        task: of multi-label data the mean is taken of each class's probability.
    """

    def __init__(self, teachers: Sequence[TeacherSource], task: Task = "multiclass") -> None:
        self._teachers = tuple(teachers)
        self._task = task

    def __call__(self, batch: Batch) -> Outputs:
        return together([teacher(batch) for teacher in self._teachers], self._task)


class TeacherRoute:
    """Several states of one teacher asked in turn, by epoch: what comes after the last switch is asked to the end.

    Args:
        teachers: in the order in which they are asked.
        switch_epochs: the first epoch of each but the first, rising.
    """

    def __init__(self, teachers: Sequence[TeacherSource], switch_epochs: Sequence[int]) -> None:
        self._teachers = tuple(teachers)
        self._switch_epochs = tuple(switch_epochs)

    def __call__(self, batch: Batch) -> Outputs:
        return self._teachers[sum(batch.view.epoch >= epoch for epoch in self._switch_epochs)](batch)


def together(members: Sequence[Outputs], task: Task = "multiclass") -> Outputs:
    """Return the log of the mean distribution as logits, of each view too, with the first one's features, and all members.

    Of multi-label data the logits are the log-odds of each class's mean probability.
    """
    if task == "multilabel":
        pairs = [log_soften(each_class(member.logits)) for member in members]
        absent, present = torch.stack(pairs).logsumexp(0).unbind(1)
        logits = (present - absent).reshape(members[0].logits.shape)
    else:
        logits = torch.stack([log_soften(member.logits) for member in members]).logsumexp(0) - math.log(len(members))
    views = {name: together([member.views[name] for member in members], task) for name in members[0].views}
    return replace(members[0], logits=logits, views=views, members=tuple(members))


class TruthTeacher:
    """The true label distribution as a teacher: logits log p*(x), the upper bound that no teacher passes."""

    def __init__(self, truth: Tensor, engine: Engine) -> None:
        self._log_truth = truth.float().clamp_min(1e-12).log().to(engine.device)

    def __call__(self, batch: Batch) -> Outputs:
        return Outputs(self._log_truth[batch.index])


class StoredTeacher:
    """What a teacher said of these samples in this view, read from disk: logits only."""

    def __init__(self, store: LabelStore, engine: Engine) -> None:
        self._store = store
        self._engine = engine

    def __call__(self, batch: Batch) -> Outputs:
        return Outputs(self._store.logits(batch.view.epoch, batch.index).to(self._engine.device))
