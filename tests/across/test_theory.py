"""What the theory of teachers says, on data whose true label distribution is known, through the library's own quantities.

Two identities are with the methods they are about: KL = TCKD + (1 - p_y) NCKD in test_dkd, Brier with consistency as Brier
to a softened target in test_brier. The same at full size: results/teacher-theory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import preceptor
from preceptor.assessment import distance_to_truth, measure
from preceptor.data import load
from preceptor.divergences import log_soften
from preceptor.objectives.teacher import brier_loss, cross_entropy_loss
from preceptor.training.teachers import average_outputs
from preceptor.types import Outputs

Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {"brier": brier_loss, "cross_entropy": cross_entropy_loss}


def gaussians(samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, true label distributions and labels of the test part."""
    test = load("gaussian", options={"num_classes": 4, "dim": 3, "variance": 1.0, "samples": samples}).test
    assert test.truth is not None
    return test.inputs(torch.arange(len(test))).double(), test.truth.double(), test.labels


def models(inputs: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Return logits of very different models of these inputs."""
    random = torch.Generator().manual_seed(0)
    linear = inputs @ torch.randn(inputs.shape[1], truth.shape[1], generator=random).double()
    return {
        "the truth": truth.log(),
        "too sure": 4 * truth.log(),
        "uniform": torch.zeros_like(truth),
        "linear": linear,
        "linear, very sure": 10 * linear,
    }


@pytest.mark.parametrize("name", LOSSES)
def test_expected_loss_is_distance_to_the_truth_and_a_constant_by_enumeration(name: str) -> None:
    """E_y|y - p|^2 = |p* - p|^2 + 1 - |p*|^2 and E_y[-log p_y] = KL(p* || p) + H(p*): what is left over knows no model."""
    inputs, truth, _ = gaussians(100)
    left = {
        "brier": float((1 - truth.square().sum(1)).mean()),
        "cross_entropy": float(-(truth * truth.log()).sum(1).mean()),
    }[name]
    for logits in models(inputs, truth).values():
        expected = sum(
            float(truth[row, y] * LOSSES[name](logits[row : row + 1], torch.tensor([y])))
            for row in range(len(truth))
            for y in range(4)
        ) / len(truth)
        found = distance_to_truth(logits, truth)
        distance = {"brier": found.mse, "cross_entropy": found.kl}[name]
        assert expected - distance == pytest.approx(left, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_measured_scores_less_the_distance_are_the_constant_up_to_the_labels_noise(name: str) -> None:
    inputs, truth, labels = gaussians(40_000)
    for logits in models(inputs, truth).values():
        found = measure(logits, labels, truth)
        assert found.truth is not None
        score, distance, left = {
            "brier": (found.brier, found.truth.mse, found.truth.irreducible_brier),
            "cross_entropy": (found.nll, found.truth.kl, found.truth.cross_entropy - found.truth.kl),
        }[name]
        log_given = log_soften(logits)
        each = {"brier": -2 * log_given.exp(), "cross_entropy": -log_given}[name]  # what of the loss a label decides
        spread = (truth * each.square()).sum(1) - (truth * each).sum(1).square()
        error = math.sqrt(float(spread.mean()) / len(labels))
        assert score - distance == pytest.approx(left, abs=4.5 * error + 1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_both_losses_are_least_at_the_truth(name: str) -> None:
    """Minimised over free logits with labels enumerated, each gives back p*."""
    random = torch.Generator().manual_seed(1)
    truth = torch.softmax(torch.randn(3, 4, generator=random).double(), 1)
    logits = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def expected() -> Tensor:
        optimizer.zero_grad()
        losses = [truth[i, y] * LOSSES[name](logits[i : i + 1], torch.tensor([y])) for i in range(3) for y in range(4)]
        loss = torch.stack(losses).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(expected)  # type: ignore[arg-type]
    torch.testing.assert_close(torch.softmax(logits.detach(), 1), truth, rtol=0, atol=1e-5)


def test_distance_of_replicates_is_bias_and_variance() -> None:
    """E|p_T - p*|^2 = |E p_T - p*|^2 + Var: a team's mean answer is nearer than its members by their spread."""
    inputs, truth, _ = gaussians(200)
    members = [logits for name, logits in models(inputs, truth).items() if name != "the truth"]
    team = average_outputs([Outputs(logits) for logits in members]).logits
    given = torch.stack([torch.softmax(logits, 1) for logits in members])
    variance = float((given - given.mean(0)).square().sum(2).mean())
    mean_distance = sum(distance_to_truth(logits, truth).mse for logits in members) / len(members)
    assert variance > 0.01
    assert mean_distance == pytest.approx(distance_to_truth(team, truth).mse + variance)


def test_the_truth_as_teacher_takes_the_labels_noise_out_of_the_students_objective() -> None:
    """Same mean, and less variance by E[Var(loss | x)] (Menon et al., ICML 2021, section 3); a teacher is off by at most
    E[|p_T - p*| |losses|] in the mean, and one that always says the same has less variance still: bias in its place."""
    inputs, truth, labels = gaussians(40_000)
    logits = models(inputs, truth)
    losses = -log_soften(logits["linear"])  # the student's, for every label
    by_labels, by_truth = losses.gather(1, labels[:, None])[:, 0], (truth * losses).sum(1)
    noise = (truth * losses.square()).sum(1) - by_truth.square()
    error = math.sqrt(float(noise.mean()) / len(labels))
    assert float(by_labels.mean()) == pytest.approx(float(by_truth.mean()), abs=4.5 * error)
    assert float(by_labels.var()) == pytest.approx(float(by_truth.var() + noise.mean()), rel=0.05)
    assert float(by_labels.var()) > 1.2 * float(by_truth.var())
    for name in ("too sure", "uniform"):
        teacher = torch.softmax(logits[name], 1)
        by_teacher = (teacher * losses).sum(1)
        bound = float(((teacher - truth).norm(dim=1) * losses.norm(dim=1)).mean())
        assert 0.01 < abs(float(by_teacher.mean() - by_truth.mean())) <= bound
    assert float((losses.mean(1)).var()) < float(by_truth.var())  # the uniform teacher


def test_a_trained_network_is_nearer_to_the_truth_the_more_often_it_sees_each_feature(tmp_path: Path) -> None:
    """Dong, Liu, Shang (ICLR 2024): on mixed features the distance falls with the number of occurrences."""
    found = []
    for samples in (100, 400, 6400):
        data = {
            "name": "mixed_features",
            "num_classes": 4,
            "num_features": 10,
            "patches": 2,
            "dim": 8,
            "samples": samples,
        }
        run = preceptor.teach(
            data=data,
            model={"name": "mlp", "widths": [32]},
            epochs=max(8, 20_000 // samples),
            batch_size=100,
            optim={"name": "adamw", "lr": 3e-3},
            engine="plain",
            out=tmp_path / str(samples),
            progress=False,
        )
        assert run.metrics.truth is not None
        found.append(run.metrics.truth.mse)
    assert found[0] > 1.5 * found[1] > 1.5**2 * found[2]
