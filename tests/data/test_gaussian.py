from __future__ import annotations

import math

import pytest
import torch

from preceptor.data import Data, load
from preceptor.data.gaussian import gaussian_posterior
from preceptor.errors import UsageError


@pytest.fixture(scope="module")
def published() -> Data:
    return load("gaussian")


def test_the_posterior_against_a_slow_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    points, means = (torch.randn(n, 3, generator=generator, dtype=torch.float64) * 2 for n in (20, 4))
    prior = [0.1, 0.2, 0.3, 0.4]
    found = gaussian_posterior(points, means, variance=2.5, log_prior=torch.tensor(prior, dtype=torch.float64).log())
    for row in range(20):
        density = [
            prior[k] * math.exp(-sum((points[row, d] - means[k, d]).item() ** 2 for d in range(3)) / (2 * 2.5))
            for k in range(4)
        ]
        expected = torch.tensor([value / sum(density) for value in density], dtype=torch.float64)
        torch.testing.assert_close(found[row], expected, rtol=1e-10, atol=1e-12)


def test_the_published_setting(published: Data) -> None:
    assert [len(part) for part in (published.train, published.validation, published.test)] == [5000, 5000, 90_000]
    assert (published.num_classes, published.input_shape, published.protocol) == (10, (30,), "vectors")


def test_bayes_accuracy(published: Data) -> None:
    """About 0.599 in the published setting; the posterior itself says how often its best guess is right."""
    truth = published.test.truth
    assert truth is not None
    accuracy = (truth.argmax(1) == published.test.labels).double().mean().item()
    assert accuracy == pytest.approx(0.599, abs=0.03)  # the means are drawn anew: spread over draws, not over samples
    assert accuracy == pytest.approx(truth.max(1).values.double().mean().item(), abs=0.006)


def test_labels_follow_the_posterior(published: Data) -> None:
    truth = published.test.truth
    assert truth is not None
    torch.testing.assert_close(truth.sum(1), torch.ones(90_000))
    hit = torch.zeros_like(truth).scatter_(1, published.test.labels[:, None], 1.0)
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        inside = (truth >= low) & (truth < low + 0.2)
        expected, seen = truth[inside].double().mean().item(), hit[inside].double().mean().item()
        assert seen == pytest.approx(expected, abs=4.5 * math.sqrt(0.25 / int(inside.sum())))


def test_draws_are_repeatable_and_seeded() -> None:
    def first(seed: int) -> torch.Tensor:
        return load("gaussian", options={"samples": 200, "draw_seed": seed}).train.inputs(torch.tensor([0]))

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_a_share_that_is_not_used_is_said() -> None:
    notes = load("gaussian", validation=0.3, options={"samples": 200}).notes
    assert any("the share 0.3 is not used" in note for note in notes)


@pytest.mark.parametrize("options", [{"variance": 0.0}, {"num_classes": 1}, {"samples": 3}, {"dim": 0}])
def test_impossible_settings_are_named(options: dict[str, float]) -> None:
    ((key, value),) = options.items()
    with pytest.raises(UsageError, match=f"{key}={value}"):
        load("gaussian", options=options)
