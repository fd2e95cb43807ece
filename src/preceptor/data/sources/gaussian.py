"""Gaussian classes whose exact posterior is known.

Source: the synthetic experiment of Hamidi et al., "How to Train the Teacher Model for Effective Knowledge Distillation"
(ECCV 2024, arXiv 2407.18041).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.data.dataset import Source
from preceptor.data.split import Arrays
from preceptor.errors import UsageError

__all__ = ["gaussian", "gaussian_posterior", "normal_posterior"]

_TRAIN, _VALIDATION = 0.05, 0.05  # the published split; the rest is test

_MOST = 2**31  # numbers in memory


def gaussian_posterior(
    inputs: Float[Tensor, "samples dim"],
    means: Float[Tensor, "classes dim"],
    *,
    variance: float,
    log_prior: Float[Tensor, " classes"] | None = None,
) -> Float[Tensor, "samples classes"]:
    """Return p*(class | x) = softmax(log prior - ||x - mean||^2 / (2 variance)).

    Args:
        inputs: points.
        means: of the classes.
        variance: of every coordinate, in every class.
        log_prior: of the classes; None: uniform.

    Examples:
        >>> gaussian_posterior(torch.zeros(1, 1), torch.tensor([[-1.0], [1.0]]), variance=1.0).tolist()
        [[0.5, 0.5]]
    """
    scores = -torch.cdist(inputs, means, compute_mode="donot_use_mm_for_euclid_dist").square() / (2 * variance)
    return torch.softmax(scores if log_prior is None else scores + log_prior, dim=1)


def normal_posterior(
    inputs: Float[Tensor, "samples dim"],
    means: Float[Tensor, "classes dim"],
    covariances: Float[Tensor, "classes dim dim"],
    *,
    log_prior: Float[Tensor, " classes"] | None = None,
) -> Float[Tensor, "samples classes"]:
    """Return p*(class | x) = softmax(log prior - (x - mean)' covariance^-1 (x - mean) / 2 - log det(covariance) / 2).

    Args:
        inputs: points.
        means: of the classes.
        covariances: of the classes, symmetric and positive definite.
        log_prior: of the classes; None: uniform.

    Examples:
        >>> means, wide = torch.zeros(2, 1), torch.tensor([[[1.0]], [[4.0]]])
        >>> normal_posterior(torch.zeros(1, 1), means, wide)  # densities of 1 : 1 / 2
        tensor([[0.6667, 0.3333]])
    """
    scores = []
    for mean, factor in zip(means, torch.linalg.cholesky(covariances), strict=True):
        white = torch.linalg.solve_triangular(factor, (inputs - mean).T, upper=False)
        scores.append(-white.square().sum(0) / 2 - factor.diagonal().log().sum())
    stacked = torch.stack(scores, dim=1)
    return torch.softmax(stacked if log_prior is None else stacked + log_prior, dim=1)


def gaussian(
    *,
    num_classes: int = 10,
    dim: int = 30,
    variance: float = 6.0,
    samples: int = 100_000,
    delta: float = 1.0,
    priors: Sequence[float] | None = None,
    variances: Sequence[float] | None = None,
    covariances: Sequence[Sequence[Sequence[float]]] | None = None,
    draw_seed: int = 0,
) -> Source:
    """Gaussian classes with known posterior: means uniform in {-1, 0, 1}^dim times delta; 5 % train, 5 % validation.

    Args:
        num_classes: how many.
        dim: of the points.
        variance: of every coordinate, in every class.
        samples: in all three splits together.
        delta: scale of the means.
        priors: of the classes, above 0 and summing to 1; None: equal.
        variances: of every coordinate, one per class, instead of `variance`.
        covariances: one dim x dim matrix per class, instead of `variance`.
        draw_seed: of means and points; not tied to the run's seed.
    """
    if num_classes < 2 or dim < 1 or variance <= 0 or samples < 40:
        raise UsageError(
            f"data: gaussian needs num_classes >= 2, dim >= 1, variance > 0 and samples >= 40, got num_classes={num_classes}, "
            f"dim={dim}, variance={variance}, samples={samples}"
        )
    if samples * max(dim, num_classes) > _MOST:
        raise UsageError(
            f"data.samples: {samples:,} samples of {dim:,} numbers and {num_classes:,} classes are more than {_MOST:,} numbers"
        )
    prior = None if priors is None else _prior(priors, num_classes)
    own_covariances = _covariances(variances, covariances, num_classes, dim)
    random = torch.Generator().manual_seed(draw_seed)
    means = delta * (torch.randint(0, 3, (num_classes, dim), generator=random).double() - 1)
    if prior is None:
        labels = torch.randint(0, num_classes, (samples,), generator=random)
    else:
        labels = torch.multinomial(prior, samples, replacement=True, generator=random)
    noise = torch.randn(samples, dim, generator=random, dtype=torch.float64)
    log_prior = None if prior is None else prior.log()
    if own_covariances is None:
        points = means[labels] + variance**0.5 * noise
        truth = gaussian_posterior(points, means, variance=variance, log_prior=log_prior)
    else:
        points = means[labels]
        for label, factor in enumerate(torch.linalg.cholesky(own_covariances)):
            points[labels == label] += noise[labels == label] @ factor.T
        truth = normal_posterior(points, means, own_covariances, log_prior=log_prior)
    cut = [round(_TRAIN * samples), round((_TRAIN + _VALIDATION) * samples)]
    samples_drawn = Arrays(points.float(), labels, truth.float())
    train, validation, test = (samples_drawn.take(rows) for rows in torch.arange(samples).tensor_split(cut))
    return Source(
        name="gaussian",
        train=train,
        validation=validation,
        test=test,
        class_names=tuple(str(k) for k in range(num_classes)),
        protocol="vectors",
        notes=(f"gaussian: {len(train):,} training, {len(validation):,} validation, {len(test):,} test samples",),
    )


def _prior(priors: Sequence[float], num_classes: int) -> Float[Tensor, " classes"]:
    if len(priors) != num_classes or min(priors) <= 0 or abs(math.fsum(priors) - 1) > 1e-6:
        raise UsageError(f"data.priors: needs {num_classes} numbers above 0 that sum to 1, got {list(priors)}")
    return torch.tensor(priors, dtype=torch.float64)


def _covariances(
    variances: Sequence[float] | None,
    covariances: Sequence[Sequence[Sequence[float]]] | None,
    num_classes: int,
    dim: int,
) -> Float[Tensor, "classes dim dim"] | None:
    """Return each class's own covariance, or None if all share one variance."""
    if variances is not None and covariances is not None:
        raise UsageError("data.variances: cannot be combined with data.covariances; leave one out")
    if variances is not None:
        if len(variances) != num_classes or min(variances) <= 0:
            raise UsageError(f"data.variances: needs {num_classes} numbers above 0, got {list(variances)}")
        return torch.tensor(variances, dtype=torch.float64)[:, None, None] * torch.eye(dim, dtype=torch.float64)
    if covariances is None:
        return None
    if len(covariances) != num_classes or any({len(matrix), *map(len, matrix)} != {dim} for matrix in covariances):
        raise UsageError(f"data.covariances: needs {num_classes} matrices of {dim} x {dim}, got {len(covariances)}")
    matrices = torch.tensor(covariances, dtype=torch.float64)
    for label, matrix in enumerate(matrices):
        if not matrix.equal(matrix.T) or int(torch.linalg.cholesky_ex(matrix).info):
            raise UsageError(f"data.covariances: that of class {label} is not symmetric and positive definite")
    return matrices
