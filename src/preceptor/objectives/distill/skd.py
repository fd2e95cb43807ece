"""Streamlined KD: the teacher's distribution, and the directions in which the batch's similarities deviate from the teacher's.

Source: Jeong, Lee, Choi, "Streamlined Knowledge Distillation" (CVPR 2026), by the public code and by torchdistill's.
Differs from the authors' code: their confidence masks multiply scalars by their own mean, about 1/2 each, and are left out, so
that their weight 0.9 is about 0.45 here. They divide by the number of classes; torchdistill reads the paper without that, which
whitens for real (`divide_by_classes=false`): another method, its numbers not comparable. No gradient where nothing deviates.
"""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from preceptor.divergences import promote, soft_kl
from preceptor.objectives.base import Objective, teacher_outputs
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.row_weights import mean_of_rows
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Step

__all__ = ["SKD", "skd_loss"]

_NOTHING = 1e-12  # squared length of a deviation that is none


def skd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    temperature: float = 4.0,
    direction_weight: float = 1.0,
    ridge: float = 0.1,
    divide_by_classes: bool = True,
) -> Float[Tensor, ""]:
    """Return temperature^2 KL(p_T, p_S) + direction_weight mean sqrt(d' C^-1 d), C the covariance of d over the batch + ridge.

    Here d are the rows of G_S - G_T, G the cosines between the logits of all samples of the batch.

    Args:
        student_logits: of the student.
        teacher_logits: of the teacher; constant in the gradient.
        temperature: of the divergence, above 0.
        direction_weight: of the second term, which is 0 for a batch of one.
        ridge: added to the variances, above 0.
        divide_by_classes: divide the deviations by the number of classes.

    Returns:
        nats per sample for the first term, no unit for the second; 0 where the rows are equal.

    Raises:
        ValueError: for a temperature or ridge that is not above 0, or logits of different shapes.

    Examples:
        >>> same = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
        >>> skd_loss(same, same).item()
        0.0
    """
    check_logits(student_logits, teacher_logits)
    divergence = mean_of_rows(soft_kl(student_logits, teacher_logits, positive(temperature, "temperature")))
    ridge = positive(ridge, "ridge")
    if len(student_logits) < 2:
        return divergence
    mine, its = (functional.normalize(promote(z)) for z in (student_logits, teacher_logits.detach()))
    with torch.autocast(mine.device.type, enabled=False):
        deviations = (mine @ mine.T - its @ its.T) / (mine.shape[1] if divide_by_classes else 1)
        centred = deviations - deviations.mean(0)
        covariance = centred.T @ centred / (len(deviations) - 1)
        ridged = covariance + ridge * torch.eye(len(deviations), device=mine.device, dtype=mine.dtype)
        whitened, _ = torch.linalg.solve_ex(
            ridged, deviations.T
        )  # a check for singular matrices would wait for the device
        squared = (deviations * whitened.T).sum(1)
    lengths = torch.where(squared > _NOTHING, squared.clamp_min(_NOTHING).sqrt(), 0.0)
    return divergence + direction_weight * mean_of_rows(lengths)


class SKD(Objective):
    """KD, and the whitened deviation of the batch's cosines."""

    compares_rows = True

    def __init__(
        self,
        temperature: float = 4.0,
        direction_weight: float = 1.0,
        ridge: float = 0.1,
        divide_by_classes: bool = True,
    ) -> None:
        super().__init__()
        self.temperature = positive(temperature, "temperature")
        self.direction_weight = direction_weight
        self.ridge = positive(ridge, "ridge")
        self.divide_by_classes = divide_by_classes
        self._has_warned = False

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the loss of logits [batch, classes]; labels are not used."""
        if len(student_logits) == 1 and not self._has_warned:
            self._has_warned = True
            warnings.warn("skd of a batch of one is kd: there are no similarities in it", stacklevel=2)
        return skd_loss(
            student_logits,
            teacher_logits,
            temperature=self.temperature,
            direction_weight=self.direction_weight,
            ridge=self.ridge,
            divide_by_classes=self.divide_by_classes,
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        return self(step.student.logits, teacher_outputs(step).logits)
