from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from preceptor.distributed.dtensors import full_tensor, is_sharded


@pytest.fixture
def sharded(tmp_path: Path) -> Iterator[torch.Tensor]:
    """A sharded tensor of a group of one process."""
    distributed.init_process_group("gloo", init_method=(tmp_path / "meeting").as_uri(), rank=0, world_size=1)
    yield distribute_tensor(torch.arange(6.0), init_device_mesh("cpu", (1,)), [Shard(0)]).requires_grad_()
    distributed.destroy_process_group()


def test_a_plain_tensor_is_full() -> None:
    values = torch.arange(3)
    assert not is_sharded(values)
    assert full_tensor(values) is values


def test_a_sharded_tensor_is_gathered_and_gradients_flow_back(sharded: torch.Tensor) -> None:
    assert is_sharded(sharded)
    full = full_tensor(sharded)
    assert not is_sharded(full)
    assert torch.equal(full, torch.arange(6.0))
    full.square().sum().backward()  # type: ignore[no-untyped-call]
    assert sharded.grad is not None
    assert torch.equal(full_tensor(sharded.grad), 2 * torch.arange(6.0))
