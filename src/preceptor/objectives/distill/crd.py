"""Contrastive representation distillation: tell the teacher's view of a sample from its view of samples of other classes.

Source: Tian, Krishnan, Isola, "Contrastive Representation Distillation" (ICLR 2020, arXiv 1910.10699), equations 12 to 19.
Differs from the authors' code: the negatives of a step are drawn once for all rows of the batch, by a counter-based
generator (each row leaves out its own class), so that scoring is a matrix product and nothing of size batch x negatives x dim
is made; scores stay logarithms; no special loader is needed. Of rows that are one sample, the first is remembered.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import promote
from preceptor.errors import UsageError
from preceptor.objectives.banks import fresh_order, remember
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps
from preceptor.objectives.features import pooled_features, pooled_taps, pooled_widths
from preceptor.objectives.hyperparameters import one_of, positive
from preceptor.types import Step

__all__ = ["CRD", "crd_loss"]

Mode = Literal["exact", "relax"]
_FLOOR = 1e-7


def crd_loss(
    positive_scores: Float[Tensor, " batch"], negative_scores: Float[Tensor, "batch negatives"], *, num_data: int
) -> Float[Tensor, ""]:
    """Return -mean (log(u+ / (u+ + c')) + sum log(c / (u- + c'))), c = negatives / num_data; not 0 at equality.

    Here c' = c + 1e-7, as in the authors' code: with few negatives among many samples it shows.

    Args:
        positive_scores: exp(a.m / temperature) / Z of each sample with its own entry, above 0.
        negative_scores: of each sample with entries of others, above 0.
        num_data: training samples.

    Returns:
        nats per sample, batch mean, at least 0: one direction of the two.

    Raises:
        ValueError: for num_data that is not above 0.

    Examples:
        >>> round(crd_loss(torch.ones(1), torch.ones(1, 1), num_data=1).item(), 5)  # 2 log 2
        1.38629
    """
    ratio = negative_scores.shape[1] / positive(num_data, "num_data")
    return _contrast(promote(positive_scores).log(), promote(negative_scores).log(), ratio).mean()


def _contrast(log_positive: Tensor, log_negative: Tensor, ratio: float) -> Tensor:
    """Return the loss of each row; a score of -inf counts for nothing."""
    log_ratio, num_negatives = math.log(ratio + _FLOOR), (log_negative != -math.inf).sum(1)
    excess = num_negatives * math.log1p(_FLOOR / ratio)
    return functional.softplus(log_ratio - log_positive) + functional.softplus(log_negative - log_ratio).sum(1) + excess


class CRD(Objective):
    """Contrast of both networks' pooled features with two banks of past ones, [training samples, dim] each."""

    needs_samples = True
    compares_rows = True  # in the first step, from whose rows the normalisers are estimated
    memory_banks = ("student_bank", "teacher_bank")
    student_bank: Tensor
    teacher_bank: Tensor
    log_normalisers: Tensor
    num_steps: Tensor
    classes: Tensor

    def __init__(
        self,
        dim: int = 128,
        num_negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        mode: Mode = "exact",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if dim < 1 or num_negatives < 1 or not 0 <= momentum < 1:
            raise ValueError(f"dim, num_negatives, momentum: {dim}, {num_negatives}, {momentum} are not in range")
        self.dim, self.num_negatives, self.momentum, self.seed = dim, num_negatives, momentum, seed
        self.temperature = positive(temperature, "temperature")
        self.mode = one_of(mode, ("exact", "relax"), "mode")
        self.student_embed: nn.Module = nn.Identity()
        self.teacher_embed: nn.Module = nn.Identity()
        self._negatives = self._candidates = 0

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Tap the pooled features."""
        return pooled_taps(student, teacher, "crd")

    def build(self, context: BuildContext) -> None:
        """Make the embeddings and the banks.

        Raises:
            UsageError: when the labels of the training split are not known.
        """
        if context.labels is None or context.teacher is None:
            raise UsageError("method crd needs a teacher and the labels of the training split to draw negatives")
        device, rows = context.student.logits.device, context.num_samples
        self.student_embed, self.teacher_embed = (
            nn.Linear(width, self.dim).to(device) for width in pooled_widths(context)
        )
        bound = 1 / math.sqrt(self.dim / 3)
        for name in ("student_bank", "teacher_bank"):
            self.register_buffer(name, torch.empty(rows, self.dim, device=device).uniform_(-bound, bound))
        self.register_buffer("log_normalisers", torch.zeros(2, device=device))
        self.register_buffer("num_steps", torch.zeros(1, dtype=torch.long, device=device))
        unlabelled = torch.arange(rows - len(context.labels)) + context.num_classes  # each alone in a class of its own
        self.register_buffer("classes", torch.cat([context.labels, unlabelled]).to(device), persistent=False)
        largest = int(torch.bincount(context.labels).max())
        self._negatives = min(self.num_negatives, rows - largest)
        self._candidates = min(self._negatives + largest, rows)
        self.register_load_state_dict_post_hook(_after_loading)  # type: ignore[no-untyped-call]

    def loss(self, step: Step) -> Tensor:
        """Return both directions' sum; in training, remember the embeddings."""
        student, teacher = pooled_features(step)
        index = step.batch.index
        order = fresh_order(len(self.classes), self.seed, self.num_steps)
        with torch.autocast(index.device.type, enabled=False):
            embeddings = [
                functional.normalize(embed(promote(features)))
                for embed, features in ((self.student_embed, student), (self.teacher_embed, teacher.detach()))
            ]
            student_side = self._side(embeddings[0], self.teacher_bank, 0, index, order)
            teacher_side = self._side(embeddings[1], self.student_bank, 1, index, order)
        if self.training:
            with torch.no_grad():
                first = (index[:, None] == index).int().argmax(1)  # whichever row is written last
                remember(self.student_bank, index, embeddings[0][first], self.momentum)
                remember(self.teacher_bank, index, embeddings[1][first], self.momentum)
                self.num_steps += 1
            self.compares_rows = False
        return student_side + teacher_side

    def _side(self, anchor: Tensor, bank: Tensor, number: int, index: Tensor, order: Tensor) -> Tensor:
        """Return one direction: embeddings of one network against the bank of the other."""
        candidates = order[: self._candidates]
        is_other = self.classes[candidates] != self.classes[index][:, None]
        is_kept = is_other & (is_other.cumsum(1) <= self._negatives)
        negatives = (anchor @ bank[candidates].to(anchor.dtype).T) / self.temperature
        matches = (anchor * bank[self._positives(index, order)].to(anchor.dtype)).sum(1) / self.temperature
        negatives = negatives.masked_fill(~is_kept, -math.inf)
        everything = torch.cat([matches.detach()[:, None], negatives.detach()], dim=1).flatten()
        first = everything.logsumexp(0) - (is_kept.sum() + len(index)).log() + math.log(len(bank))
        log_normaliser = torch.where(self.num_steps[0] == 0, first, self.log_normalisers[number])
        if self.training:
            self.log_normalisers[number] = log_normaliser
        ratio = max(self._negatives, 1) / len(bank)
        return _contrast(matches - log_normaliser, negatives - log_normaliser, ratio).mean()

    def _positives(self, index: Tensor, order: Tensor) -> Tensor:
        """Return each sample's own row, or in "relax" that of the first sample of its class in this step's order."""
        if self.mode == "exact":
            return index
        return order[(self.classes[order] == self.classes[index][:, None]).int().argmax(1)]


def _after_loading(module: CRD, _: object) -> None:
    """Where the first step has been, the normalisers are known, and a resumed run compares the rows of a process only."""
    module.compares_rows = not bool(module.num_steps)
