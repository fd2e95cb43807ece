"""The one module that is trained: a network and its objective."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from preceptor.distributed.sharding import full_state
from preceptor.models import Observed
from preceptor.objectives.base import Objective
from preceptor.objectives.weighted import Sum
from preceptor.training.engine import Forward
from preceptor.training.teachers import forward
from preceptor.types import Batch, Outputs, Progress, Step

__all__ = ["Learner", "ObjectiveOnlyLearner"]


class Learner(nn.Module):
    """The network and its objective as one module: moved, optimised, saved and restored as one.

    Args:
        network: is trained.
        objective: is minimised; what it learns is trained too.
        forward_pass: the network's forward pass as an engine accelerates it; the network itself by default.
        unsharded: a copy of the network for its full weights, where the network's are sharded over processes.
    """

    def __init__(
        self,
        network: Observed,
        objective: Sum,
        forward_pass: Forward | None = None,
        unsharded: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        # in tuples, they are no further children of this module
        self._forward_pass: tuple[Forward] = (network if forward_pass is None else forward_pass,)
        self._unsharded: tuple[nn.Module | None] = (unsharded,)

    def forward(
        self, batch: Batch, teacher: Outputs | None, progress: Progress, gather: Callable[[Step], Step] | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return each term's unweighted loss, and the logits.

        Args:
            batch: this process's rows.
            teacher: its outputs for them.
            progress: where in the run the step stands.
            gather: returns the step with the rows of all processes.
        """
        outputs = self.outputs(batch, teacher)
        step = Step(batch, outputs, teacher, self.network.model, progress)
        return self.objective.terms(step, gather), outputs.logits

    def outputs(self, batch: Batch, teacher: Outputs | None) -> Outputs:
        """Return the network's outputs for a batch."""
        return forward(self.forward_pass, batch)

    def full_network(self) -> nn.Module:
        """Return the network with full weights; where they are sharded, a copy, and every process must call this."""
        (unsharded,) = self._unsharded
        if unsharded is None:
            return self.network.model
        unsharded.load_state_dict(full_state(self.network.model.state_dict()))
        return unsharded

    def synced_buffers(self) -> list[Tensor]:
        """Return the buffers that several processes average: floating-point ones that hold no row per sample."""
        banks = {
            id(module.get_buffer(name))
            for module in self.modules()
            if isinstance(module, Objective)
            for name in module.memory_banks
        }
        return [buffer for buffer in self.buffers() if buffer.is_floating_point() and id(buffer) not in banks]

    @property
    def forward_pass(self) -> Forward:
        """The network's forward pass, accelerated."""
        return self._forward_pass[0]


class ObjectiveOnlyLearner(Learner):
    """A learner whose network does not run: the teacher's outputs take the place of the student's."""

    def outputs(self, batch: Batch, teacher: Outputs | None) -> Outputs:
        """Return the teacher's outputs."""
        assert teacher is not None, "a stage that trains the objective alone needs a teacher"
        return teacher
