from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.models import Laplace, create, observe
from preceptor.models.adapters.laplace import best_precision


def fitted(rows: int = 40) -> tuple[Laplace, Tensor]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    inputs = torch.randn(rows, 3).double()
    found = Laplace(network, 3).double().eval()
    found.fit(inputs.split(16))
    return found, inputs


def features_of(found: Laplace, inputs: Tensor) -> Tensor:
    assert isinstance(found.network, nn.Sequential)
    features: Tensor = found.network[:2](inputs)
    return features


def test_the_variance_is_that_of_the_kronecker_posterior() -> None:
    """Against the inverse of the whole precision matrix of the last layer, weights and biases, 15 x 15."""
    found, inputs = fitted()
    network = found.network
    assert isinstance(network, nn.Sequential)
    features = functional.pad(features_of(found, inputs), (0, 1), value=1.0)
    probs = network(inputs).softmax(1)
    of_classes = sum(row.diag() - torch.outer(row, row) for row in probs)
    of_features = features.T @ features / len(inputs)
    precision = torch.kron(torch.as_tensor(of_classes), of_features) + found.precision * torch.eye(15)
    covariance = torch.linalg.inv(precision).reshape(3, 5, 3, 5)
    expected = torch.einsum("ni,cicj,nj->nc", features, covariance, features)
    torch.testing.assert_close(found.variance(network[:2](inputs)), expected)
    torch.testing.assert_close(found(inputs), network(inputs) / (1 + math.pi / 8 * expected).sqrt())


def test_it_is_less_sure_far_from_the_training_samples() -> None:
    found, inputs = fitted()
    near = found.variance(features_of(found, inputs)).mean()
    assert found.variance(10 * torch.ones(1, 4).double()).mean() > 2 * near


def test_more_samples_leave_less_variance() -> None:
    few, inputs = fitted(20)
    many, _ = fitted(2000)
    features = features_of(few, inputs)
    assert many.variance(features).mean() < few.variance(features).mean() / 3


def test_the_precision_has_the_largest_evidence() -> None:
    """With a curvature far above it, the precision is 1 over the weights' mean square; without any, the evidence is flat."""
    assert best_precision(torch.full((100,), 1e6), 25.0) == pytest.approx(4.0, rel=0.13)


def test_a_copy_reads_its_own_features() -> None:
    found, inputs = fitted()
    assert torch.equal(copy.deepcopy(found)(inputs), found(inputs))


def test_features_are_those_of_the_network() -> None:
    network = create("resnet8", num_classes=4).eval()
    found, inputs = Laplace(network, 4).eval(), torch.randn(6, 3, 32, 32)
    found.fit([inputs])
    assert torch.equal(observe(found)(inputs).features["pooled"], observe(network)(inputs).features["pooled"])


def test_errors() -> None:
    with pytest.raises(UsageError, match="laplace needs a linear layer with 7 outputs, and Linear has none"):
        Laplace(nn.Linear(2, 3), 7)
    network = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    with pytest.raises(UsageError, match="laplace needs logits that are the outputs of the last linear layer"):
        Laplace(network, 3).fit([4 * torch.ones(2, 2)])
