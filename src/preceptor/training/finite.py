"""Finds the step whose loss is not finite, without waiting for the device at each step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, distributed

from preceptor.distributed import ONE_PROCESS, Processes
from preceptor.training.optimizers.base import Optimizer

__all__ = ["FiniteCheck", "all_finite"]

_STEPS_KEPT = 16


class FiniteCheck:
    """The losses of the last steps, read together every few steps.

    A GPU runs behind the host, and reading a number waits for it. So a GPU keeps the losses itself, together with a flag that
    a fused optimiser takes: from the first loss that is not finite on, no step moves the weights. Where the optimiser takes no
    such flag, or the device is not CUDA, each loss is looked at before the backward pass.

    Args:
        terms: names of the objective's terms.
        optimizer: gets the flag.
        device: of the losses.
        processes: that share each step.
        late: whether losses are read only every few steps, if the optimiser takes the flag; None: on CUDA.

    Attributes:
        is_late: whether they are.
    """

    def __init__(
        self,
        terms: Iterable[str],
        optimizer: Optimizer,
        device: torch.device,
        processes: Processes = ONE_PROCESS,
        *,
        late: bool | None = None,
    ) -> None:
        self._terms = tuple(terms)
        self._device = device
        self._processes = processes
        self._steps: list[int] = []
        self.is_late = (device.type == "cuda" if late is None else late) and optimizer.takes_found_inf
        if self.is_late:
            self._found = torch.zeros((), device=device)
            self._losses = torch.zeros(_STEPS_KEPT, 1 + len(self._terms), device=device)
            optimizer.take_found_inf(self._found)

    def look(self, step: int, loss: Tensor, terms: Mapping[str, Tensor]) -> str | None:
        """Take in the loss of a step. If one is known not to be finite, return a message with its step.

        Args:
            step: how many steps were taken before.
            loss: the weighted sum.
            terms: unweighted, by name.
        """
        if not self.is_late:
            found = self._processes.any(not bool(torch.isfinite(loss)), self._device)
            return _message(step, {name: float(term.detach()) for name, term in terms.items()}) if found else None
        self.flag(loss)
        return self.keep(step, loss, terms)

    @torch.no_grad()
    def flag(self, loss: Tensor) -> None:
        """Raise the flag if a loss is not finite, on the device."""
        not_finite = ((loss - loss) != 0).float()  # infinity minus itself is no number, and differs from 0
        if self._processes.world_size > 1:
            distributed.all_reduce(not_finite, distributed.ReduceOp.MAX)
        self._found.copy_(torch.maximum(self._found, not_finite))

    @torch.no_grad()
    def keep(self, step: int, loss: Tensor, terms: Mapping[str, Tensor]) -> str | None:
        """Keep the loss of a step, flagged already, and read it with those of others; the message is that of `look`."""
        losses = [loss, *(terms.get(name, loss.new_zeros(())) for name in self._terms)]
        self._losses[len(self._steps)] = torch.stack([value.detach().float() for value in losses])
        self._steps.append(step)
        return self.read() if len(self._steps) == _STEPS_KEPT else None

    def read(self) -> str | None:
        """Wait for the losses that were not read yet. If one is not finite, return a message with its step."""
        if not self._steps:
            return None
        found, losses = bool(self._found), self._losses.tolist()  # the flag is that of all processes
        steps, self._steps = self._steps, []
        if not found:
            return None
        for step, (loss, *terms) in zip(steps, losses, strict=False):
            if loss - loss != 0:
                return _message(step, dict(zip(self._terms, terms, strict=True)))
        return _message(steps[-1], {})


def _message(step: int, terms: Mapping[str, float]) -> str:
    not_finite = ", ".join(f"{name} = {value}" for name, value in terms.items() if value - value != 0)
    return f"step {step}: {f'term {not_finite}' if not_finite else 'the weighted sum of the terms'} is not finite"


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Return whether no floating-point entry is NaN or infinite; waits for the device once."""
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        if tensor.is_floating_point() and tensor.numel():
            by_dtype.setdefault(tensor.dtype, []).append(tensor.detach())
    largest = [torch.stack(torch._foreach_norm(same, math.inf)) for same in by_dtype.values()]
    flags = [torch.isfinite(norms).all() for norms in largest]
    return not flags or bool(torch.stack(flags).all())
