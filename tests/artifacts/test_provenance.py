"""Fingerprints of networks."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import nn

from preceptor.artifacts.provenance import fingerprint


def test_a_fingerprint_is_of_names_and_numbers() -> None:
    network = nn.BatchNorm1d(3)
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    assert fingerprint(network) == digest.hexdigest()[:16]
    before = fingerprint(network)
    network.num_batches_tracked += 1  # type: ignore[operator]
    assert fingerprint(network) != before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.float8_e4m3fn, torch.complex64])
def test_weights_of_any_precision_have_one(dtype: torch.dtype) -> None:
    network = nn.Linear(2, 2).requires_grad_(False)
    network.weight.data, network.bias.data = torch.ones(2, 2).to(dtype), torch.ones(2).to(dtype)
    one = fingerprint(network)
    network.weight.data[0, 0] = 2.0
    assert len(one) == 16
    assert fingerprint(network) != one


def test_a_compiled_network_has_that_of_the_network() -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    assert fingerprint(torch.compile(network)) == fingerprint(network)  # type: ignore[arg-type]
