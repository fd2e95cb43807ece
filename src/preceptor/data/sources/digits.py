"""Real handwritten digits from scikit-learn, as they are, or blended so that the true label distribution is known."""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float, Int, UInt8
from sklearn.datasets import load_digits
from torch import Tensor

from preceptor.data.augment.views import random_bits
from preceptor.data.dataset import Source
from preceptor.data.split import Arrays
from preceptor.data.stratify import split_off_test, train_and_test_rows
from preceptor.errors import UsageError
from preceptor.types import Preprocessing

__all__ = ["ambiguous_digits", "digits"]

_NAMES = tuple(str(digit) for digit in range(10))
_PREPROCESSING = Preprocessing(mean=(0.305,), std=(0.376,))  # of all 1,797 images
_PARENTS, _AMOUNTS, _LABELS = 16, 17, 18  # streams


def digits() -> Source:
    """1,797 real handwritten digits, 8x8, grey (Alpaydin, Kaynak 1998; scikit-learn's load_digits); 20 % are test."""
    images, labels = _images()
    train, test = split_off_test(Arrays(images, labels))
    return Source(
        name="digits",
        train=train,
        test=test,
        class_names=_NAMES,
        preprocessing=_PREPROCESSING,
        protocol="digits",
        validation_share=0.15,
    )


def ambiguous_digits(
    *, samples: int = 1200, test_samples: int = 4000, clearest: float = 0.9, draw_seed: int = 0
) -> Source:
    """Blended pairs of real digits, so that the true label distribution of every image is known.

    An image is w a + (1 - w) b, with a and b of different classes and w uniform in [1/2, clearest]. Its label is drawn:
    a's class with probability w, b's with 1 - w. So p*(class a) = w and p*(class b) = 1 - w exactly, while labels are
    single draws, in train and in test, as in real data. Originals of train and test are disjoint.

    Args:
        samples: for training and validation together.
        test_samples: for test.
        clearest: largest w, in (1/2, 1]; the Bayes accuracy is (1/2 + clearest) / 2.
        draw_seed: of pairs, blends and labels; not tied to the run's seed.
    """
    if not 0.5 < clearest <= 1:
        raise UsageError(f"data.clearest: {clearest} is not in (0.5, 1]")
    if samples < 20 or test_samples < 20:
        raise UsageError(f"data.samples: {min(samples, test_samples)} is too few; at least 20")
    images, labels = _images()
    train, test = train_and_test_rows(labels)
    return Source(
        name="ambiguous_digits",
        train=_blend(images[train], labels[train], samples, clearest, 2 * draw_seed),
        test=_blend(images[test], labels[test], test_samples, clearest, 2 * draw_seed + 1),
        class_names=_NAMES,
        preprocessing=_PREPROCESSING,
        protocol="digits",
        validation_share=1 / 6,
    )


@cache
def _images() -> tuple[UInt8[Tensor, "samples 1 8 8"], Int[Tensor, " samples"]]:
    table = load_digits()
    images = torch.from_numpy(table.images) * (255 / 16)
    return images.round().to(torch.uint8)[:, None], torch.from_numpy(table.target).long()


def _blend(
    images: UInt8[Tensor, "originals 1 8 8"],
    labels: Int[Tensor, " originals"],
    samples: int,
    clearest: float,
    seed: int,
) -> Arrays:
    index = torch.arange(samples)
    first, second = _parents(labels, index, seed)
    weight = 0.5 + (clearest - 0.5) * _uniform(seed, index, _AMOUNTS)
    share = weight[:, None, None, None]
    blended = share * images[first] + (1 - share) * images[second]
    truth = torch.zeros(samples, 10, dtype=torch.float64)
    truth[index, labels[first]] = weight
    truth[index, labels[second]] = 1 - weight
    is_first = _uniform(seed, index, _LABELS) < weight
    drawn = torch.where(is_first, labels[first], labels[second])
    return Arrays(blended.round().to(torch.uint8), drawn, truth.float())


def _parents(labels: Tensor, index: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return two originals per sample: the first uniform, the second uniform among the other classes."""
    words = random_bits(seed, 0, index, stream=_PARENTS)
    first = words[:, 0] % len(labels)
    by_class = torch.argsort(labels, stable=True)
    sizes = torch.bincount(labels)
    begins = torch.cumsum(sizes, 0) - sizes
    own = labels[first]
    place = words[:, 1] % (len(labels) - sizes[own])
    return first, by_class[torch.where(place < begins[own], place, place + sizes[own])]


def _uniform(seed: int, index: Tensor, stream: int) -> Float[Tensor, " samples"]:
    return random_bits(seed, 0, index, stream=stream)[:, 0].double() / 2**32
