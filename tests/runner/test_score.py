from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.data import load
from preceptor.models import create
from preceptor.runner.score import predict_split, score
from small_training import ENGINE

DATA = load("digits", limit=60, test_limit=50)


def test_the_logits_of_a_split_are_those_of_normalised_samples_in_order() -> None:
    network = create("convnet_s", num_classes=10, input_shape=(1, 8, 8)).train()
    logits = predict_split(network, DATA.test, DATA, ENGINE, batch_size=16)
    inputs = DATA.normalisation(DATA.test.inputs(torch.arange(50)))
    with torch.no_grad():
        torch.testing.assert_close(logits, network.eval()(inputs))


class Oracle(nn.Module):
    """Says class 0 of everything, with probability 1/2."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(inputs), 10)
        logits[:, 0] = torch.log(torch.tensor(9.0))
        return logits


def test_scores_by_hand() -> None:
    metrics, logits = score(Oracle(), DATA.test, DATA, ENGINE, batch_size=32)
    zeros = (DATA.test.labels == 0).float().mean().item()
    assert logits.shape == (50, 10)
    assert metrics.samples == 50
    assert metrics.accuracy == pytest.approx(zeros)
    expected = zeros * torch.log(torch.tensor(2.0)) + (1 - zeros) * torch.log(torch.tensor(18.0))
    assert metrics.nll == pytest.approx(float(expected), rel=1e-5)
