"""Gaussian classes whose exact posterior is known.

Source: the synthetic experiment of Hamidi et al., "How to Train the Teacher Model for Effective Knowledge Distillation"
(ECCV 2024, arXiv 2407.18041).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from preceptor.data.dataset import Source
from preceptor.data.split import Arrays
from preceptor.errors import UsageError

__all__ = ["gaussian", "gaussian_posterior"]

_TRAIN, _VALIDATION = 0.05, 0.05  # the published split; the rest is test


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
        log_prior: of the classes; uniform when not given.

    Example:
        >>> gaussian_posterior(torch.zeros(1, 1), torch.tensor([[-1.0], [1.0]]), variance=1.0).tolist()
        [[0.5, 0.5]]
    """
    scores = -torch.cdist(inputs, means, compute_mode="donot_use_mm_for_euclid_dist").square() / (2 * variance)
    return torch.softmax(scores if log_prior is None else scores + log_prior, dim=1)


def gaussian(
    *,
    num_classes: int = 10,
    dim: int = 30,
    variance: float = 6.0,
    samples: int = 100_000,
    delta: float = 1.0,
    draw_seed: int = 0,
) -> Source:
    """Gaussian classes with known posterior: means uniform in {-1, 0, 1}^dim times delta; 5 % train, 5 % validation.

    Args:
        num_classes: with equal priors.
        dim: of the points.
        variance: of every coordinate.
        samples: in all three splits together.
        delta: scale of the means.
        draw_seed: of means and points; not tied to the run's seed.
    """
    if num_classes < 2 or dim < 1 or variance <= 0 or samples < 40:
        raise UsageError(
            f"data: gaussian needs num_classes >= 2, dim >= 1, variance > 0 and samples >= 40, got num_classes={num_classes}, "
            f"dim={dim}, variance={variance}, samples={samples}"
        )
    random = torch.Generator().manual_seed(draw_seed)
    means = delta * (torch.randint(0, 3, (num_classes, dim), generator=random).double() - 1)
    labels = torch.randint(0, num_classes, (samples,), generator=random)
    points = means[labels] + variance**0.5 * torch.randn(samples, dim, generator=random, dtype=torch.float64)
    truth = gaussian_posterior(points, means, variance=variance)
    cut = [round(_TRAIN * samples), round((_TRAIN + _VALIDATION) * samples)]
    whole = Arrays(points.float(), labels, truth.float())
    train, validation, test = (whole.take(rows) for rows in torch.arange(samples).tensor_split(cut))
    return Source(
        name="gaussian",
        train=train,
        validation=validation,
        test=test,
        class_names=tuple(str(k) for k in range(num_classes)),
        protocol="vectors",
        notes=(f"gaussian: {len(train):,} training, {len(validation):,} validation, {len(test):,} test samples",),
    )
