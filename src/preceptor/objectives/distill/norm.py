"""N-to-one representation: the student's last map, widened to N times the teacher's channels, meets the teacher's map N times.

Source: Liu, Li, Li, Yao, "NORM: Knowledge Distillation via N-to-One Representation Matching" (ICLR 2023), equations 2 to 4. The
widening and the way back are linear, belong to the network that is trained and handed out, and stand beside the identity.
Differs from the authors' code: it trains on logits that are standardised over classes and multiplied by 2.5, which the paper
does not say; here they are as they come. Their weights of the cross-entropy, 0.0625 to 0.5, are for those.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.errors import UsageError
from preceptor.models import ExpandedMap, ExpandSpec, as_map, feature_path
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps, teacher_outputs
from preceptor.objectives.features import Pairing, maps_of, need
from preceptor.objectives.hyperparameters import at_least
from preceptor.objectives.tensor_checks import check_maps
from preceptor.types import Step

__all__ = ["NORM", "norm_loss"]


def norm_loss(
    student_map: Float[Tensor, "batch wide _ _"],
    teacher_map: Float[Tensor, "batch channels _ _"],
    *,
    expansion: int = 8,
) -> Float[Tensor, ""]:
    """Return expansion times the mean squared difference of a wide map and `expansion` copies of the teacher's.

    Args:
        student_map: the student's, with expansion times the teacher's channels.
        teacher_map: constant in the gradient; the larger of the two is max-pooled to the smaller.
        expansion: copies, at least 1.

    Returns:
        the sum over copies of the mean squared difference; 0 where all equal the teacher's map.

    Raises:
        ValueError: for channels that do not fit.

    Examples:
        >>> import torch
        >>> norm_loss(torch.zeros(1, 2, 1, 1), torch.full((1, 1, 2, 2), 3.0), expansion=2).item()
        18.0
    """
    check_maps(student_map, teacher_map)
    if student_map.shape[1] != at_least(expansion, 1, "expansion") * teacher_map.shape[1]:
        raise ValueError(
            f"student_map: {student_map.shape[1]} channels, expected expansion {expansion} times {teacher_map.shape[1]}"
        )
    sides = [(min(mine, its)) for mine, its in zip(student_map.shape[2:], teacher_map.shape[2:], strict=True)]
    student, teacher = (
        maps if list(maps.shape[2:]) == sides else functional.adaptive_max_pool2d(maps, (sides[0], sides[1]))
        for maps in (promote(student_map), promote(teacher_map.detach()))
    )
    difference = student.unflatten(1, (expansion, teacher.shape[1])) - teacher[:, None]
    squares: Tensor = difference.square()
    return expansion * squares.mean() if len(student) else squares.sum()


class NORM(Objective):
    """Distance between the student's widened last map and copies of the teacher's; wraps the student."""

    multilabel = "as_is"

    def __init__(self, expansion: int = 8) -> None:
        super().__init__()
        self.expansion = at_least(expansion, 1, "expansion")
        self.pairing = Pairing("norm", which="last", is_configurable=False)
        self._teacher_feature = ""

    def forward(self, student_map: Tensor, teacher_map: Tensor) -> Tensor:
        """Return the loss of maps [batch, channels, height, width]."""
        return norm_loss(student_map, teacher_map, expansion=self.expansion)

    def wrap_student(self, model: nn.Module, context: BuildContext) -> nn.Module:
        """Return the student with its last map widened and brought back, beside itself.

        Raises:
            UsageError: when a network has no maps, or the student's last one is not a module's output as it is.
        """
        if context.teacher is None:
            raise UsageError("method norm learns from a teacher, and the run has none")
        features = (context.student.features, context.teacher.features)
        self.pairing.taps(*({name: tuple(value.shape[1:]) for name, value in each.items()} for each in features))
        ((name, its_name),) = self.pairing.pairs
        (mine,) = maps_of(context.student, [name], "student", "norm")
        (its,) = maps_of(context.teacher, [its_name], "teacher", "norm")
        spec = ExpandSpec(feature_path(model, name), mine.shape[1], self.expansion * its.shape[1])
        return ExpandedMap(model, spec).to(context.student.logits.device)

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Ask for the widened map and the teacher's last one."""
        taps = self.pairing.taps(student, teacher)
        self._teacher_feature = taps.teacher[0]
        return Taps((need("expanded", student, "student", "norm"),), taps.teacher)

    def notes(self) -> tuple[str, ...]:
        """Say what the student becomes."""
        return ("the student's last map is widened and brought back, by linear layers that stay in the network",)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        its = as_map(teacher_outputs(step).features[self._teacher_feature])
        return self(step.student.features["expanded"], its)
