"""How much alike the predictions of two networks are: a student and its teacher, or two teachers; in float64."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from preceptor.assessment.devices import on_cpu
from preceptor.divergences import kl, log_soften

__all__ = ["Fidelity", "compare"]


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Predictions of a network compared with those of a reference (its teacher, say); means over samples.

    Attributes:
        agreement: share of equal choices.
        agreement_where_right: the same where the reference is right; None where it never is.
        agreement_where_wrong: the same where it is wrong; None where it never is.
        top5_contains: share of samples whose reference choice is among the network's five first; None with five classes
            or fewer.
        top5_overlap: share of the reference's five first that are among the network's; likewise.
        kl: KL(reference || network) in nats.
        kl_softened: the same at a temperature, without the factor temperature^2.
        jensen_shannon: in nats, at most log 2.
        total_variation: half the sum of absolute differences, in [0, 1].
        logit_correlation: Pearson's, of all logits, each row centred.
        logit_distance: root mean square difference of the centred logits.
    """

    agreement: float
    agreement_where_right: float | None
    agreement_where_wrong: float | None
    top5_contains: float | None
    top5_overlap: float | None
    kl: float
    kl_softened: float
    jensen_shannon: float
    total_variation: float
    logit_correlation: float
    logit_distance: float


@on_cpu
def compare(
    logits: Float[Tensor, "samples classes"],
    reference: Float[Tensor, "samples classes"],
    labels: Int[Tensor, " samples"],
    *,
    temperature: float = 4.0,
) -> Fidelity:
    """Return how much alike the predictions of a network and a reference are. Agreement is coarse: read it with the KL.

    Args:
        logits: of the network.
        reference: logits of its teacher, on the same samples.
        labels: classes.
        temperature: for `kl_softened`.

    Raises:
        ValueError: for logits of different shapes, or no samples.

    Examples:
        >>> same = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
        >>> compare(same, same, torch.tensor([0, 0])).agreement
        1.0
    """
    if logits.shape != reference.shape:
        raise ValueError(
            f"logits and reference: shapes {tuple(logits.shape)} and {tuple(reference.shape)} differ: no common classes"
        )
    if len(logits) == 0:
        raise ValueError("logits: no samples to compare")
    own, other = logits.double(), reference.double()
    choice = other.argmax(1)
    equal = own.argmax(1) == choice
    right = choice == labels
    log_own, log_other = log_soften(own), log_soften(other)
    log_middle = torch.logaddexp(log_own, log_other) - torch.log(torch.tensor(2.0, dtype=torch.float64))
    centred, centred_other = own - own.mean(1, keepdim=True), other - other.mean(1, keepdim=True)
    product = centred.norm() * centred_other.norm()
    five = logits.shape[1] > 5
    best, best_other = (own.topk(5, 1).indices, other.topk(5, 1).indices) if five else (choice, choice)
    return Fidelity(
        agreement=float(equal.double().mean()),
        agreement_where_right=float(equal[right].double().mean()) if bool(right.any()) else None,
        agreement_where_wrong=float(equal[~right].double().mean()) if not bool(right.all()) else None,
        top5_contains=float((best == choice[:, None]).any(1).double().mean()) if five else None,
        top5_overlap=float((best[:, :, None] == best_other[:, None, :]).any(2).double().mean()) if five else None,
        kl=float(kl(log_other, log_own).mean()),
        kl_softened=float(kl(log_soften(other, temperature), log_soften(own, temperature)).mean()),
        jensen_shannon=float((kl(log_own, log_middle) + kl(log_other, log_middle)).mean() / 2),
        total_variation=float((log_own.exp() - log_other.exp()).abs().sum(1).mean() / 2),
        logit_correlation=float((centred * centred_other).sum() / product) if float(product) > 0 else 0.0,
        logit_distance=float((centred - centred_other).square().mean().sqrt()),
    )
