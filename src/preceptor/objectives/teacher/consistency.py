"""Consistency regularisation: stay near the running mean of the network's own earlier predictions on the same sample.

Each sample has another augmentation in every epoch, so consistency over epochs is robustness to feature
transformations (temporal ensembling on probabilities).

Source: Dong, Liu, Shang, "Toward Student-Oriented Teacher Network Training for Knowledge Distillation" (ICLR 2024, arXiv
2206.06661); Laine, Aila, "Temporal Ensembling" (ICLR 2017).
Differs from the authors' code: nothing at bank="code", which keeps their off-by-one (the first epoch counts twice), but
for samples that an epoch left out: their first prediction enters as it is. "mean" is the plain running mean of each sample's own
visits, "ema" an exponential one. `top` is ours: the authors keep all classes.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import log_soften, promote
from preceptor.errors import UsageError
from preceptor.objectives.banks import class_type, empty_bank, keep_largest, spread_out
from preceptor.objectives.base import BuildContext, Objective
from preceptor.objectives.hyperparameters import at_least, fraction, one_of
from preceptor.types import Step

__all__ = ["Consistency", "consistency_loss"]

Bank = Literal["code", "mean", "ema"]


def consistency_loss(
    logits: Float[Tensor, "batch classes"], earlier: Float[Tensor, "batch classes"]
) -> Float[Tensor, ""]:
    """Return (1/B) sum_i sum_c (softmax(z_i)_c - s_ic)^2.

    Args:
        logits: of the network, at temperature 1.
        earlier: its earlier probabilities for these samples; constant in the gradient.

    Returns:
        squared probability per sample, batch mean, in [0, 2]; 0 when the predictions are unchanged.

    Examples:
        >>> consistency_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])).item()
        0.5
    """
    return (log_soften(logits).exp() - promote(earlier.detach())).square().sum(1).mean()


class Consistency(Objective):
    """Squared distance to the bank of earlier predictions, which is read first and updated afterwards.

    With `top`, the bank keeps the largest entries of each sample's mean and spreads the rest of its mass evenly over the other
    classes: `top` values and classes per sample in place of all. A class that is not among them enters when one prediction
    lifts it past the least of them; its earlier value is lost. Values stay float32: a mean over a hundred epochs takes
    steps that float16 would round to nothing.
    """

    uses_teacher = False
    needs_samples = True
    multilabel = "one_vs_rest"

    bank: Tensor
    kept_classes: Tensor | None
    visits: Tensor

    def __init__(self, bank: Bank = "code", momentum: float = 0.9, top: int | None = None) -> None:
        super().__init__()
        self.kind: Bank = one_of(bank, get_args(Bank), "bank")
        self.momentum = fraction(momentum, "momentum")
        self.top = top if top is None else at_least(top, 1, "top")
        self.memory_banks = ("bank", "visits") if top is None else ("bank", "visits", "kept_classes")
        self.register_buffer("bank", torch.zeros(0, 0))
        self.register_buffer("kept_classes", None)
        self.register_buffer("visits", torch.zeros(0))

    def build(self, context: BuildContext) -> None:
        """Make an empty bank: 4 bytes per sample and class, and a count of visits per sample.

        With `top`, 6 bytes per sample and kept class, 8 where there are more than 32,768 classes.

        Raises:
            UsageError: for a `top` above the number of classes or where there are but two, or a bank that is too large.
        """
        device, rows, width = context.student.logits.device, context.num_samples, context.num_classes
        if self.top is not None:
            if width == 2:
                raise UsageError(
                    f"consistency.top: {self.top} of two classes (multi-label: two for each) cuts nothing; drop it"
                )
            if self.top > width:
                raise UsageError(f"consistency.top: {self.top} is not in 1..{width}, for {width} classes")
            self.kept_classes = torch.zeros(rows, self.top, dtype=class_type(width), device=device)
            width = self.top
        self.bank = empty_bank(rows, width, device, "consistency.top=16 keeps 16 entries of each sample")
        self.visits = torch.zeros(rows, device=device)

    def forward(self, logits: Tensor, index: Tensor, epoch: int) -> Tensor:
        """Return the loss of logits [batch, classes] of the samples `index`, 0 in epoch 1 and for new samples.

        In training the predictions then enter the bank; a sample that is twice in the batch enters once.

        Raises:
            ValueError: before `build`, which makes the bank.
        """
        if len(self.bank) == 0:
            raise ValueError("consistency has no bank yet: call build(context) first")
        mass, probabilities = self._mass(index), log_soften(logits.detach()).exp()
        rows = self._rows(index, mass, logits.shape[1])
        earlier = (rows / mass.clamp_min(1e-12)[:, None]).to(probabilities.dtype)
        loss = consistency_loss(logits, torch.where(mass[:, None] > 0, earlier, probabilities))
        if self.training and torch.is_grad_enabled():
            self._remember(rows, probabilities.to(rows.dtype), index, epoch)
        return loss if epoch > 1 else loss * 0.0

    def loss(self, step: Step) -> Tensor:
        """Return the loss of the network that is trained."""
        return self(step.student.logits, step.batch.index, step.progress.epoch)

    def _mass(self, index: Tensor) -> Tensor:
        """Return the sum of each sample's entries: 0 before its first visit, then 1 ("ema": nearly 1)."""
        visits = self.visits[index]
        return 1 - self.momentum**visits if self.kind == "ema" else (visits > 0).to(visits.dtype)

    def _rows(self, index: Tensor, mass: Tensor, num_classes: int) -> Tensor:
        """Return the bank's rows of these samples, [batch, classes]."""
        values = self.bank[index]
        return values if self.kept_classes is None else spread_out(values, self.kept_classes[index], mass, num_classes)

    @torch.no_grad()
    def _remember(self, rows: Tensor, probabilities: Tensor, index: Tensor, epoch: int) -> None:
        # copies of a sample take the first one's prediction, so that the order of writing does not matter
        probabilities = probabilities[(index[:, None] == index).int().argmax(1)]
        visits = self.visits[index]
        shares = {
            "code": torch.where((visits == 0) | (epoch == 1), 1.0, 1 / (1 + epoch)),
            "mean": 1 / (visits + 1),
            "ema": torch.full_like(visits, 1 - self.momentum),
        }
        moved = rows + shares[self.kind][:, None] * (probabilities - rows)
        if self.kept_classes is None:
            self.bank[index] = moved
        else:
            self.bank[index], self.kept_classes[index] = keep_largest(moved, self.bank.shape[1])
        self.visits[index] = visits + 1
