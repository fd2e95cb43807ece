"""A network with a Gaussian posterior over its last layer's weights: uncertain where its features are unlike the training ones.

Source: MacKay, "The Evidence Framework Applied to Classification Networks" (Neural Computation 1992) for the probit link;
Ritter, Botev, Barber (ICLR 2018) for the Kronecker factors; last layer: Daxberger et al., "Laplace Redux" (NeurIPS 2021).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.models.adapters.network_wrapper import NetworkWrapper
from preceptor.models.features.observed import logits_of

__all__ = ["Laplace", "best_precision"]

_PRECISIONS = [10 ** (tenth / 10) for tenth in range(-40, 41)]


class Laplace(NetworkWrapper):
    """A network whose logits are divided by sqrt(1 + pi / 8 variance), with the variance of each logit under the posterior.

    The posterior precision of the last layer is the generalised Gauss-Newton matrix of the NLL, as a Kronecker product of a
    factor of classes and one of features, plus a prior precision.

    Args:
        network: any network that returns the outputs of a linear layer.
        num_classes: width of its logits.

    Raises:
        UsageError: when it has no linear layer with as many outputs.
    """

    class_values: Tensor
    class_squares: Tensor
    feature_values: Tensor
    feature_basis: Tensor
    precision: Tensor

    def __init__(self, network: nn.Module, num_classes: int) -> None:
        super().__init__(network, "last-layer Laplace approximation")
        layers = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == num_classes]
        if not layers:
            raise UsageError(
                f"teacher.posterior: laplace needs a linear layer with {num_classes} outputs, and "
                f"{type(network).__name__} has none"
            )
        self._layer = (layers[-1],)  # in a tuple, it is no further child
        width, device = layers[-1].in_features + 1, layers[-1].weight.device
        for name, shape in (
            ("class_values", (num_classes,)),
            ("class_squares", (num_classes, num_classes)),
            ("feature_values", (width,)),
            ("feature_basis", (width, width)),
            ("precision", ()),
        ):
            self.register_buffer(name, torch.zeros(shape, device=device))
        self._inputs: list[Tensor] = []
        layers[-1].register_forward_pre_hook(self._keep)

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        """Find the posterior; the network is in evaluation mode.

        Args:
            batches: inputs of the training split.

        Raises:
            UsageError: when the network's logits are not the outputs of that layer.
        """
        # on the CPU, for not every device has float64
        of_classes = torch.zeros(self.class_squares.shape, dtype=torch.float64)
        of_features, rows = torch.zeros(self.feature_basis.shape, dtype=torch.float64), 0
        for inputs in batches:
            logits, features = self._forward(inputs)
            layer = self._layer[0]
            if not torch.allclose(functional.linear(features, layer.weight, layer.bias), logits, rtol=0.05, atol=0.05):
                raise UsageError(
                    "teacher.posterior: laplace needs logits that are the outputs of the last linear layer"
                )
            probs = logits.cpu().double().softmax(1)
            wide = functional.pad(features.cpu().double(), (0, 1), value=1.0)
            of_classes += probs.sum(0).diag() - probs.T @ probs
            of_features += wide.T @ wide
            rows += len(inputs)
        class_values, class_basis = torch.linalg.eigh(of_classes)
        feature_values, feature_basis = torch.linalg.eigh(of_features / rows)
        class_values, feature_values = class_values.clamp_min(0), feature_values.clamp_min(0)
        precision = best_precision(torch.outer(class_values, feature_values), self._norm())
        for name, value in (
            ("class_values", class_values),
            ("class_squares", class_basis.square()),
            ("feature_values", feature_values),
            ("feature_basis", feature_basis),
            ("precision", torch.tensor(precision)),
        ):
            self.get_buffer(name).copy_(value)

    def variance(self, features: Tensor) -> Tensor:
        """Return the posterior variance of each logit [rows, classes], of features [rows, width] before the last layer."""
        wide = functional.pad(features.to(self.feature_basis), (0, 1), value=1.0)
        shares = (wide @ self.feature_basis).square()
        by_class = shares @ (1 / (torch.outer(self.class_values, self.feature_values) + self.precision)).T
        return by_class @ self.class_squares.T

    def forward(self, inputs: Tensor) -> Tensor:
        logits, features = self._forward(inputs)
        with torch.autocast(inputs.device.type, enabled=False):
            return logits.float() / (1 + math.pi / 8 * self.variance(features)).sqrt()

    def _forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        self._inputs.clear()
        logits = logits_of(self.network(inputs), self.network)
        features = self._inputs.pop()
        self._inputs.clear()
        return logits, features

    def _keep(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self._inputs.append(args[0].detach())

    def _norm(self) -> float:
        layer = self._layer[0]
        bias = 0.0 if layer.bias is None else float(layer.bias.detach().double().square().sum())
        return float(layer.weight.detach().double().square().sum()) + bias


def best_precision(curvature: Tensor, squared_norm: float) -> float:
    """Return the prior precision with the largest marginal likelihood, among 81 from 1e-4 to 1e4.

    Args:
        curvature: eigenvalues of the Hessian of the NLL over the training split, one per weight.
        squared_norm: of the weights.

    Examples:
        >>> best_precision(torch.full((100,), 1e6), 100.0)  # weights that the data fix: 1 / their mean square
        1.0
    """

    def evidence(precision: float) -> float:
        log_ratio = math.log(precision) * curvature.numel() - float((curvature + precision).log().sum())
        return (log_ratio - precision * squared_norm) / 2

    return max(_PRECISIONS, key=evidence)
