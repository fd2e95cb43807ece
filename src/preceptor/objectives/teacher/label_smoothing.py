"""Cross-entropy with smoothed labels: a baseline that tends to make better calibrated and less telling teachers.

Source: Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception Architecture" (CVPR 2016), section 7; for its
effect on distillation, Müller, Kornblith, Hinton (NeurIPS 2019).
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from preceptor.divergences import log_soften, targets
from preceptor.objectives.base import Objective, targets_of
from preceptor.objectives.hyperparameters import fraction
from preceptor.objectives.tensor_checks import check_targets
from preceptor.types import Step

__all__ = ["LabelSmoothing", "label_smoothing_loss"]


def label_smoothing_loss(
    logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"] | Float[Tensor, "batch classes"],
    *,
    smoothing: float = 0.1,
    off_target_only: bool = False,
) -> Float[Tensor, ""]:
    """Return the cross-entropy with (1 - smoothing) on the label and `smoothing` spread evenly.

    Args:
        logits: of the network.
        labels: classes, or target distributions.
        smoothing: the share that is spread, in [0, 1).
        off_target_only: spread over the C - 1 other classes instead of all C.

    Returns:
        nats per sample, batch mean; smallest, not 0, at the smoothed target.

    Raises:
        ValueError: for a smoothing outside [0, 1), or labels that are neither classes nor distributions over the classes.

    Examples:
        >>> import torch
        >>> round(label_smoothing_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([0]), smoothing=0.1).item(), 6)
        0.226928
    """
    smoothing = fraction(smoothing, "smoothing")
    check_targets(labels, logits)
    log_probs = log_soften(logits)
    num_classes = logits.shape[1]
    on_label = (targets(labels, num_classes) * log_probs).sum(1)
    everywhere = log_probs.sum(1)
    spread = (everywhere - on_label) / (num_classes - 1) if off_target_only else everywhere / num_classes
    return -((1 - smoothing) * on_label + smoothing * spread).mean()


class LabelSmoothing(Objective):
    """Smoothed cross-entropy of the network's logits with the batch's labels."""

    uses_teacher = False
    needs_labels = True
    multilabel = "one_vs_rest"

    def __init__(self, smoothing: float = 0.1, off_target_only: bool = False) -> None:
        super().__init__()
        self.smoothing = fraction(smoothing, "smoothing")
        self.off_target_only = off_target_only

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits [batch, classes] with labels [batch] or [batch, classes]."""
        return label_smoothing_loss(logits, labels, smoothing=self.smoothing, off_target_only=self.off_target_only)

    def loss(self, step: Step) -> Tensor:
        """Return the loss of the network that is trained."""
        return self(step.student.logits, targets_of(step))
