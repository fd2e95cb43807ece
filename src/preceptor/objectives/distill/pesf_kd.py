"""Student-friendly by a small adapter: the frozen teacher's logits are corrected while the student learns from them.

Source: Rao et al., "Parameter-Efficient and Student-Friendly Knowledge Distillation" (IEEE TMM 2023, arXiv 2205.15308). The
adapter reads the teacher's pooled features; the KL divergence moves it, too, not the student alone.
Differs from the authors' code: there, the line of "plain" is commented out, and "released" runs instead: the student learns
from the uncorrected teacher and the adapter from the frozen student, so that the two never meet. Their teacher is in training
mode, and a step is taken every fourth batch without dividing its loss; neither is done here. The adapter trains at the run's
learning rate, where theirs has 2e-5.
"""

from __future__ import annotations

from typing import Literal, get_args

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import kl, log_soften, promote
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps, labels_of, teacher_outputs
from preceptor.objectives.features import need
from preceptor.objectives.hyperparameters import at_least, one_of, positive
from preceptor.objectives.tensor_checks import check_classes, check_logits
from preceptor.types import Step

__all__ = ["PESFKD", "pesf_kd_loss"]

Form = Literal["plain", "released"]


def pesf_kd_loss(
    student_logits: Float[Tensor, "batch classes"],
    adapted_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    *,
    temperature: float = 6.0,
    form: Form = "plain",
) -> Float[Tensor, ""]:
    """Return temperature^2 KL(p_A, p_S) + CE(z_A, y), with p = softmax(z / temperature).

    Args:
        student_logits: of the student.
        adapted_logits: the teacher's, corrected by the adapter; not constant in the gradient.
        teacher_logits: of the teacher, used by "released" only; constant in the gradient.
        labels: classes.
        temperature: above 0.
        form: "released": temperature^2 (KL(p_T', p_S) + KL(p_A, p_S')) + CE(z_A, y), where ' exchanges the logits of label and
            largest, and p_S' is constant in the gradient.

    Returns:
        nats per sample, batch mean; not 0 at equality, because of the cross-entropy.

    Raises:
        ValueError: for a temperature that is not above 0, an unknown form, labels that are no classes, or logits of different
            shapes.

    Examples:
        >>> import torch
        >>> zeros = torch.zeros(1, 2)
        >>> round(pesf_kd_loss(zeros, zeros, zeros, torch.tensor([0])).item(), 6)  # log 2
        0.693147
    """
    temperature = positive(temperature, "temperature")
    one_of(form, get_args(Form), "form")
    check_logits(student_logits, adapted_logits)
    check_logits(student_logits, teacher_logits)
    check_classes(labels, student_logits)
    mine, adapted = log_soften(student_logits, temperature), log_soften(adapted_logits, temperature)
    if form == "plain":
        divergence = kl(adapted, mine)
    else:
        its = log_soften(_with_label_first(teacher_logits.detach(), labels), temperature)
        fixed = log_soften(_with_label_first(student_logits.detach(), labels), temperature)
        divergence = kl(its, mine) + kl(adapted, fixed)
    return temperature**2 * divergence.mean() + functional.cross_entropy(promote(adapted_logits), labels)


def _with_label_first(logits: Tensor, labels: Tensor) -> Tensor:
    """Return logits with those of the label and of the largest exchanged, so that the label's is largest."""
    top, label = logits.argmax(1, keepdim=True), labels[:, None]
    return logits.scatter(1, label, logits.gather(1, top)).scatter(1, top, logits.gather(1, label))


class PESFKD(Objective):
    """KL divergence from the teacher's logits less an adapter's output, and the adapter's cross-entropy."""

    needs_labels = True

    def __init__(self, temperature: float = 6.0, form: Form = "plain", bottleneck: int = 32) -> None:
        super().__init__()
        self.temperature = positive(temperature, "temperature")
        self.form: Form = one_of(form, get_args(Form), "form")
        self.bottleneck = at_least(bottleneck, 1, "bottleneck")
        self.adapter: nn.Module = nn.Identity()

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Ask for the teacher's pooled features."""
        return Taps((), (need("pooled", teacher, "teacher", "pesf_kd"),))

    def build(self, context: BuildContext) -> None:
        """Make the adapter."""
        assert context.teacher is not None
        classes = context.num_classes
        self.adapter = nn.Sequential(
            nn.Linear(context.teacher.features["pooled"].shape[1], classes),
            nn.Linear(classes, self.bottleneck),
            nn.ReLU(),
            nn.Linear(self.bottleneck, classes),
        ).to(context.student.logits.device)

    def forward(
        self, student_logits: Tensor, teacher_embedding: Tensor, teacher_logits: Tensor, labels: Tensor
    ) -> Tensor:
        """Return the loss of logits [batch, classes], the teacher's pooled features [batch, width] and labels [batch]."""
        adapted = promote(teacher_logits.detach()) - promote(self.adapter(promote(teacher_embedding.detach())))
        return pesf_kd_loss(
            student_logits, adapted, teacher_logits, labels, temperature=self.temperature, form=self.form
        )

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        teacher = teacher_outputs(step)
        return self(step.student.logits, teacher.features["pooled"], teacher.logits, labels_of(step))
