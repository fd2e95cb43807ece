"""The exported network, and the check of a file's outputs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from preceptor.errors import RunError
from preceptor.exports.deployed import DeployedNetwork, check_outputs, example_inputs
from preceptor.models import ModelMetadata
from preceptor.types import Preprocessing

PREPROCESSING = Preprocessing((0.1, 0.2, 0.3), (2.0, 3.0, 4.0))
OUTSIDE = ModelMetadata({"name": "own"}, ("a", "b"), (3, 2, 2), "uint8", PREPROCESSING)
INSIDE = ModelMetadata(
    *({"name": "own"}, ("a", "b"), (3, 2, 2), "uint8", PREPROCESSING), output="probabilities", normalise="inside"
)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).eval()


def test_normalisation_and_softmax_against_their_definitions(network: nn.Module) -> None:
    pixels = example_inputs(INSIDE, 4)
    assert pixels.dtype == torch.uint8
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (PREPROCESSING.mean, PREPROCESSING.std))
    exponents = network((pixels / 255 - mean) / std).exp()
    torch.testing.assert_close(DeployedNetwork(network, INSIDE)(pixels), exponents / exponents.sum(1, keepdim=True))
    samples = example_inputs(OUTSIDE, 4)
    assert samples.dtype == torch.float32
    assert torch.equal(DeployedNetwork(network, OUTSIDE)(samples), network(samples))


@pytest.mark.parametrize(("shift", "is_kept"), [(0.0, True), (5e-5, True), (2e-4, False), (float("nan"), False)])
def test_a_file_with_other_outputs_is_not_kept(shift: float, is_kept: bool, network: nn.Module) -> None:
    deployed = DeployedNetwork(network, INSIDE)

    def forward(samples: Tensor) -> Tensor:
        assert len(samples) == 5
        with torch.no_grad():
            outputs: Tensor = deployed(samples) + shift
        return outputs

    if is_kept:
        assert check_outputs(forward, deployed, INSIDE) == pytest.approx(shift, abs=1e-6)
    else:
        with pytest.raises(RunError, match=r"the file's outputs differ from PyTorch's by"):
            check_outputs(forward, deployed, INSIDE)


def test_one_output_is_the_log_odds_of_the_second_class() -> None:
    single = nn.Sequential(nn.Flatten(), nn.Linear(12, 1)).eval()
    samples = example_inputs(OUTSIDE, 4)
    log_odds = single(samples)[:, 0]
    logits = DeployedNetwork(single, OUTSIDE)(samples)
    assert torch.equal(logits, torch.stack([torch.zeros(4), log_odds], 1))
    both = DeployedNetwork(single, replace(OUTSIDE, output="probabilities"))(samples)
    torch.testing.assert_close(both, torch.stack([1 - log_odds.sigmoid(), log_odds.sigmoid()], 1))


def test_outputs_of_a_multilabel_task_are_sigmoids(network: nn.Module) -> None:
    samples = example_inputs(OUTSIDE, 4)
    outputs = DeployedNetwork(network, replace(OUTSIDE, output="probabilities", task="multilabel"))(samples)
    assert torch.equal(outputs, network(samples).sigmoid())
