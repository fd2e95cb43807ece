from __future__ import annotations

import inspect
import math

import pytest
import torch

from preceptor.data import load
from preceptor.data.sources.mixed_features import geometric_mean, mixed_features, posterior
from preceptor.errors import UsageError

TABLE = torch.softmax(torch.randn(7, 4, generator=torch.Generator().manual_seed(0)).double(), 1)
FEATURES = torch.tensor([[0, 1, 2], [3, 3, 6], [5, 0, 5]])


def test_both_means_by_plain_python() -> None:
    arithmetic, geometric = posterior(TABLE, FEATURES), geometric_mean(TABLE, FEATURES)
    for row, features in enumerate(FEATURES.tolist()):
        products = []
        for label in range(4):
            of_each = [float(TABLE[z, label]) for z in features]
            assert float(arithmetic[row, label]) == pytest.approx(sum(of_each) / 3)
            products.append(math.prod(of_each) ** (1 / 3))
        assert geometric[row].tolist() == pytest.approx([value / sum(products) for value in products])


def test_one_feature_is_its_own_mean() -> None:
    alone = FEATURES[:, :1]
    torch.testing.assert_close(posterior(TABLE, alone), TABLE[alone[:, 0]])
    torch.testing.assert_close(geometric_mean(TABLE, alone), TABLE[alone[:, 0]])


def test_labels_follow_the_posterior() -> None:
    source = mixed_features(num_features=5, patches=2, samples=60_000, test_samples=10, num_classes=3)
    assert source.train.truth is not None
    kinds, which = source.train.truth.unique(dim=0, return_inverse=True)
    counts = torch.bincount(which)
    for kind in counts.argsort(descending=True)[:5].tolist():
        share = torch.bincount(source.train.labels[which == kind], minlength=3) / counts[kind]
        error = (kinds[kind] * (1 - kinds[kind]) / counts[kind]).sqrt()
        assert ((share - kinds[kind]).abs() <= 4 * error + 1e-6).all()


def test_shapes_splits_and_seeds() -> None:
    one = load("mixed_features", options={"samples": 200, "test_samples": 50, "patches": 3, "dim": 5})
    assert one.input_shape == (15,)
    assert len(one.train) + len(one.validation) == 200
    assert len(one.test) == 50
    again = load("mixed_features", options={"samples": 200, "test_samples": 50, "patches": 3, "dim": 5})
    other = load("mixed_features", options={"samples": 200, "test_samples": 50, "patches": 3, "dim": 5, "draw_seed": 1})
    assert again.fingerprint == one.fingerprint != other.fingerprint


def test_without_spread_a_feature_looks_the_same_everywhere() -> None:
    source = mixed_features(num_features=4, patches=1, dim=3, spread=0.0, samples=100, test_samples=10)
    assert len(source.train.inputs(torch.arange(100)).unique(dim=0)) == 4
    spread = mixed_features(num_features=4, patches=1, dim=3, spread=0.1, samples=100, test_samples=10)
    assert len(spread.train.inputs(torch.arange(100)).unique(dim=0)) == 100


def test_zipf_makes_the_first_features_frequent() -> None:
    common = mixed_features(num_features=50, patches=1, dim=2, spread=0.0, zipf=1.0, samples=5000, test_samples=10)
    _, counts = common.train.inputs(torch.arange(5000)).unique(dim=0, return_counts=True)
    expected = 5000 / sum(1 / rank for rank in range(1, 51))
    assert float(counts.max()) == pytest.approx(expected, rel=0.1)


def test_the_truth_can_be_what_the_theory_predicts() -> None:
    options = {"samples": 100, "test_samples": 10}
    exact, predicted = (
        load("mixed_features", options={**options, "truth": kind}) for kind in ("posterior", "geometric")
    )
    assert exact.train.truth is not None
    assert predicted.train.truth is not None
    assert exact.train.labels.equal(predicted.train.labels)
    entropy = [float(-(t * t.clamp_min(1e-12).log()).sum(1).mean()) for t in (exact.train.truth, predicted.train.truth)]
    assert entropy[0] > 0
    assert not exact.train.truth.equal(predicted.train.truth)
    assert (predicted.train.truth.sum(1) - 1).abs().max() < 1e-5


@pytest.mark.parametrize(
    "options", [{"num_classes": 1}, {"patches": 0}, {"spread": -1.0}, {"concentration": 0.0}, {"samples": 0}]
)
def test_sizes_that_make_no_sense(options: dict[str, float]) -> None:
    key, value = next(iter(options.items()))
    with pytest.raises(UsageError, match=f"mixed_features needs .*{key}={value}"):
        load("mixed_features", options=options)


def test_an_unknown_truth() -> None:
    with pytest.raises(UsageError, match=r"data\.truth: unknown name 'harmonic'; there are: posterior, geometric"):
        inspect.unwrap(mixed_features)(truth="harmonic")
