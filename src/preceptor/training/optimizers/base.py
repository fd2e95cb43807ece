"""An optimiser as the training step uses it: torch's own, or one with more than one gradient per step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from preceptor.distributed import Processes
from preceptor.distributed.dtensors import is_sharded
from preceptor.distributed.sharding import shard_like
from preceptor.messages import first_few
from preceptor.objectives.weighted import total

__all__ = ["NO_SCALER", "OneGradient", "Optimizer", "StepLoss"]

NO_SCALER = GradScaler("cpu", enabled=False)
_SCALER = ":scaler"  # no parameter has such a name


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
        names: of the parameters, in the order of its groups.
        scaler: of losses, so that gradients do not vanish in fp16; none by default. A step whose gradients overflow is skipped.
    """

    def __init__(self, inner: torch.optim.Optimizer, names: Sequence[str], scaler: GradScaler = NO_SCALER) -> None:
        self.inner = inner
        self.names = tuple(names)
        self.scaler = scaler

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

    @property
    def takes_found_inf(self) -> bool:
        """Whether its step can be told, on the device, not to move the weights: all weights take torch's fused step."""
        return all(group.get("fused") for group in self.inner.param_groups)

    def take_found_inf(self, found_inf: Tensor) -> None:
        """Let no step move the weights while a number on the device, float32 [], is 1: where the scaler puts its flag, too."""

        def join(inner: Any, *_: object) -> None:
            inner.found_inf = torch.maximum(inner.found_inf, found_inf)

        if self.scaler.is_enabled():
            self.inner.register_step_pre_hook(join)
        else:
            self.inner.found_inf = found_inf  # type: ignore[attr-defined]

    @property
    def loss_scale(self) -> float:
        """What losses are multiplied by; waits for the device."""
        return self.scaler.get_scale()

    def zero_grad(self) -> None:
        """Clear all gradients."""
        self.inner.zero_grad(set_to_none=True)

    def unscale(self) -> None:
        """Divide the gradients by the scale of the loss, before anything looks at them."""
        self.scaler.unscale_(self.inner)

    def step(self, lr: float | Tensor) -> None:
        """Update the weights; a fused step also takes a rate that lies on the device."""
        for group in self.inner.param_groups:
            group["lr"] = lr
        self.scaler.step(self.inner)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each parameter that has one, by name, and of the scaler, for a checkpoint."""
        states = {
            name: dict(self.inner.state[parameter])
            for name, parameter in self._parameters()
            if parameter in self.inner.state
        }
        return {**states, _SCALER: self.scaler.state_dict()} if self.scaler.is_enabled() else states

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state whose tensors are full; they get each parameter's own device, layout and shards.

        Raises:
            ValueError: when it does not fit.
        """
        if unknown := sorted(set(state) - {*self.names, _SCALER}):
            raise ValueError(f"the optimiser's state is of other parameters: {first_few(unknown)}")
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state[_SCALER])
        fused = {parameter for group in self.inner.param_groups if group.get("fused") for parameter in group["params"]}
        for name, parameter in self._parameters():
            if name in state:
                own = self.inner.state[parameter]
                own.clear()
                own.update({key: _like(value, parameter, parameter in fused) for key, value in state[name].items()})

    def _parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        parameters = [parameter for group in self.inner.param_groups for parameter in group["params"]]
        return zip(self.names, parameters, strict=True)


def _like(value: Any, parameter: nn.Parameter, is_fused: bool) -> Any:
    """Return an entry of a parameter's state as the optimiser keeps it."""
    if not isinstance(value, Tensor):
        return value
    if value.shape != parameter.shape:  # a count of steps
        return value.to(parameter.device) if is_fused else value
    if is_sharded(parameter):
        return shard_like(value, parameter)
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)  # fused steps need the parameter's layout


class OneGradient(Optimizer):
    """Any optimiser of torch, which takes one gradient per step."""

    def backward(self, loss: StepLoss, scale: float) -> None:
        """Add the gradients of the total."""
        scaled = self.scaler.scale(loss.total if scale == 1 else loss.total * scale)
        scaled.backward()  # type: ignore[no-untyped-call]

    def average_gradients(self, processes: Processes, parameters: Iterable[nn.Parameter]) -> None:
        """Make every gradient its mean over all processes."""
        processes.average_gradients(parameters)
