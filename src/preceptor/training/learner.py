"""The one module that is trained, and the two places a teacher's answers can come from."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from preceptor.models import Observed
from preceptor.objectives.base import Sum
from preceptor.training.engine import Engine
from preceptor.types import Batch, Clock, Outputs, Step

__all__ = ["Learner", "LiveTeacher", "TeacherSource", "TruthTeacher"]

TeacherSource = Callable[[Batch], Outputs]


class Learner(nn.Module):
    """The network and its objective together: what is moved, optimised, saved and restored as one."""

    def __init__(self, network: Observed, objective: Sum) -> None:
        super().__init__()
        self.network = network
        self.objective = objective

    def forward(self, batch: Batch, teacher: Outputs | None, clock: Clock) -> tuple[dict[str, Tensor], Tensor]:
        """Return each term's unweighted loss, and the logits."""
        outputs: Outputs = self.network(batch.inputs)
        step = Step(batch, outputs, teacher, self.network.model, clock)
        return self.objective.terms(step), outputs.logits


class LiveTeacher:
    """A frozen network asked anew for every batch.

    It is not an nn.Module and no child of one: nothing can put it into training mode or hand it to an optimiser.
    """

    def __init__(self, network: Observed, engine: Engine) -> None:
        self._network = engine.place(network).eval().requires_grad_(False)
        self._engine = engine

    def __call__(self, batch: Batch) -> Outputs:
        with torch.no_grad(), self._engine.autocast():
            outputs: Outputs = self._network(batch.inputs)
            return outputs


class TruthTeacher:
    """The true label distribution as a teacher: logits log p*(x), the upper bound that no teacher passes."""

    def __init__(self, truth: Tensor, engine: Engine) -> None:
        self._log_truth = truth.float().clamp_min(1e-12).log().to(engine.device)

    def __call__(self, batch: Batch) -> Outputs:
        return Outputs(self._log_truth[batch.index])
