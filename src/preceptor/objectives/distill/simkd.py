"""Reused classifier: the student learns only to give the teacher's last map, and the teacher's classifier reads it.

Source: Chen, Mei, Zhang, Wang, Feng, Chen, "Knowledge Distillation with the Reused Teacher Classifier" (CVPR 2022,
arXiv 2203.14001), equation 3. The network that is trained and handed out is backbone, projector and the teacher's frozen
classifier: count its parameters. The projector belongs to that network; it is not a connector.
Differs from the authors' code: maps that are not square are pooled by height and width apart.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from preceptor.divergences import promote
from preceptor.errors import UsageError
from preceptor.models import ReusedClassifier, ReuseSpec, as_map, find_classifier
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps, teacher_outputs
from preceptor.objectives.connectors import pool_to_smaller
from preceptor.objectives.features import Pairing, maps_of, need
from preceptor.objectives.hyperparameters import at_least
from preceptor.objectives.tensor_checks import check_channels, check_maps
from preceptor.types import Step

__all__ = ["SimKD", "simkd_loss"]


def simkd_loss(
    student_map: Float[Tensor, "batch channels _ _"], teacher_map: Float[Tensor, "batch channels _ _"]
) -> Float[Tensor, ""]:
    """Return the mean squared difference of two maps, the larger average-pooled to the smaller.

    Args:
        student_map: the student's, after the projector.
        teacher_map: the teacher's last map; constant in the gradient.

    Returns:
        mean over all elements; 0 where they are equal.

    Raises:
        ValueError: for channels that differ.

    Examples:
        >>> import torch
        >>> simkd_loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 3.0]]]])).item()
        5.0
    """
    check_channels(student_map, teacher_map, "after the projector")
    student, teacher = pool_to_smaller(promote(student_map), promote(teacher_map.detach()))
    return (student - teacher).square().mean()


class SimKD(Objective):
    """Distance between the student's projected map and the teacher's last one; wraps the student."""

    multilabel = "as_is"

    def __init__(self, bottleneck: int = 2) -> None:
        super().__init__()
        self.bottleneck = at_least(bottleneck, 1, "bottleneck")
        self.pairing = Pairing("simkd", which="last", is_configurable=False)
        self._teacher_feature = ""

    def forward(self, student_map: Tensor, teacher_map: Tensor) -> Tensor:
        """Return the loss of maps [batch, channels, height, width]."""
        check_maps(student_map, teacher_map)
        return simkd_loss(student_map, teacher_map)

    def wrap_student(self, model: nn.Module, context: BuildContext) -> nn.Module:
        """Return the student with a projector and the teacher's classifier.

        Raises:
            UsageError: when there is no teacher network, or its classifier does not read its pooled last map.
        """
        if context.teacher is None or context.teacher_model is None:
            raise UsageError("method simkd reuses the classifier of a teacher network, and the run has none")
        features = (context.student.features, context.teacher.features)
        self.pairing.taps(*({name: tuple(value.shape[1:]) for name, value in each.items()} for each in features))
        ((name, its_name),) = self.pairing.pairs
        (mine,) = maps_of(context.student, [name], "student", "simkd")
        (its,) = maps_of(context.teacher, [its_name], "teacher", "simkd")
        classifier = find_classifier(context.teacher_model, context.num_classes)
        if classifier.in_features != its.shape[1]:
            raise UsageError(
                f"method simkd: the teacher's classifier reads {classifier.in_features} values, and its last map "
                f"{its_name} has {its.shape[1]} channels: there are layers between them that cannot be reused"
            )
        size = (its.shape[2], its.shape[3])
        spec = ReuseSpec(name, mine.shape[1], its.shape[1], size, context.num_classes, self.bottleneck)
        student = ReusedClassifier(model, spec)
        student.take_classifier(context.teacher_model)
        return student.to(context.student.logits.device)

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Ask for the projected map and the teacher's last one."""
        taps = self.pairing.taps(student, teacher)
        self._teacher_feature = taps.teacher[0]
        return Taps((need("projected", student, "student", "simkd"),), taps.teacher)

    def notes(self) -> tuple[str, ...]:
        """Say what the student becomes."""
        return ("the student ends in a projector and the teacher's frozen classifier",)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        its = as_map(teacher_outputs(step).features[self._teacher_feature])
        return self(step.student.features["projected"], its)
