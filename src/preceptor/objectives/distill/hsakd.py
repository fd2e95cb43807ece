"""Hierarchical self-supervision: a classifier of class and rotation at every level of both networks, distilled level by level.

Source: Yang, An, Cai, Xu, "Hierarchical Self-supervised Augmented Knowledge Distillation" (IJCAI 2021, arXiv 2107.13715),
equations 6 to 10. Four times the forward passes. Two stages: the teacher's classifiers are trained on the frozen teacher first.
Differs from the authors' code: a classifier is one residual block for each of the network's remaining stages, with that stage's
shape, instead of the stages made anew; so it can be put on any network. A teacher of `objective=hsakd_teacher` brings its own
classifiers, trained together with it, and then there is no first stage.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import kl, log_soften
from preceptor.models import as_map, load_weights
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Stage, Taps, labels_of, teacher_outputs
from preceptor.objectives.features import Pairing, blocks
from preceptor.objectives.hyperparameters import at_least, positive
from preceptor.objectives.paired import PairedObjective
from preceptor.objectives.rotations import HSAKD_HEADS, ROTATIONS, BlockClassifiers, all_views
from preceptor.types import Outputs, Step

__all__ = ["HSAKD", "hsakd_loss"]

_NUM_VIEWS = 1 + len(ROTATIONS)


def hsakd_loss(
    student_logits: Float[Tensor, "rows classes"],
    teacher_logits: Float[Tensor, "rows classes"],
    student_heads: Sequence[Float[Tensor, "rows joint"]],
    teacher_heads: Sequence[Float[Tensor, "rows joint"]],
    *,
    temperature: float = 3.0,
) -> Float[Tensor, ""]:
    """Return temperature^2 times the sum over levels of KL of joint classes, plus KL of classes, over all four views.

    Args:
        student_logits: of upright and rotated images.
        teacher_logits: of the same rows; constant in the gradient.
        student_heads: one per level, logits of class x rotation.
        teacher_heads: as many; constant in the gradient.
        temperature: above 0.

    Returns:
        nats per row; 0 where all distributions are equal.

    Raises:
        ValueError: for another number of levels, or a temperature that is not above 0.

    Examples:
        >>> logits, joint = torch.randn(4, 3), torch.randn(4, 12)
        >>> hsakd_loss(logits, logits, [joint], [joint]).item()
        0.0
    """
    temperature = positive(temperature, "temperature")
    if len(student_heads) != len(teacher_heads):
        raise ValueError(f"student_heads and teacher_heads: {len(student_heads)} and {len(teacher_heads)} levels")
    pairs = [(student_logits, teacher_logits), *zip(student_heads, teacher_heads, strict=True)]
    divergences = [kl(log_soften(t.detach(), temperature), log_soften(s, temperature)).mean() for s, t in pairs]
    return temperature**2 * torch.stack(divergences).sum()


def _stacked(outputs: Outputs, names: Sequence[str]) -> tuple[Tensor, list[Tensor]]:
    """Return the logits and maps of all four views, one view after another."""
    views = all_views(outputs)
    with torch.autocast(outputs.logits.device.type, enabled=False):  # which refuses to join half-precision rows
        maps = [torch.cat([as_map(view.features[name]) for view in views]) for name in names]
        return torch.cat([view.logits for view in views]), maps


class HSAKD(PairedObjective):
    """Divergence of joint classifiers at paired blocks, and of the classes, over four rotations."""

    def __init__(self, temperature: float = 3.0, stage_epochs: int = 100) -> None:
        super().__init__()
        self.temperature = positive(temperature, "temperature")
        self.stage_epochs = at_least(stage_epochs, 0, "stage_epochs")
        self.pairing = Pairing("hsakd", is_configurable=False)
        self.student_heads: nn.Module = nn.Identity()
        self.teacher_heads: nn.Module = nn.Identity()
        self._teacher_blocks: FeatureShapes = {}
        self._brings_heads = False

    def views(self) -> tuple[str, ...]:
        """Ask for the three rotations."""
        return ROTATIONS

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Pair the blocks."""
        self._teacher_blocks = blocks(teacher)
        return super().taps(student, teacher)

    def build(self, context: BuildContext) -> None:
        """Make the classifiers of both networks, or load the teacher's."""
        shapes, joint = self.pairing.shapes(context), _NUM_VIEWS * context.num_classes
        device = context.student.logits.device
        self.student_heads = BlockClassifiers([mine for mine, _ in shapes], joint).to(device)
        self._brings_heads = HSAKD_HEADS in context.teacher_files
        if self._brings_heads:
            full = BlockClassifiers([*self._teacher_blocks.values()], joint)
            load_weights(full, context.teacher_files[HSAKD_HEADS])
            names = [*self._teacher_blocks]
            self.teacher_heads = full.only([names.index(name) for _, name in self.pairing.pairs]).to(device)
        else:
            self.teacher_heads = BlockClassifiers([its for _, its in shapes], joint).to(device)

    def pretraining(self) -> Stage | None:
        """Train the teacher's classifiers, unless it brings its own."""
        if self._brings_heads:
            return None
        joint = Joint(self.teacher_heads, [name for _, name in self.pairing.pairs])
        return Stage(joint, self.stage_epochs, trains="objective", lr=0.05, milestones=(0.3, 0.6, 0.9))

    def notes(self) -> tuple[str, ...]:
        """Name the pairs, and say where the teacher's classifiers come from."""
        own = ("the teacher brings its classifiers",) if self._brings_heads else ()
        return (*super().notes(), *own)

    def loss(self, step: Step) -> Tensor:
        """Return the loss between student and teacher."""
        mine, maps = _stacked(step.student, [name for name, _ in self.pairing.pairs])
        its, its_maps = _stacked(teacher_outputs(step), [name for _, name in self.pairing.pairs])
        self.teacher_heads.eval()  # frozen: their batch-norms too
        with torch.no_grad():
            its_heads = self.teacher_heads(its_maps)
        return hsakd_loss(mine, its, self.student_heads(maps), its_heads, temperature=self.temperature)


class Joint(Objective):
    """Cross-entropy of class and rotation, summed over the teacher's classifiers."""

    needs_labels = True

    def __init__(self, heads: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.heads = heads
        self.names = tuple(names)

    def loss(self, step: Step) -> Tensor:
        """Return the loss of this batch."""
        _, maps = _stacked(teacher_outputs(step), self.names)
        turns = torch.arange(_NUM_VIEWS, device=maps[0].device)[:, None]
        joint = (_NUM_VIEWS * labels_of(step)[None, :] + turns).flatten()
        return torch.stack([functional.cross_entropy(logits, joint) for logits in self.heads(maps)]).sum()
