"""Deep mutual learning: networks trained together, each on the labels and on what the others predict.

Source: Zhang, Xiang, Hospedales, Lu, "Deep Mutual Learning" (CVPR 2018, arXiv 1706.00384), equations 3 to 7. The peers are
part of the objective: trained by the run's optimiser, saved in its checkpoints, written as `objective/peer1.safetensors`, ... .
Differs from the authors' code: the mean over peers, as the paper has it, where theirs sums; no 1e-8 inside logarithms. All
networks take their step at once, from one forward pass of each on the same batch, as in their code; in the paper's
algorithm 1 one follows the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from preceptor.divergences import kl, log_soften, promote
from preceptor.models import logits_of
from preceptor.objectives.base import BuildContext, Objective, targets_of
from preceptor.objectives.hyperparameters import one_of
from preceptor.objectives.tensor_checks import check_logits
from preceptor.types import Step

__all__ = ["DML", "dml_loss"]

Reduction = Literal["mean", "sum"]


def dml_loss(
    logits: Float[Tensor, "batch classes"],
    peer_logits: Sequence[Float[Tensor, "batch classes"]],
    *,
    reduction: Reduction = "mean",
) -> Float[Tensor, ""]:
    """Return the mean over peers of KL(p_peer, p), with p = softmax(z).

    Args:
        logits: of one network.
        peer_logits: of the others; constant in the gradient.
        reduction: over peers: "mean", or "sum", which grows with their number.

    Returns:
        nats per sample, batch mean; 0 where all agree.

    Raises:
        ValueError: for no peers, an unknown reduction, or logits of different shapes.

    Examples:
        >>> round(dml_loss(torch.zeros(1, 2), [torch.tensor([[2.0, 0.0]])]).item(), 6)
        0.327813
    """
    one_of(reduction, get_args(Reduction), "reduction")
    if not peer_logits:
        raise ValueError("peer_logits: needs at least one peer, got none")
    for peer in peer_logits:
        check_logits(logits, peer)
    own = log_soften(logits)
    each = torch.stack([kl(log_soften(peer.detach()), own).mean() for peer in peer_logits])
    return each.sum() if reduction == "sum" else each.mean()


class DML(Objective):
    """Divergence from the peers, and for each peer its cross-entropy and its divergence from all others.

    Args:
        peers: networks by name; none: one more of the network that is trained.
        reduction: as for `dml_loss`.
    """

    uses_teacher = False
    needs_labels = True

    def __init__(self, peers: tuple[str, ...] = (), reduction: Reduction = "mean") -> None:
        super().__init__()
        self.names = peers
        self.reduction: Reduction = one_of(reduction, get_args(Reduction), "reduction")
        self.peers = nn.ModuleList()

    def build(self, context: BuildContext) -> None:
        """Make the peers, whose initial weights differ from the network's."""
        new = [context.network(name) for name in self.names or (None,)]
        self.peers = nn.ModuleList(new).to(context.student.logits.device)

    def loss(self, step: Step) -> Tensor:
        """Return the sum of the losses of all networks, the labels' of the one that is trained left out."""
        peers = [_logits(peer, step.batch.inputs) for peer in self.peers]
        everyone, labels = [step.student.logits, *peers], targets_of(step)
        total = dml_loss(step.student.logits, peers, reduction=self.reduction)
        for number, own in enumerate(peers, start=1):
            others = [*everyone[:number], *everyone[number + 1 :]]
            total = total + functional.cross_entropy(promote(own), labels)
            total = total + dml_loss(own, others, reduction=self.reduction)
        return total

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the peers."""
        return {f"peer{number}": peer for number, peer in enumerate(self.peers, start=1)}

    def notes(self) -> tuple[str, ...]:
        """Name the peers."""
        return (f"trained together with {', '.join(self.names) or 'another network like it'}",)


def _logits(network: nn.Module, inputs: Tensor) -> Tensor:
    """Return a network's logits; a single one is read as (0, z)."""
    logits = logits_of(network(inputs.to(next(network.parameters()).dtype)), network)
    return functional.pad(logits, (1, 0)) if logits.shape[1] == 1 else logits
