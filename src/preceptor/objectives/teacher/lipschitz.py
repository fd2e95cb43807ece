"""Lipschitz regularisation: a sum of layer norms that bounds how fast the network's output can change.

Source: Dong, Liu, Shang, "Toward Student-Oriented Teacher Network Training for Knowledge Distillation" (ICLR 2024, arXiv
2206.06661), the released form; its weight is 1e-5. At conv_norm="entrywise" more than 99.9 % of it is the L1 norm of the
convolutions. To keep the pressure comparable multiply the weight by about 75 for the induced norms and by about 1,100 for
"spectral", and tune again: their gradients fall on one row, column or direction.
Differs from the authors' code: grouped convolutions have induced norms too, and "spectral" and "logsum" are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from preceptor.distributed.dtensors import full_tensor
from preceptor.divergences import left_singular, promote
from preceptor.objectives.base import BuildContext, Objective
from preceptor.objectives.hyperparameters import one_of, positive
from preceptor.types import Step

__all__ = ["Lipschitz", "lipschitz_loss"]

ConvNorm = Literal["entrywise", "induced_1", "induced_inf", "spectral"]
Aggregate = Literal["sum", "logsum"]
_BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm


def lipschitz_loss(
    model: nn.Module,
    *,
    conv_norm: ConvNorm = "entrywise",
    aggregate: Aggregate = "sum",
    max_batchnorm: float | None = None,
    directions: Mapping[str, Tensor] | None = None,
) -> Float[Tensor, ""]:
    """Return the sum over leaf modules of their norms; biases and all other modules count nothing.

    Args:
        model: whose two-dimensional convolutions (norm below), batch-norms (max_c |gamma_c| / sqrt(running variance_c +
            eps), no gradient through the variance) and linear layers (largest column sum of |W|, the induced 1-norm) are summed.
        conv_norm: "entrywise" sum |W|; "induced_1" largest sum over outputs, for an input channel; "induced_inf" largest
            sum over inputs, for an output channel; "spectral" largest singular value of the flattened weight.
        aggregate: "sum", or "logsum", the logarithm of the product.
        max_batchnorm: clip of a batch-norm's norm, against tiny running variances; None: no clip.
        directions: for "spectral", one left singular vector per convolution by module name; estimated from scratch where missing.

    Returns:
        a norm, not nats; 0 when all weights are (under "sum").

    Raises:
        ValueError: for an unknown conv_norm or aggregate.

    Examples:
        >>> layer = nn.Linear(2, 3)
        >>> _ = nn.init.constant_(layer.weight, -2.0)
        >>> lipschitz_loss(layer).item()
        6.0
    """
    one_of(conv_norm, get_args(ConvNorm), "conv_norm")
    one_of(aggregate, get_args(Aggregate), "aggregate")
    norms = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            norms.append(_conv_norm(module, conv_norm, (directions or {}).get(name)))
        elif isinstance(module, nn.Linear):
            norms.append(promote(full_tensor(module.weight)).abs().sum(0).max())
        elif (factors := _factors(module)) is not None:
            norms.append(factors.max() if max_batchnorm is None else factors.max().clamp_max(max_batchnorm))
    stacked = torch.stack(norms) if norms else torch.zeros(0)
    return stacked.sum() if aggregate == "sum" else stacked.clamp_min(1e-12).log().sum()


def _factors(module: nn.Module) -> Tensor | None:
    """Return by how much a batch-norm stretches each channel, |gamma| / sqrt(variance + eps); None for anything else."""
    if not isinstance(module, _BatchNorm) or module.weight is None or module.running_var is None:
        return None
    return promote(full_tensor(module.weight)).abs() / (promote(module.running_var.detach()) + module.eps).sqrt()


def _conv_norm(conv: nn.Conv2d, kind: ConvNorm, direction: Tensor | None) -> Tensor:
    weight = promote(full_tensor(conv.weight))
    if kind == "entrywise":
        return weight.abs().sum()
    if kind == "induced_inf":
        return weight.abs().flatten(1).sum(1).max()
    if kind == "induced_1":
        columns = weight.abs().flatten(2).sum(2)  # outputs x inputs of a group
        return columns.reshape(conv.groups, -1, columns.shape[1]).sum(1).max()
    flat = weight.flatten(1)
    left = left_singular(flat.detach()) if direction is None else direction.to(flat)
    with torch.autocast(flat.device.type, enabled=False):
        return left @ (flat @ functional.normalize(flat.detach().T @ left, dim=0))


class Lipschitz(Objective):
    """Lipschitz regularisation of the network that is trained; it looks at weights only, never at data."""

    uses_teacher = False
    multilabel = "as_is"

    def __init__(
        self, conv_norm: ConvNorm = "entrywise", aggregate: Aggregate = "sum", max_batchnorm: float | None = None
    ) -> None:
        super().__init__()
        self.conv_norm: ConvNorm = one_of(conv_norm, get_args(ConvNorm), "conv_norm")
        self.aggregate: Aggregate = one_of(aggregate, get_args(Aggregate), "aggregate")
        self.max_batchnorm = max_batchnorm if max_batchnorm is None else positive(max_batchnorm, "max_batchnorm")
        self._ignored: tuple[str, ...] = ()

    def build(self, context: BuildContext) -> None:
        """Start the power iteration where it is needed, and note which layers count nothing."""
        if context.model is not None:
            owners = [module for module in context.model.modules() if [*module.parameters(recurse=False)]]
            silent = [m for m in owners if not isinstance(m, nn.Conv2d | nn.Linear) and _factors(m) is None]
            self._ignored = tuple(sorted({type(module).__name__ for module in silent}))
            self._directions(context.model)

    def notes(self) -> tuple[str, ...]:
        """Name the layers with weights that count nothing."""
        return (f"layers without a norm count nothing: {', '.join(self._ignored)}",) if self._ignored else ()

    def forward(self, model: nn.Module) -> Tensor:
        """Return the regulariser of a network; in training, power iteration takes one step."""
        left = self._directions(model)
        return lipschitz_loss(
            model, conv_norm=self.conv_norm, aggregate=self.aggregate, max_batchnorm=self.max_batchnorm, directions=left
        )

    def loss(self, step: Step) -> Tensor:
        """Return the regulariser of the network that is trained."""
        return self(step.model)

    def _directions(self, model: nn.Module) -> dict[str, Tensor]:
        """Return left singular vectors by module name: made at first use, moved by one iteration in training."""
        known, directions = dict(self.named_buffers()), {}
        for name, module in model.named_modules():
            if self.conv_norm == "spectral" and isinstance(module, nn.Conv2d):
                key, flat = (
                    "direction:" + name.replace(".", ":"),
                    promote(full_tensor(module.weight.detach())).flatten(1),
                )
                if key not in known:
                    self.register_buffer(key, left_singular(flat))
                elif self.training:
                    known[key].copy_(left_singular(flat, known[key].to(flat), iterations=1))
                directions[name] = self.get_buffer(key).clone()
        return directions
