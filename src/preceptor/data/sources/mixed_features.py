"""Samples made of features, each with its own label distribution: the data model of SoTeacher's theory.

Source: Dong, Liu, Shang, "Student-Oriented Teacher Network Training for Knowledge Distillation" (ICLR 2024, arXiv
2206.06661), section 3: a sample is a set of feature patches, its label that of one of them. As the paper's own settings
are not published, the sizes here are ours.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from preceptor.data.dataset import Source
from preceptor.data.split import Arrays
from preceptor.errors import UsageError
from preceptor.messages import did_you_mean

__all__ = ["geometric_mean", "mixed_features", "posterior"]

Truth = Literal["posterior", "geometric"]


def posterior(of_feature: Float[Tensor, "features classes"], features: Int[Tensor, "samples patches"]) -> Tensor:
    """Return p(label | features) = (1/M) sum_m p(label | z_m), [samples, classes]: the true label distribution.

    Args:
        of_feature: p(label | z) of each feature.
        features: z_1 .. z_M of each sample.

    Examples:
        >>> posterior(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[0, 1]]))
        tensor([[0.7500, 0.2500]])
    """
    return of_feature[features].mean(1)


def geometric_mean(of_feature: Float[Tensor, "features classes"], features: Int[Tensor, "samples patches"]) -> Tensor:
    """Return prod_m p(label | z_m)^(1/M), normalised, [samples, classes]: what cross-entropy finds, by the theory.

    Args:
        of_feature: p(label | z) of each feature, above 0.
        features: z_1 .. z_M of each sample.

    Examples:
        >>> geometric_mean(torch.tensor([[0.8, 0.2], [0.5, 0.5]]), torch.tensor([[0, 1]]))
        tensor([[0.6667, 0.3333]])
    """
    return torch.softmax(of_feature[features].log().mean(1), dim=1)


_TRUTHS = {"posterior": posterior, "geometric": geometric_mean}


def mixed_features(
    *,
    num_classes: int = 10,
    num_features: int = 100,
    patches: int = 4,
    dim: int = 16,
    spread: float = 0.1,
    zipf: float = 0.0,
    concentration: float = 0.5,
    samples: int = 2_000,
    test_samples: int = 4_000,
    truth: Truth = "posterior",
    draw_seed: int = 0,
) -> Source:
    """Vectors of feature patches with known label distributions (SoTeacher's theory).

    Args:
        num_classes: of labels.
        num_features: how many different features there are.
        patches: features per sample; its label is drawn from one of them.
        dim: of a patch; the input has patches x dim numbers.
        spread: standard deviation of a feature's representation around its centre, whose coordinates have 1; 0: none.
        zipf: features occur in proportion to 1 / rank^zipf; 0: equally often.
        concentration: of the Dirichlet distribution that each feature's label distribution is drawn from.
        samples: to train and validate on.
        test_samples: to test on.
        truth: which distribution `truth` is: the exact "posterior", or the "geometric" mean that the theory predicts.
        draw_seed: of all random numbers; not tied to the run's seed.
    """
    counts = (num_classes - 1, num_features, patches, dim, samples, test_samples)
    if min(counts) < 1 or spread < 0 or zipf < 0 or concentration <= 0:
        raise UsageError(
            f"data: mixed_features needs num_classes >= 2, num_features, patches, dim, samples and test_samples >= 1, spread and "
            f"zipf >= 0 and concentration > 0, got num_classes={num_classes}, num_features={num_features}, patches={patches}, "
            f"dim={dim}, samples={samples}, test_samples={test_samples}, spread={spread}, zipf={zipf}, "
            f"concentration={concentration}"
        )
    if truth not in _TRUTHS:
        raise UsageError(f"data.truth: unknown name {truth!r}{did_you_mean(truth, _TRUTHS)}")
    random = torch.Generator().manual_seed(draw_seed)
    gamma = torch._standard_gamma(torch.full((num_features, num_classes), concentration).double(), random)
    of_feature = (gamma + 1e-6) / (gamma + 1e-6).sum(1, keepdim=True)
    centres = torch.randn(num_features, dim, generator=random)
    frequency = 1 / torch.arange(1, num_features + 1).double() ** zipf

    def drawn(number: int) -> Arrays:
        features = torch.multinomial(frequency.expand(number, -1), patches, replacement=True, generator=random)
        points = centres[features] + spread * torch.randn(number, patches, dim, generator=random)
        chosen = torch.randint(0, patches, (number, 1), generator=random)
        labels = torch.multinomial(of_feature[features.gather(1, chosen)[:, 0]], 1, generator=random)[:, 0]
        target = _TRUTHS[truth](of_feature, features)
        return Arrays(points.flatten(1), labels, target.float())

    train, test = drawn(samples), drawn(test_samples)
    times = samples * patches / num_features
    return Source(
        name="mixed_features",
        train=train,
        test=test,
        class_names=tuple(str(k) for k in range(num_classes)),
        protocol="vectors",
        notes=(
            f"mixed_features: {num_features} features, each {times:,.0f} times in training on average; truth: {truth}",
        ),
    )
