"""Factor transfer: the student learns to translate its map into factors that paraphrase the teacher's.

Source: Kim, Park, Kwak, "Paraphrasing Complex Network: Network Compression via Factor Transfer" (NeurIPS 2018, arXiv
1802.04977), equations 1 to 3, in the form of the CRD benchmark (ICLR 2020): factors are compared as normalised mean squares
over channels, not element by element. Two stages: the paraphraser first learns to rebuild the teacher's map; then it is frozen.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.models import as_map
from preceptor.objectives.base import BuildContext, Objective, Stage, teacher_outputs
from preceptor.objectives.connectors import pool_to_smaller
from preceptor.objectives.features import Pairing
from preceptor.objectives.hyperparameters import at_least, one_of, positive
from preceptor.objectives.paired import PairedObjective
from preceptor.objectives.tensor_checks import check_maps
from preceptor.types import Step

__all__ = ["FT", "ft_loss"]


def ft_loss(
    student_factor: Float[Tensor, "batch _ _ _"], teacher_factor: Float[Tensor, "batch _ _ _"], *, power: int = 1
) -> Float[Tensor, ""]:
    """Return mean |a_S - a_T|^power, a = the L2-normalised mean over channels of factor^2.

    Args:
        student_factor: what the translator gives, [batch, channels, height, width].
        teacher_factor: what the paraphraser gives; the larger of the two is average-pooled; constant in the gradient.
        power: 1 or 2.

    Returns:
        mean over batch and positions; 0 where the patterns are equal, whatever the scale.

    Raises:
        ValueError: for another power.

    Examples:
        >>> one = torch.tensor([[[[1.0, 0.0]]]])
        >>> ft_loss(one, one.flip(-1)).item()
        1.0
    """
    power = int(one_of(str(power), ("1", "2"), "power"))
    mine, its = (_pattern(f) for f in pool_to_smaller(promote(student_factor), promote(teacher_factor.detach())))
    return (mine - its).abs().pow(power).mean()


def _pattern(factor: Tensor) -> Tensor:
    return functional.normalize(factor.square().mean(1).flatten(1), eps=1e-12)


def _convolutions(before: int, after: int, *, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inner, outer in ((before, before), (before, after), (after, after)):
        layers += [nn.Conv2d(inner, outer, 3, padding=1), nn.BatchNorm2d(outer) if norm else nn.Identity()]
        layers.append(nn.LeakyReLU(0.1))
    return nn.Sequential(*layers)


def _deconvolutions(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inner, outer in ((before, before), (before, after), (after, after)):
        layers += [nn.ConvTranspose2d(inner, outer, 3, padding=1), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)


class FT(PairedObjective):
    """Distance between the student's translated last map and the teacher's paraphrased one."""

    multilabel = "as_is"

    def __init__(
        self,
        rate: float = 0.5,
        power: int = 1,
        stage_epochs: int = 30,
        stage_lr: float = 0.01,
        pairs: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.rate = positive(rate, "rate")
        self.power = int(one_of(str(power), ("1", "2"), "power"))
        self.stage_epochs, self.stage_lr = at_least(stage_epochs, 0, "stage_epochs"), positive(stage_lr, "stage_lr")
        if pairs and len(pairs) != 1:
            raise ValueError(f"pairs: ft takes one pair, got {len(pairs)}")
        self.pairing = Pairing("ft", pairs, which="last")
        self.paraphraser, self.rebuilder, self.translator = (nn.Sequential() for _ in range(3))

    def forward(self, student_map: Tensor, teacher_map: Tensor) -> Tensor:
        """Return the loss of maps [batch, channels, height, width]; the paraphraser is frozen."""
        check_maps(student_map, teacher_map)
        with torch.no_grad():
            factor = self.paraphraser(teacher_map)
        return ft_loss(promote(self.translator(student_map)), promote(factor), power=self.power)

    def build(self, context: BuildContext) -> None:
        """Make paraphraser and translator for the shapes."""
        ((student, teacher),) = self.pairing.shapes(context)
        factors = max(1, round(teacher[0] * self.rate))
        self.paraphraser = _convolutions(teacher[0], factors, norm=False)
        self.rebuilder = _deconvolutions(factors, teacher[0])
        self.translator = _convolutions(student[0], factors, norm=True)
        self.to(context.student.logits.device)

    def pretraining(self) -> Stage | None:
        """Train the paraphraser to be rebuilt into the teacher's map."""
        if self.stage_epochs == 0:
            return None
        rebuilding = Rebuilding(nn.Sequential(self.paraphraser, self.rebuilder), self.pairing.pairs[0][1])
        return Stage(rebuilding, self.stage_epochs, trains="objective", lr=self.stage_lr)

    def notes(self) -> tuple[str, ...]:
        """Name the pair, and say when the paraphraser stays as it was drawn."""
        untrained = () if self.stage_epochs else ("no stage: the paraphraser stays as it was drawn at random",)
        return (*self.pairing.notes(), *untrained)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        (mine,), (its,) = self.pairing.maps(step)
        return self(mine, its)


class Rebuilding(Objective):
    """Mean squared error of the teacher's map after paraphrasing and rebuilding."""

    def __init__(self, layers: nn.Module, feature: str) -> None:
        super().__init__()
        self.layers = layers
        self.feature = feature

    def loss(self, step: Step) -> Tensor:
        """Return the error on this batch."""
        its = as_map(teacher_outputs(step).features[self.feature])
        return (promote(self.layers(its)) - promote(its)).square().mean()
