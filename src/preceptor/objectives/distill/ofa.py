"""One for all: every stage of the student, through an exit of its own, learns the teacher's final prediction.

Source: Hao et al., "One-for-All: Bridge the Gap Between Heterogeneous Architectures in Knowledge Distillation" (NeurIPS 2023,
arXiv 2310.19444), equation 5, for networks of different families: features never meet, logits do.
Differs from the authors' code: log space, finite where their log of a softmax is not; exits of stages of one size (a
transformer's) read the mean of the tokens, never a class token.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from preceptor.divergences import log_soften, promote
from preceptor.errors import UsageError
from preceptor.models import as_map
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps, teacher_outputs
from preceptor.objectives.connectors import Exit, TokenExit
from preceptor.objectives.fallback import labels_or_guesses
from preceptor.objectives.features import blocks, maps_of
from preceptor.objectives.hyperparameters import positive
from preceptor.objectives.row_weights import mean_of_rows
from preceptor.objectives.tensor_checks import check_classes, check_logits
from preceptor.types import Step

__all__ = ["OFA", "ofa_loss"]


def ofa_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    *,
    exponent: float = 1.0,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """Return -sum_c w_c log p_S,c, w_c = p_T,c^exponent and (1 + p_T,y)^exponent - 1 for the target, not 0 at equality.

    Args:
        student_logits: of the student, or of one of its exits.
        teacher_logits: of the teacher; constant in the gradient.
        labels: class of each row.
        exponent: above 0; 1 is the cross-entropy with the teacher's distribution, more raises the target's share.
        temperature: of both, above 0; there is no temperature^2.

    Returns:
        nats per sample, batch mean.

    Raises:
        ValueError: for a hyperparameter that is not above 0, logits of different shapes, or labels that are no classes.

    Examples:
        >>> logits, labels = torch.zeros(1, 2), torch.tensor([0])
        >>> round(ofa_loss(logits, logits, labels).item(), 4)  # log 2
        0.6931
    """
    check_logits(student_logits, teacher_logits)
    check_classes(labels, student_logits)
    exponent, temperature = positive(exponent, "exponent"), positive(temperature, "temperature")
    log_mine, log_its = log_soften(student_logits, temperature), log_soften(teacher_logits.detach(), temperature)
    is_target = torch.arange(log_its.shape[1], device=labels.device) == labels[:, None]
    weights = torch.where(is_target, (exponent * log_its.exp().log1p()).expm1(), (exponent * log_its).exp())
    return mean_of_rows(-(weights * log_mine).sum(1))


class OFA(Objective):
    """The loss of the student's logits and of an exit at each of its blocks; a row without a label takes the teacher's class."""

    def __init__(self, exponent: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__()
        self.exponent = positive(exponent, "exponent")
        self.temperature = positive(temperature, "temperature")
        self.exits = nn.ModuleList()
        self._names: tuple[str, ...] = ()

    def forward(
        self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, maps: Sequence[Tensor] = ()
    ) -> Tensor:
        """Return the loss of logits [batch, classes] with labels [batch], and of the maps' exits; after `build`."""
        check_logits(student_logits, teacher_logits)
        check_classes(labels, student_logits)
        is_skipped = self.training and len(student_logits) < 2  # the exits' batch-norms have no variance there
        maps = () if is_skipped else maps
        exits = [promote(leave(values)) for leave, values in zip(self.exits, maps, strict=False)]
        return torch.stack(
            [
                ofa_loss(logits, teacher_logits, labels, exponent=self.exponent, temperature=self.temperature)
                for logits in (student_logits, *exits)
            ]
        ).sum()

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Tap the student's blocks.

        Raises:
            UsageError: when it has none.
        """
        self._names = tuple(blocks(student))
        if not self._names:
            raise UsageError(
                f"method ofa needs feature maps of the student, which offers {', '.join(student) or 'none'}"
            )
        return Taps(self._names)

    def build(self, context: BuildContext) -> None:
        """Make the exits."""
        shapes = [tuple(maps.shape[1:]) for maps in maps_of(context.student, self._names, "student", "ofa")]
        is_of_tokens = len(shapes) > 1 and len(set(shapes)) == 1
        width, kind = shapes[-1][0], TokenExit if is_of_tokens else Exit
        left = range(len(shapes) - 1, -1, -1)
        exits = [kind(shape[0], width, n, context.num_classes) for shape, n in zip(shapes, left, strict=True)]
        self.exits = nn.ModuleList(exits).to(context.student.logits.device)

    def notes(self) -> tuple[str, ...]:
        """Say how large the exits are."""
        size = sum(each.numel() for each in self.exits.parameters())
        return (f"{len(self.exits)} exits of {size:,} parameters, dropped at the end",)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher; rows without a label take the teacher's class."""
        teacher = teacher_outputs(step).logits
        maps = [as_map(step.student.features[name]) for name in self._names]
        return self(step.student.logits, teacher, labels_or_guesses(step), maps)
