"""The teacher of HSAKD: trained together with classifiers of class and rotation on every block, which its student learns from.

Source: Yang, An, Cai, Xu, "Hierarchical Self-supervised Augmented Knowledge Distillation" (IJCAI 2021, arXiv 2107.13715), and
the released teacher script. Four views per image. The classifiers are written as `objective/hsakd_heads.safetensors`,
and `method=hsakd` takes them from the teacher's run instead of training its own.
Differs from the authors' code: a classifier is one residual block for each of the network's remaining stages; weights of the
last epoch or chosen on validation, where theirs are chosen on test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.models import as_map
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps, labels_of
from preceptor.objectives.features import blocks, maps_of, need
from preceptor.objectives.rotations import HSAKD_HEADS, ROTATIONS, BlockClassifiers, all_views
from preceptor.objectives.tensor_checks import check_classes
from preceptor.types import Step

__all__ = ["HSAKDTeacher", "hsakd_teacher_loss"]

_NUM_VIEWS = 1 + len(ROTATIONS)


def hsakd_teacher_loss(
    logits: Float[Tensor, "rows classes"],
    head_logits: Sequence[Float[Tensor, "rows joint"]],
    labels: Int[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Return CE of the upright images' logits plus the sum over heads of CE with the joint label, 4 label + turns.

    Args:
        logits: image after image, each upright and turned once, twice, three times by 90 degrees: row 4 i + turns.
        head_logits: of the same rows, 4 classes each, one per level.
        labels: classes of the images.

    Returns:
        nats per row; 0 in the limit of confident right answers.

    Raises:
        ValueError: for labels that are no classes, or not one for every four rows.

    Examples:
        >>> round(hsakd_teacher_loss(torch.zeros(4, 2), [torch.zeros(4, 8)], torch.tensor([1])).item(), 6)  # log 2 + log 8
        2.772589
    """
    upright = promote(logits[::_NUM_VIEWS])
    check_classes(labels, upright)
    turns = torch.arange(_NUM_VIEWS, device=labels.device)
    joint = (_NUM_VIEWS * labels[:, None] + turns).flatten()
    heads = [functional.cross_entropy(promote(head), joint) for head in head_logits]
    return torch.stack([functional.cross_entropy(upright, labels), *heads]).sum()


class HSAKDTeacher(Objective):
    """Cross-entropy of the network, and of joint classifiers on its blocks over four rotations."""

    uses_teacher = False
    needs_labels = True

    def __init__(self) -> None:
        super().__init__()
        self.heads: nn.Module = nn.Identity()
        self._blocks: tuple[str, ...] = ()

    def views(self) -> tuple[str, ...]:
        """Ask for the three rotations."""
        return ROTATIONS

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Ask for the blocks."""
        self._blocks = tuple(blocks(student)) or (need("block1", student, "network", "hsakd_teacher"),)
        return Taps(self._blocks)

    def build(self, context: BuildContext) -> None:
        """Make the classifiers."""
        maps = maps_of(context.student, self._blocks, "network", "hsakd_teacher")
        heads = BlockClassifiers([tuple(each.shape[1:]) for each in maps], _NUM_VIEWS * context.num_classes)
        self.heads = heads.to(context.student.logits.device)

    def loss(self, step: Step) -> Tensor:
        """Return the loss of the network and its classifiers."""
        views = all_views(step.student)
        with torch.autocast(
            step.student.logits.device.type, enabled=False
        ):  # which refuses to join half-precision rows
            logits = _image_major([view.logits for view in views])
            maps = [_image_major([as_map(view.features[name]) for view in views]) for name in self._blocks]
        return hsakd_teacher_loss(logits, self.heads(maps), labels_of(step))

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the classifiers."""
        return {HSAKD_HEADS: self.heads}


def _image_major(views: Sequence[Tensor]) -> Tensor:
    """Return the rows of all views, image after image."""
    return torch.stack(list(views), dim=1).flatten(0, 1)
