"""SWAG: a Gaussian over weights from the weights that late epochs end with.

Source: Maddox, Garipov, Izmailov, Vetrov, Wilson, "A Simple Baseline for Bayesian Uncertainty in Deep Learning" (NeurIPS 2019,
arXiv 1902.02476), algorithm 1.
Differs from the authors' code: the rank is that of the deviations there are, where theirs divides by the configured one even
when fewer were collected; pass `rank` for their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Swag"]

_LEAST_VARIANCE = 1e-30


@dataclass(frozen=True, slots=True)
class Swag:
    """A Gaussian over weights: half its covariance is diagonal, half of low rank.

    Attributes:
        mean: of the weights.
        square_mean: mean of their squares.
        deviations: of the last weights, each from the mean up to then.

    Examples:
        >>> found = Swag.of([torch.tensor([1.0]), torch.tensor([3.0])])
        >>> found.mean, found.deviations
        (tensor([2.]), tensor([[0.],
                [1.]]))
    """

    mean: Float[Tensor, " weights"]
    square_mean: Float[Tensor, " weights"]
    deviations: Float[Tensor, "collected weights"]

    @classmethod
    def of(cls, collected: Sequence[Float[Tensor, " weights"]], rank: int = 20) -> Swag:
        """Return the Gaussian of weights in the order of training.

        Args:
            collected: at least two.
            rank: how many of the last deviations are kept.

        Raises:
            ValueError: for fewer than two.
        """
        if len(collected) < 2:
            raise ValueError(f"collected: {len(collected)} weights; a Gaussian needs at least two")
        mean, square_mean, deviations = collected[0].clone(), collected[0].square(), [torch.zeros_like(collected[0])]
        for count, weights in enumerate(collected[1:], start=2):
            mean = mean + (weights - mean) / count
            square_mean = square_mean + (weights.square() - square_mean) / count
            deviations = [*deviations, weights - mean][-rank:]
        return cls(mean, square_mean, torch.stack(deviations))

    def sample(
        self,
        noise_diagonal: Float[Tensor, " weights"],
        noise_low_rank: Float[Tensor, " collected"],
        *,
        scale: float = 0.5,
        rank: int | None = None,
    ) -> Float[Tensor, " weights"]:
        """Return mean + sqrt(scale) (sqrt(variance) noise_diagonal + deviations^T noise_low_rank / sqrt(rank - 1)).

        Args:
            noise_diagonal: standard normal.
            noise_low_rank: standard normal.
            scale: of the covariance; 0.5 is SWAG.
            rank: None: the number of deviations.
        """
        variance = (self.square_mean - self.mean.square()).clamp_min(_LEAST_VARIANCE)
        divisor = math.sqrt(max((len(self.deviations) if rank is None else rank) - 1, 1))
        spread = variance.sqrt() * noise_diagonal + self.deviations.T @ noise_low_rank / divisor
        return self.mean + math.sqrt(scale) * spread
