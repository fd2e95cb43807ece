"""Softmax regression: the student's features should mean to the teacher's classifier what the teacher's own do.

Source: Yang, Martinez, Bulat, Tzimiropoulos, "Knowledge Distillation via Softmax Regression Representation Learning" (ICLR
2021), equations 4 and 5, read through ports of the code: of these, the connector (1x1 convolution, batch-norm, ReLU) applied to
the last map before pooling.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.errors import UsageError
from preceptor.models import as_map, find_classifier
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps, teacher_outputs
from preceptor.objectives.features import Pairing, need
from preceptor.objectives.tensor_checks import check_logits, check_shapes
from preceptor.types import Step

__all__ = ["SRRL", "srrl_loss"]


def srrl_loss(
    student_embedding: Float[Tensor, "batch dim"],
    teacher_embedding: Float[Tensor, "batch dim"],
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    *,
    logit_weight: float = 1.0,
) -> Float[Tensor, ""]:
    """Return mean (h_S - h_T)^2 + logit_weight mean (z_S - z_T)^2.

    Args:
        student_embedding: pooled features after the connector.
        teacher_embedding: pooled features; constant in the gradient.
        student_logits: the teacher's classifier on `student_embedding`.
        teacher_logits: the teacher's; constant in the gradient.
        logit_weight: of the second term.

    Returns:
        squared distances, means over all elements; 0 where both are equal.

    Raises:
        ValueError: for shapes that differ.

    Examples:
        >>> import torch
        >>> srrl_loss(torch.ones(1, 2), torch.zeros(1, 2), torch.ones(1, 3), torch.zeros(1, 3), logit_weight=5.0).item()
        6.0
    """
    check_shapes(
        student_embedding, teacher_embedding, "student_embedding and teacher_embedding", " (after the connector)"
    )
    check_logits(student_logits, teacher_logits)
    features = (promote(student_embedding) - promote(teacher_embedding.detach())).square().mean()
    logits = (promote(student_logits) - promote(teacher_logits.detach())).square().mean()
    return features + logit_weight * logits


class SRRL(Objective):
    """Distance of connected features, and of what the teacher's frozen classifier makes of them."""

    multilabel = "as_is"

    weight: Tensor
    bias: Tensor

    def __init__(self, logit_weight: float = 1.0) -> None:
        super().__init__()
        self.logit_weight = logit_weight
        self.pairing = Pairing("srrl", which="last", is_configurable=False)
        self.connector: nn.Module = nn.Identity()
        self.register_buffer("weight", None)
        self.register_buffer("bias", None)

    def forward(self, student_map: Tensor, teacher_embedding: Tensor, teacher_logits: Tensor) -> Tensor:
        """Return the loss of a map [batch, channels, height, width] of the student; after `build`."""
        embedding = promote(self.connector(student_map)).mean((2, 3))
        logits = functional.linear(embedding, self.weight.to(embedding.dtype), self.bias.to(embedding.dtype))
        return srrl_loss(
            embedding,
            promote(teacher_embedding),
            promote(logits),
            promote(teacher_logits),
            logit_weight=self.logit_weight,
        )

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Ask for the student's last map and the teacher's pooled features."""
        mine = self.pairing.taps(student, teacher).student
        return Taps(mine, (need("pooled", teacher, "teacher", "srrl"),))

    def build(self, context: BuildContext) -> None:
        """Make the connector, and keep the teacher's classifier.

        Raises:
            UsageError: when the teacher is no network, or its classifier does not read its pooled features.
        """
        if context.teacher is None or context.teacher_model is None:
            raise UsageError("method srrl reads the classifier of a teacher network, and the run has none")
        classifier = find_classifier(context.teacher_model, context.num_classes)
        width = context.teacher.features["pooled"].shape[1]
        if classifier.in_features != width:
            raise UsageError(
                f"method srrl: the teacher's classifier reads {classifier.in_features} values, its pooled features are {width}"
            )
        device = context.student.logits.device
        self.weight = classifier.weight.detach().clone().to(device)
        bias = (
            classifier.bias.detach().clone() if classifier.bias is not None else self.weight.new_zeros(len(self.weight))
        )
        self.bias = bias.to(device)
        channels = as_map(context.student.features[self.pairing.pairs[0][0]]).shape[1]
        layers = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.connector = layers.to(device)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        teacher = teacher_outputs(step)
        mine = as_map(step.student.features[self.pairing.pairs[0][0]])
        return self(mine, teacher.features["pooled"], teacher.logits)
