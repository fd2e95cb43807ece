"""Lipschitz regularisation: a sum of layer norms that bounds how fast the network's output can change.

Source: Dong, Liu, Shang, "Toward Student-Oriented Teacher Network Training for Knowledge Distillation" (ICLR 2024, arXiv
2206.06661), the released form; its weight is 1e-5. At conv_norm="entrywise" more than 99.9 % of it is the L1 norm of the
convolutions. To keep the pressure comparable multiply the weight by about 75 for the induced norms and by about 1,100 for
"spectral", and tune again: their gradients fall on one row, column or direction.
Differs from the authors' code: grouped convolutions have induced norms too, and "spectral" and "logsum" are ours.
"""

from __future__ import annotations

import re
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preceptor.objectives.base import Objective, Setting
from preceptor.types import Step

__all__ = ["Lipschitz", "lipschitz_loss"]

ConvNorm = Literal["entrywise", "induced_1", "induced_inf", "spectral"]
Aggregate = Literal["sum", "logsum"]
_BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
_FIRST_ITERATIONS = 15


def lipschitz_loss(
    model: nn.Module,
    *,
    conv_norm: ConvNorm = "entrywise",
    aggregate: Aggregate = "sum",
    max_batchnorm: float | None = None,
    directions: dict[str, Tensor] | None = None,
) -> Float[Tensor, ""]:
    """Return the sum over leaf modules of their norms; biases and all other modules count nothing.

    Args:
        model: whose two-dimensional convolutions (norm below), batch-norms (max_c |gamma_c| / sqrt(running variance_c +
            eps), no gradient through the variance) and linear layers (largest column sum of |W|, the induced 1-norm) are summed.
        conv_norm: "entrywise" sum |W|; "induced_1" largest sum over outputs, for an input channel; "induced_inf" largest
            sum over inputs, for an output channel; "spectral" largest singular value of the flattened weight.
        aggregate: "sum", or "logsum", the logarithm of the product.
        max_batchnorm: clip of the batch-norm part of a layer, against tiny running variances; None: no clip.
        directions: for "spectral", a left singular vector a convolution by module name, from power iteration.

    Returns:
        a norm, not nats; 0 when all weights are (under "sum").

    Example:
        >>> layer = nn.Linear(2, 3)
        >>> with torch.no_grad():
        ...     _ = layer.weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 0.0], [0.0, 1.0]]))
        >>> lipschitz_loss(layer).item()
        4.0
    """
    norms = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            norms.append(_conv_norm(module, conv_norm, None if directions is None else directions.get(name)))
        elif isinstance(module, _BatchNorm) and module.weight is not None and module.running_var is not None:
            scale = (module.weight.abs() / (module.running_var.detach() + module.eps).sqrt()).max()
            norms.append(scale if max_batchnorm is None else scale.clamp_max(max_batchnorm))
        elif isinstance(module, nn.Linear):
            norms.append(module.weight.abs().sum(0).max())
    if not norms:
        return next(model.parameters()).new_zeros(())
    stacked = torch.stack([norm.float() if norm.dtype != torch.float64 else norm for norm in norms])
    return stacked.sum() if aggregate == "sum" else stacked.clamp_min(1e-12).log().sum()


def _conv_norm(conv: nn.Conv2d, kind: ConvNorm, direction: Tensor | None) -> Tensor:
    weight = conv.weight if conv.weight.dtype == torch.float64 else conv.weight.float()
    if kind == "entrywise":
        return weight.abs().sum()
    if kind == "induced_inf":
        return weight.abs().flatten(1).sum(1).max()
    if kind == "induced_1":
        columns = weight.abs().flatten(2).sum(2)  # outputs x inputs of a group
        return columns.reshape(conv.groups, -1, columns.shape[1]).sum(1).max()
    flat = weight.flatten(1)
    left = _power_iteration(flat.detach(), None, _FIRST_ITERATIONS) if direction is None else direction
    right = _unit(flat.detach().T @ left)
    largest: Tensor = left @ (flat @ right)
    return largest


def _power_iteration(flat: Tensor, left: Tensor | None, times: int) -> Tensor:
    left = _unit(flat.sum(1) + flat.abs().sum(1)) if left is None else left
    for _ in range(times):
        left = _unit(flat @ (flat.T @ left))
    return left


def _unit(vector: Tensor) -> Tensor:
    unit: Tensor = vector / vector.norm().clamp_min(1e-12)
    return unit


class Lipschitz(Objective):
    """Lipschitz regularisation of the network that is trained; it looks at weights only, never at data."""

    def __init__(
        self,
        conv_norm: ConvNorm = "entrywise",
        aggregate: Aggregate = "sum",
        max_batchnorm: float | None = None,
    ) -> None:
        super().__init__()
        self.conv_norm: ConvNorm = conv_norm
        self.aggregate: Aggregate = aggregate
        self.max_batchnorm = max_batchnorm
        self._ignored: tuple[str, ...] = ()

    def build(self, setting: Setting) -> None:
        """Start the power iteration where it is needed, and note which layers count nothing."""
        if setting.model is None:
            return
        kinds = {type(m) for m in setting.model.modules() if [*m.parameters(recurse=False)]}
        counted = nn.Conv2d | _BatchNorm | nn.Linear
        self._ignored = tuple(sorted(kind.__name__ for kind in kinds if not issubclass(kind, counted)))
        if self.conv_norm == "spectral":
            for name, module in setting.model.named_modules():
                if isinstance(module, nn.Conv2d):
                    flat = module.weight.detach().float().flatten(1)
                    self.register_buffer(_buffer(name), _power_iteration(flat, None, _FIRST_ITERATIONS))

    def notes(self) -> tuple[str, ...]:
        """Name the layers with weights that count nothing."""
        return (f"layers without a norm count nothing: {', '.join(self._ignored)}",) if self._ignored else ()

    def forward(self, model: nn.Module) -> Tensor:
        """Return the regulariser of a network; in training, power iteration takes one step."""
        vectors = dict(self.named_buffers())
        directions: dict[str, Tensor] = {}
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d) and _buffer(name) in vectors:
                vector = vectors[_buffer(name)]
                if self.training:
                    vector.copy_(_power_iteration(module.weight.detach().float().flatten(1), vector, 1))
                directions[name] = vector.clone()
        return lipschitz_loss(
            model,
            conv_norm=self.conv_norm,
            aggregate=self.aggregate,
            max_batchnorm=self.max_batchnorm,
            directions=directions or None,
        )

    def loss(self, step: Step) -> Tensor:
        """Return the regulariser of the network that is trained."""
        return self(step.model)  # type: ignore[no-any-return]


def _buffer(module_name: str) -> str:
    return "direction_" + re.sub(r"\W", "_", module_name)
