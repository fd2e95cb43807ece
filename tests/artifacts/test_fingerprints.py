"""Where a result comes from: versions, commit, command, and the fingerprint of weights."""

from __future__ import annotations

import copy
import hashlib

import pytest
import torch
from torch import nn

from preceptor.artifacts.fingerprints import fingerprint


def test_a_fingerprint_follows_weights_buffers_and_names() -> None:
    linear, norm = nn.Linear(3, 2), nn.BatchNorm1d(2)
    network = nn.Sequential(linear, norm)
    before = fingerprint(network)
    assert len(before) == 16
    assert fingerprint(copy.deepcopy(network).eval().requires_grad_(False)) == before
    network.state_dict()["1.num_batches_tracked"].add_(1)
    moved = fingerprint(network)
    with torch.no_grad():
        linear.weight[0, 0] += 1
    renamed = nn.ModuleDict({"a": linear, "b": norm})
    assert len({before, moved, fingerprint(network), fingerprint(renamed)}) == 4


def test_a_fingerprint_is_the_same_everywhere() -> None:
    network = nn.Linear(2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, 2.0]]))
        network.bias.zero_()
    # sha256 over b"weight" + float32 bytes + b"bias" + float32 bytes
    assert fingerprint(network) == "091d44d3c8623806"


def test_a_fingerprint_is_of_names_and_numbers() -> None:
    network = nn.BatchNorm1d(3)
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    assert fingerprint(network) == digest.hexdigest()[:16]
    before = fingerprint(network)
    network.get_buffer("num_batches_tracked").add_(1)
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
