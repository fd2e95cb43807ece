from __future__ import annotations

import math

import pytest
import torch
from sklearn.datasets import load_digits

from preceptor.data import Data, load
from preceptor.data.sources.digits import ambiguous_digits
from preceptor.errors import UsageError


@pytest.fixture(scope="module")
def blended() -> Data:
    return load("ambiguous_digits", options={"samples": 6000, "test_samples": 6000})


def test_digits_are_the_real_ones_and_test_is_fixed() -> None:
    one, other = load("digits"), load("digits", split_seed=9)
    every = torch.arange(len(one.test))
    assert torch.equal(one.test.inputs(every), other.test.inputs(every))
    assert not torch.equal(one.validation.labels, other.validation.labels)
    inputs = [split.inputs(torch.arange(len(split))) for split in (one.train, one.validation, one.test)]
    images = torch.cat(inputs).flatten(1).double() * (16 / 255)
    assert torch.equal(images.round().sum(0), torch.from_numpy(load_digits().data).sum(0))
    assert (images - images.round()).abs().max() < 0.04
    assert (one.protocol, one.input_shape, one.num_classes) == ("digits", (1, 8, 8), 10)


def test_truth_is_a_distribution_over_two_classes_and_holds_the_label(blended: Data) -> None:
    for split in (blended.train, blended.validation, blended.test):
        truth = split.truth
        assert truth is not None
        torch.testing.assert_close(truth.sum(1), torch.ones(len(split)))
        assert (truth > 0).sum(1).eq(2).all()
        assert (truth[torch.arange(len(split)), split.labels] > 0).all()


def test_labels_are_drawn_from_the_truth(blended: Data) -> None:
    truth = blended.test.truth
    assert truth is not None
    weight = truth.max(1).values.double()
    is_first = (truth.argmax(1) == blended.test.labels).double()
    for low in (0.5, 0.6, 0.7, 0.8):
        inside = (weight >= low) & (weight < low + 0.1)
        spread = math.sqrt(0.25 / int(inside.sum()))
        assert is_first[inside].mean().item() == pytest.approx(weight[inside].mean().item(), abs=4 * spread)


def test_every_image_is_a_blend_of_originals_of_its_own_part() -> None:
    """With clearest close to 1/2 an image is the mean of two originals: one pair of its own split explains it."""
    source = ambiguous_digits(samples=20, test_samples=20, clearest=0.5001)
    plain = load("digits", validation=0.0)
    for blend, own, other in ((source.train, plain.train, plain.test), (source.test, plain.test, plain.train)):
        images = blend.inputs(torch.arange(20)).flatten(1).float()
        originals, strangers = (split.inputs(torch.arange(len(split))).flatten(1).float() for split in (own, other))
        for row in range(12):
            assert _nearest_pair(images[row], originals) <= 1.0
            assert _nearest_pair(images[row], strangers) > 1.0


def _nearest_pair(image: torch.Tensor, originals: torch.Tensor) -> float:
    """Return the largest pixel error of the best pair's mean (the partner of each original is 2 image - original)."""
    return float(torch.cdist(2 * image - originals, originals, p=math.inf).min()) / 2


@pytest.mark.parametrize(
    ("options", "shown"), [({"clearest": 0.5}, "0.5"), ({"clearest": 1.1}, "1.1"), ({"samples": 5}, "5")]
)
def test_impossible_settings_are_named(options: dict[str, float], shown: str) -> None:
    with pytest.raises(UsageError, match=rf"data\.{next(iter(options))}: {shown} is"):
        load("ambiguous_digits", options=options)
