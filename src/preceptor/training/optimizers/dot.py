"""DOT, an SGD that keeps the momentum of the labels' gradient and of the teacher's apart.

Source: Zhao, Cui, Song, Liang, "DOT: A Distillation-Oriented Trainer" (ICCV 2023, arXiv 2307.08436), algorithm 1:
    v_labels <- (momentum - delta) v_labels + g_labels + weight_decay w
    v_teacher <- (momentum + delta) v_teacher + g_teacher
    w <- w - lr (v_labels + v_teacher)
A parameter that only one side's gradient reaches has plain momentum, and decays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, overload

import torch
from torch import Tensor, nn
from torch._functorch import config as functorch_config

from preceptor.distributed import Processes
from preceptor.distributed.dtensors import is_sharded
from preceptor.errors import UsageError
from preceptor.training.optimizers.base import Optimizer, StepLoss

__all__ = ["DOT", "TwoGradients"]


class DOT(torch.optim.Optimizer):
    """SGD with two momenta; call `backward` with the two losses, then `step`.

    Args:
        params: parameters or groups.
        lr: learning rate.
        momentum: mean of the two momenta, in [0, 1).
        delta: half their difference; momentum + delta must stay below 1.
        weight_decay: L2, on the labels' side.

    Raises:
        ValueError: for a momentum that is not below 1.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        delta: float = 0.075,
        weight_decay: float = 0.0,
    ) -> None:
        if not 0 <= momentum - abs(delta) <= momentum + abs(delta) < 1:
            raise ValueError(f"delta: {delta} takes momentum {momentum} out of [0, 1)")
        super().__init__(params, {"lr": lr, "momentum": momentum, "delta": delta, "weight_decay": weight_decay})
        self._of_teacher: dict[Tensor, Tensor] = {}

    def backward(self, labels_loss: Tensor | None, teacher_loss: Tensor | None) -> None:
        """Compute both gradients; the teacher's is kept beside `grad`, which holds the labels'."""
        self.zero_grad(set_to_none=True)
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        self._of_teacher = {}
        if teacher_loss is not None:
            teacher_loss.backward(retain_graph=labels_loss is not None)  # type: ignore[no-untyped-call]
            for parameter in parameters:
                if parameter.grad is not None:
                    self._of_teacher[parameter], parameter.grad = parameter.grad, None
        if labels_loss is not None:
            labels_loss.backward()  # type: ignore[no-untyped-call]

    def swap(self) -> None:
        """Put the gradients of the other side into `grad`; what was there is kept beside it. A second call undoes the first."""
        kept, self._of_teacher = self._of_teacher, {}
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._of_teacher[parameter] = parameter.grad
                parameter.grad = kept.get(parameter)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step with the gradients of the last `backward`."""
        for group in self.param_groups:
            both = [p for p in group["params"] if p.grad is not None and p in self._of_teacher]
            of_labels = [p for p in group["params"] if p.grad is not None and p not in self._of_teacher]
            of_teacher = [p for p in group["params"] if p.grad is None and p in self._of_teacher]
            momentum, delta = group["momentum"], group["delta"]
            self._move(both, "labels", group, momentum - delta)
            self._move(both, "teacher", group, momentum + delta, decays=False)
            self._move(of_labels, "labels", group, momentum)
            self._move(of_teacher, "teacher", group, momentum)
        return None

    def _move(
        self, parameters: list[Tensor], side: str, group: dict[str, Any], momentum: float, *, decays: bool = True
    ) -> None:
        """Move parameters along one side's momentum, all in a few launches."""
        if not parameters:
            return
        kept = [self._of_teacher[p] if side == "teacher" else p.grad for p in parameters]
        gradients = [gradient for gradient in kept if gradient is not None]
        if decays and group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if side not in self.state[parameter]:
                self.state[parameter][side] = torch.zeros_like(gradient)
        buffers = [self.state[parameter][side] for parameter in parameters]
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, gradients)
        torch._foreach_add_(parameters, buffers, alpha=-group["lr"])


class TwoGradients(Optimizer):
    """DOT in the training step: the gradients of the labels' terms and of the teacher's are kept apart.

    Args:
        dot: holds the parameters and their state.
        names: of the parameters, in the order of its groups.
    """

    def __init__(self, dot: DOT, names: Sequence[str]) -> None:
        super().__init__(dot, names)
        self._dot = dot

    def backward(self, loss: StepLoss, scale: float) -> None:
        """Compute both gradients."""
        sides = [loss.side(uses_teacher=uses_teacher) for uses_teacher in (False, True)]
        self._dot.backward(*(None if side is None else side * scale for side in sides))

    def average_gradients(self, processes: Processes, parameters: Iterable[nn.Parameter]) -> None:
        """Make each gradient of either side its mean over all processes."""
        trained = list(parameters)
        processes.average_gradients(trained)
        self._dot.swap()
        processes.average_gradients(trained)
        self._dot.swap()

    def check(self, clip_norm: float | None, accumulate: int) -> None:
        """Check that gradients are neither clipped nor accumulated, and weights not sharded.

        Raises:
            UsageError: when they are.
        """
        if clip_norm is not None:
            raise UsageError(
                f"clip_norm: {clip_norm} cannot be used with optim=dot, whose two gradients it does not see"
            )
        if accumulate > 1:
            raise UsageError(f"accumulate: {accumulate} cannot be used with optim=dot, which keeps two gradients apart")
        if any(is_sharded(parameter) for group in self._dot.param_groups for parameter in group["params"]):
            raise UsageError(
                "sharding: all cannot be used with optim=dot, which goes backward twice through the network"
            )

    def compile_context(self) -> AbstractContextManager[object]:
        """Let compiled networks keep their buffers for the second backward pass."""
        patched: AbstractContextManager[object] = functorch_config.patch(donated_buffer=False)
        return patched
