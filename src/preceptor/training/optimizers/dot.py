"""DOT, an SGD that keeps the momentum of the labels' gradient and of the teacher's apart.

Source: Zhao, Cui, Song, Liang, "DOT: A Distillation-Oriented Trainer" (ICCV 2023, arXiv 2307.08436), algorithm 1:
    v_labels <- (momentum - delta) v_labels + g_labels + weight_decay w
    v_teacher <- (momentum + delta) v_teacher + g_teacher
    w <- w - lr (v_labels + v_teacher)
A parameter that only one side's gradient reaches has plain momentum, and decays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor

__all__ = ["DOT"]


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
            for parameter in group["params"]:
                gradients = {"labels": parameter.grad, "teacher": self._of_teacher.get(parameter)}
                given = {side: gradient for side, gradient in gradients.items() if gradient is not None}
                deltas = {"labels": -group["delta"], "teacher": group["delta"]} if len(given) == 2 else {}
                decayed = "labels" if "labels" in given else "teacher"
                for side, gradient in given.items():
                    decay = group["weight_decay"] if side == decayed else 0.0
                    pull = gradient.add(parameter, alpha=decay) if decay else gradient
                    self._move(parameter, side, pull, group["momentum"] + deltas.get(side, 0.0), group["lr"])
        return None

    def _move(self, parameter: Tensor, side: str, gradient: Tensor, momentum: float, lr: float) -> None:
        buffers = self.state[parameter]
        if side in buffers:
            buffers[side].mul_(momentum).add_(gradient)
        else:
            buffers[side] = gradient.clone()
        parameter.add_(buffers[side], alpha=-lr)
