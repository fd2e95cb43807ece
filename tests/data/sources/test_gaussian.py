from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from preceptor.data import Data, load
from preceptor.data.sources.gaussian import gaussian_posterior, normal_posterior
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


PRIORS = (0.5, 0.3, 0.2)
COVARIANCES = (((2.0, 0.5), (0.5, 1.0)), ((0.3, 0.0), (0.0, 4.0)), ((1.0, -0.9), (-0.9, 1.0)))


@pytest.mark.parametrize("priors", [None, PRIORS])
def test_the_posterior_with_covariances_against_scipy(priors: Sequence[float] | None) -> None:
    generator = torch.Generator().manual_seed(1)
    points, means = (3 * torch.randn(n, 2, generator=generator, dtype=torch.float64) for n in (50, 3))
    log_prior = None if priors is None else torch.tensor(priors, dtype=torch.float64).log()
    shapes = torch.tensor(COVARIANCES, dtype=torch.float64)
    found = normal_posterior(points, means, shapes, log_prior=log_prior)
    density = np.stack(
        [
            prior * multivariate_normal(mean.numpy(), covariance.numpy()).pdf(points.numpy())
            for prior, mean, covariance in zip(priors or (1.0, 1.0, 1.0), means, shapes, strict=True)
        ],
        axis=1,
    )
    expected = torch.from_numpy(density / density.sum(1, keepdims=True))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_covariances_that_are_all_alike_give_the_posterior_of_one_variance() -> None:
    generator = torch.Generator().manual_seed(2)
    points, means = (torch.randn(n, 4, generator=generator, dtype=torch.float64) for n in (30, 3))
    alike = (2.5 * torch.eye(4, dtype=torch.float64)).expand(3, 4, 4)
    expected = gaussian_posterior(points, means, variance=2.5)
    torch.testing.assert_close(normal_posterior(points, means, alike), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "own",
    [{"variances": (0.5, 2.0, 8.0)}, {"covariances": COVARIANCES}, {"variance": 1.0}],
    ids=lambda own: next(iter(own)),
)
def test_priors_and_covariances_of_the_source(own: dict[str, object]) -> None:
    """Classes occur and spread as was asked, and labels follow the posterior that comes with them."""
    options = {"num_classes": 3, "dim": 2, "samples": 60_000, "priors": PRIORS, **own}
    test = load("gaussian", options=options).test
    assert test.truth is not None
    count, inputs = len(test), test.inputs(torch.arange(len(test))).double()
    for label, prior in enumerate(PRIORS):
        ours = inputs[test.labels == label]
        assert len(ours) / count == pytest.approx(prior, abs=4.5 * math.sqrt(prior * (1 - prior) / count))
        asked = {
            "variances": (0.5, 2.0, 8.0)[label] * np.eye(2),
            "covariances": np.array(COVARIANCES[label]),
            "variance": np.eye(2),
        }[next(iter(own))]
        assert np.abs(np.cov(ours.numpy().T) - asked).max() < 0.05 * np.abs(asked).max()
    hit = torch.nn.functional.one_hot(test.labels, 3).double()
    for low in (0.0, 0.25, 0.5, 0.75):
        inside = (test.truth >= low) & (test.truth < low + 0.25)
        expected, seen = test.truth[inside].double().mean().item(), hit[inside].mean().item()
        assert seen == pytest.approx(expected, abs=4.5 * math.sqrt(0.25 / int(inside.sum())))


def test_the_truth_is_that_of_the_points_own_means() -> None:
    """One variance for all, or one per class: the same draws, the same truth."""
    options = {"num_classes": 3, "dim": 4, "samples": 400}
    once = load("gaussian", options={**options, "variance": 2.0})
    each = load("gaussian", options={**options, "variances": (2.0, 2.0, 2.0)})
    assert once.train.labels.equal(each.train.labels)
    assert once.train.truth is not None
    assert each.train.truth is not None
    torch.testing.assert_close(once.train.truth, each.train.truth)
    torch.testing.assert_close(*(data.train.inputs(torch.arange(20)) for data in (once, each)))


def test_the_published_setting(published: Data) -> None:
    assert [len(split) for split in (published.train, published.validation, published.test)] == [5000, 5000, 90_000]
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"priors": (0.5, 0.5)}, r"data\.priors: needs 3 numbers above 0 that sum to 1, got \[0\.5, 0\.5\]"),
        ({"priors": (0.5, 0.6, 0.2)}, r"data\.priors: .* got \[0\.5, 0\.6, 0\.2\]"),
        ({"priors": (1.0, 0.0, 0.0)}, r"data\.priors: needs 3 numbers above 0"),
        ({"variances": (1.0, -1.0, 1.0)}, r"data\.variances: needs 3 numbers above 0, got \[1\.0, -1\.0, 1\.0\]"),
        ({"covariances": COVARIANCES[:2]}, r"data\.covariances: needs 3 matrices of 2 x 2, got 2"),
        (
            {"covariances": (((1.0, 2.0), (2.0, 1.0)), *COVARIANCES[1:])},
            r"that of class 0 is not symmetric and positive",
        ),
        (
            {"covariances": (((1.0, 0.1), (0.0, 1.0)), *COVARIANCES[1:])},
            r"that of class 0 is not symmetric and positive",
        ),
        ({"variances": (1.0, 1.0, 1.0), "covariances": COVARIANCES}, r"data\.variances: cannot be combined with"),
    ],
)
def test_impossible_priors_and_covariances_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load("gaussian", options={"num_classes": 3, "dim": 2, "samples": 100, **options})
