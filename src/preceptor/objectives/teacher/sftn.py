"""Student-friendly teacher: branches made of the student's blocks read the teacher's maps, and both learn from each other.

Source: Park, Cha, Jeong, Kim, Han, "Learning Student-Friendly Teacher Networks for Knowledge Distillation" (NeurIPS 2021, arXiv
2102.07650). No code of the authors is public, and the text was not at hand: the direction of the KL divergence (both are
offered), its temperature and the weights 1, 3, 1 are from memory. A branch leads a block's map through a 1x1 convolution
into a new student behind its block of the nearest resolution. The branches are dropped at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import kl, log_soften, promote
from preceptor.errors import UsageError
from preceptor.models import as_map, feature_path, observe
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps, targets_of
from preceptor.objectives.branches import StudentBranch
from preceptor.objectives.features import blocks, maps_of, match, need
from preceptor.objectives.hyperparameters import one_of, positive
from preceptor.objectives.tensor_checks import check_logits, check_targets
from preceptor.types import Step

__all__ = ["SFTN", "sftn_loss"]

Direction = Literal["student_to_teacher", "teacher_to_student"]


def sftn_loss(
    logits: Float[Tensor, "batch classes"],
    branch_logits: Sequence[Float[Tensor, "batch classes"]],
    labels: Int[Tensor, " batch"] | Float[Tensor, "batch classes"],
    *,
    kl_weight: float = 3.0,
    branch_weight: float = 1.0,
    temperature: float = 4.0,
    kl_direction: Direction = "student_to_teacher",
) -> Float[Tensor, ""]:
    """Return the mean over branches of kl_weight temperature^2 KL(p_branch, p) + branch_weight CE(z_branch, y).

    Args:
        logits: of the teacher, which the KL divergence moves, too.
        branch_logits: one per branch.
        labels: classes, or target distributions.
        kl_weight: of the divergence.
        branch_weight: of the branches' cross-entropy.
        temperature: of both softmaxes, above 0.
        kl_direction: "teacher_to_student": KL(p, p_branch).

    Returns:
        nats per sample, batch mean; the teacher's own cross-entropy is not in it.

    Raises:
        ValueError: for no branches, an unknown direction, a temperature that is not above 0, or tensors that do not fit.

    Examples:
        >>> zeros = torch.zeros(1, 2)
        >>> round(sftn_loss(zeros, [zeros], torch.tensor([0])).item(), 6)  # log 2
        0.693147
    """
    temperature = positive(temperature, "temperature")
    one_of(kl_direction, get_args(Direction), "kl_direction")
    if not branch_logits:
        raise ValueError("branch_logits: needs at least one branch, got none")
    check_targets(labels, logits)
    teacher, losses = log_soften(logits, temperature), []
    for branch in branch_logits:
        check_logits(logits, branch)
        student = log_soften(branch, temperature)
        pair = (student, teacher) if kl_direction == "student_to_teacher" else (teacher, student)
        cross_entropy = functional.cross_entropy(promote(branch), labels)
        losses.append(kl_weight * temperature**2 * kl(*pair).mean() + branch_weight * cross_entropy)
    return torch.stack(losses).mean()


class SFTN(Objective):
    """The loss of the student's branches. `student` is a network by name; none: one more of the network that is trained."""

    uses_teacher = False
    needs_labels = True

    def __init__(
        self,
        student: str | None = None,
        kl_weight: float = 3.0,
        branch_weight: float = 1.0,
        temperature: float = 4.0,
        kl_direction: Direction = "student_to_teacher",
    ) -> None:
        super().__init__()
        self.student = student
        self.kl_weight, self.branch_weight = kl_weight, branch_weight
        self.temperature = positive(temperature, "temperature")
        self.kl_direction: Direction = one_of(kl_direction, get_args(Direction), "kl_direction")
        self.branches = nn.ModuleList()
        self._blocks: tuple[str, ...] = ()

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Ask for all blocks but the last."""
        self._blocks = tuple(blocks(student))[:-1] or (need("block2", student, "teacher", "sftn"),)
        return Taps(self._blocks)

    def build(self, context: BuildContext) -> None:
        """Make a branch for each block that has a partner in the student.

        Raises:
            UsageError: when the student has fewer than two blocks.
        """
        assert context.inputs is not None
        maps = maps_of(context.student, self._blocks, "teacher", "sftn")
        device, first = context.student.logits.device, context.network(self.student)
        with torch.no_grad():
            observed = observe(first.to(device).eval())
            shapes = {name: tuple(each.shape[1:]) for name, each in observed(context.inputs).features.items()}
        observed.release()
        mine = dict([*blocks(shapes).items()][:-1])  # behind the last block there is only the classifier
        if not mine:
            offered = ", ".join(shapes) or "none"
            raise UsageError(f"objective sftn needs a student of two blocks or more, and it offers {offered}")
        branches = {}
        for at, (student, teacher) in enumerate(match([*mine.values()], [tuple(each.shape[1:]) for each in maps])):
            network, name = context.network(self.student) if at else first, [*mine][student]
            branch = StudentBranch(network, feature_path(network, name), mine[name], maps[teacher].shape[1])
            branches[self._blocks[teacher]] = branch.to(device).freeze_before(maps[teacher], context.inputs)
        self._blocks, self.branches = tuple(branches), nn.ModuleList(branches.values())

    def loss(self, step: Step) -> Tensor:
        """Return the loss of the branches and the teacher."""
        maps = [as_map(step.student.features[name]) for name in self._blocks]
        found = [branch(each, step.batch.inputs) for branch, each in zip(self.branches, maps, strict=True)]
        return sftn_loss(
            step.student.logits,
            found,
            targets_of(step),
            kl_weight=self.kl_weight,
            branch_weight=self.branch_weight,
            temperature=self.temperature,
            kl_direction=self.kl_direction,
        )

    def notes(self) -> tuple[str, ...]:
        """Say which blocks have a branch."""
        return (f"branches of {self.student or 'another network like it'} behind {', '.join(self._blocks)}",)
