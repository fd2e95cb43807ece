"""Cross-entropy with the labels: -log p_y, the usual way to train a teacher.

Source: in population it is minimised by the true label distribution, E[CE] = E[H(p*, p)]; with class weights by that of a
population in which the classes have other shares, so that its probabilities are not those of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from preceptor.divergences import log_soften, promote, targets
from preceptor.errors import UsageError
from preceptor.objectives.base import BuildContext, Objective, targets_of
from preceptor.objectives.hyperparameters import one_of
from preceptor.objectives.tensor_checks import check_targets
from preceptor.types import Step

__all__ = ["CrossEntropy", "cross_entropy_loss"]


def cross_entropy_loss(
    logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"] | Float[Tensor, "batch classes"],
    *,
    class_weights: Float[Tensor, " classes"] | None = None,
) -> Float[Tensor, ""]:
    """Return -(1/B) sum_i w[y_i] log softmax(z_i)[y_i].

    Args:
        logits: of the network.
        labels: classes, or target distributions.
        class_weights: w, at least 0; None: 1 for all.

    Returns:
        nats per sample, batch mean; 0 in the limit of a confident right answer.

    Raises:
        ValueError: for labels that are neither classes nor distributions over the classes.

    Examples:
        >>> import torch
        >>> round(cross_entropy_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([1])).item(), 6)
        0.693147
    """
    check_targets(labels, logits)
    if class_weights is None:
        return functional.cross_entropy(promote(logits), labels)
    weighted = targets(labels, logits.shape[1]) * class_weights.to(promote(logits))
    return -(weighted * log_soften(logits)).sum(1).mean()


class CrossEntropy(Objective):
    """Cross-entropy of the network's logits with the batch's labels.

    `class_weights` are one number per class, or "balanced": samples / (classes x samples of the class), as counted in the
    training split, whose mean over its samples is 1.
    """

    uses_teacher = False
    needs_labels = True
    multilabel = "one_vs_rest"

    class_weights: Tensor | None

    def __init__(self, class_weights: Literal["balanced"] | tuple[float, ...] | None = None) -> None:
        super().__init__()
        self._is_balanced = class_weights == "balanced"
        self.register_buffer("class_weights", None, persistent=False)
        if isinstance(class_weights, str):
            one_of(class_weights, ["balanced"], "class_weights")
        elif class_weights is not None:
            self.class_weights = _weights(class_weights)

    def build(self, context: BuildContext) -> None:
        """Count the classes of the training split, where weights are to be balanced.

        Raises:
            UsageError: for another number of weights than classes, or a class without samples.
        """
        if self._is_balanced and context.labels is not None:
            counts = torch.bincount(context.labels.cpu(), minlength=context.num_classes)
            if not bool((counts > 0).all()):
                missing = int((counts == 0).nonzero()[0])
                raise UsageError(f"class_weights: class {missing} has no training samples to balance")
            self.class_weights = counts.sum() / (len(counts) * counts.float())
        if self.class_weights is not None:
            if len(self.class_weights) != context.num_classes:
                raise UsageError(
                    f"class_weights: {len(self.class_weights)} for {context.num_classes} classes; one each"
                )
            self.class_weights = self.class_weights.to(context.student.logits.device)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits [batch, classes] with labels [batch] or [batch, classes]."""
        return cross_entropy_loss(logits, labels, class_weights=self.class_weights)

    def loss(self, step: Step) -> Tensor:
        """Return the loss of the network that is trained."""
        return self(step.student.logits, targets_of(step))


def _weights(values: Sequence[float]) -> Tensor:
    weights = torch.tensor(values, dtype=torch.float32)
    if not bool(torch.isfinite(weights).all() and (weights >= 0).all() and (weights > 0).any()):
        raise ValueError(f"class_weights: {list(values)} are not finite, at least 0 and not all 0")
    return weights
