from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from preceptor.artifacts.fingerprints import fingerprint
from preceptor.errors import UsageError
from preceptor.models import DropoutOn, create


def make() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 3))


def test_dropout_stays_on_and_batch_norm_does_not() -> None:
    network = DropoutOn(make()).eval()
    inputs = torch.randn(8, 4)
    before = copy.deepcopy(network.state_dict())
    assert not torch.equal(network(inputs), network(inputs))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network.network.get_submodule("1").training


def test_the_mean_of_many_passes_is_near_the_network_itself() -> None:
    """Before its last layer, which is linear, dropout keeps the mean."""
    plain = make().eval()
    inputs = torch.randn(2, 4)
    expected = plain(inputs)
    network = DropoutOn(plain, 4000).eval()
    mean = torch.stack([network(inputs) for _ in range(4000)]).mean(0)
    torch.testing.assert_close(mean, expected, rtol=0.05, atol=0.02)


def test_the_number_of_passes_counts_in_the_fingerprint() -> None:
    assert fingerprint(DropoutOn(make(), 5)) != fingerprint(DropoutOn(make(), 10))


def test_a_network_without_dropout() -> None:
    with pytest.raises(UsageError, match="dropout needs a network with dropout, and ResNet has none"):
        DropoutOn(create("resnet8", num_classes=2))
