"""Consistency regularisation: stay near the running mean of one's own earlier answers to the same sample.

Each sample is seen under another augmentation in every epoch, so consistency over epochs is robustness to feature
transformations (temporal ensembling on probabilities).

Source: Dong, Liu, Shang, "Toward Student-Oriented Teacher Network Training for Knowledge Distillation" (ICLR 2024, arXiv
2206.06661); Laine, Aila, "Temporal Ensembling" (ICLR 2017).
Differs from the authors' code: nothing at bank="code", which keeps their off-by-one (the first epoch counts twice), but
for samples that an epoch left out: their first answer enters whole. "mean" is the plain running mean of each sample's own
visits, "ema" an exponential one.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.divergences import log_soften, promote
from preceptor.objectives.base import Objective, Setting
from preceptor.objectives.knobs import one_of
from preceptor.types import Step

__all__ = ["Consistency", "consistency_loss"]

Bank = Literal["code", "mean", "ema"]


def consistency_loss(
    logits: Float[Tensor, "batch classes"], earlier: Float[Tensor, "batch classes"]
) -> Float[Tensor, ""]:
    """Return (1/B) sum_i sum_c (softmax(z_i)_c - s_ic)^2.

    Args:
        logits: of the network, at temperature 1.
        earlier: what it said of these samples before, as probabilities; constant in the gradient.

    Returns:
        squared probability a sample, batch mean, in [0, 2]; 0 when the network says what it said before.

    Example:
        >>> consistency_loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])).item()
        0.5
    """
    return (log_soften(logits).exp() - promote(earlier.detach())).square().sum(1).mean()


class Consistency(Objective):
    """Squared distance to the bank of earlier answers, which is read first and updated afterwards."""

    uses_teacher = False
    needs_samples = True
    memories = ("bank", "visits")
    multilabel = "each_class"

    bank: Tensor
    visits: Tensor

    def __init__(self, bank: Bank = "code", momentum: float = 0.9) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum: {momentum} is not in [0, 1)")
        self.kind: Bank = one_of(bank, get_args(Bank), "bank")
        self.momentum = momentum
        self.register_buffer("bank", torch.zeros(0, 0))
        self.register_buffer("visits", torch.zeros(0))

    def build(self, setting: Setting) -> None:
        """Make an empty bank: 4 bytes a sample and class, and a count of visits a sample."""
        device = setting.student.logits.device
        self.bank = torch.zeros(setting.num_samples, setting.num_classes, device=device)
        self.visits = torch.zeros(setting.num_samples, device=device)

    def forward(self, logits: Tensor, index: Tensor, epoch: int) -> Tensor:
        """Return the loss of logits [batch, classes] of the samples `index`, 0 in epoch 1 and for samples not seen before.

        In training the answers then enter the bank; samples that a batch holds twice enter once.

        Raises:
            ValueError: before `build`, which makes the bank.
        """
        if len(self.bank) == 0:
            raise ValueError("consistency has no bank yet: call build(setting) first")
        visits = self.visits[index, None]
        earlier = self.bank[index]
        if self.kind == "ema":
            earlier = earlier / (1 - self.momentum**visits).clamp_min(1e-12)
        given = log_soften(logits.detach()).exp()
        loss = consistency_loss(logits, torch.where(visits > 0, earlier.to(given.dtype), given))
        if self.training and torch.is_grad_enabled():
            self._remember(given.to(self.bank.dtype), index, epoch)
        return loss if epoch > 1 else loss * 0.0

    def loss(self, step: Step) -> Tensor:
        """Return the loss of the network that is trained."""
        return self(step.student.logits, step.batch.index, step.clock.epoch)  # type: ignore[no-any-return]

    @torch.no_grad()
    def _remember(self, given: Tensor, index: Tensor, epoch: int) -> None:
        # copies of a sample take the first one's answer, so that the order of writing does not matter
        given = given[(index[:, None] == index).int().argmax(1)]
        visits = self.visits[index]
        shares = {
            "code": torch.where((visits == 0) | (epoch == 1), 1.0, 1 / (1 + epoch)),
            "mean": 1 / (visits + 1),
            "ema": torch.full_like(visits, 1 - self.momentum),
        }
        self.bank[index] += shares[self.kind][:, None] * (given - self.bank[index])
        self.visits[index] = visits + 1
