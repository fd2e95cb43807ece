"""An optimiser as the training step uses it: torch's own, or one with more than one gradient per step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.distributed import Processes
from preceptor.distributed.sharding import load_full_optimizer
from preceptor.objectives.weighted import total

__all__ = ["OneGradient", "Optimizer", "StepLoss"]


@dataclass(frozen=True, slots=True)
class StepLoss:
    """The loss of a step.

    Attributes:
        total: the weighted sum of the terms.
        terms: unweighted, by name.
        weights: of the terms.
        teacher_terms: names of those that use the teacher.
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    weights: Mapping[str, float]
    teacher_terms: frozenset[str]

    def side(self, *, uses_teacher: bool) -> Tensor | None:
        """Return the weighted sum of the terms that use the teacher, or of the others; None where there are none."""
        terms = {
            name: term
            for name, term in self.terms.items()
            if (name in self.teacher_terms) is uses_teacher and self.weights[name] != 0.0
        }
        return total(terms, self.weights) if terms else None


class Optimizer(ABC):
    """The interface between the training step and an optimiser.

    Args:
        inner: holds the parameters and their state.
    """

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner = inner

    @abstractmethod
    def backward(self, loss: StepLoss, scale: float) -> None:
        """Add the gradients of a loss, times `scale`, to the accumulated ones."""

    @abstractmethod
    def average_gradients(self, processes: Processes, parameters: Iterable[nn.Parameter]) -> None:
        """Make every gradient its mean over all processes."""

    def check(self, clip_norm: float | None, accumulate: int) -> None:  # noqa: B027  (most have no limits)
        """Check that it supports these settings.

        Raises:
            UsageError: when it does not.
        """

    def compile_context(self) -> AbstractContextManager[object]:
        """Return the context in which compiled networks train."""
        return nullcontext()

    def zero_grad(self) -> None:
        """Clear all gradients."""
        self.inner.zero_grad(set_to_none=True)

    def step(self, lr: float) -> None:
        """Update the weights."""
        for group in self.inner.param_groups:
            group["lr"] = lr
        self.inner.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state, for a checkpoint."""
        return self.inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state whose tensors are full.

        Raises:
            ValueError: when it does not fit.
        """
        load_full_optimizer(self.inner, state)


class OneGradient(Optimizer):
    """Any optimiser of torch, which takes one gradient per step."""

    def backward(self, loss: StepLoss, scale: float) -> None:
        """Add the gradients of the total."""
        (loss.total if scale == 1 else loss.total * scale).backward()  # type: ignore[no-untyped-call]

    def average_gradients(self, processes: Processes, parameters: Iterable[nn.Parameter]) -> None:
        """Make every gradient its mean over all processes."""
        processes.average_gradients(parameters)
