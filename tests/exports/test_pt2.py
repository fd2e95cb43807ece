"""torch.export files: what they return, what they carry, and what is no such file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.exports.deployed import DeployedNetwork, example_inputs, trace
from preceptor.exports.pt2 import open_pt2, to_pt2
from preceptor.models import ModelMetadata
from preceptor.types import Preprocessing

METADATA = ModelMetadata({"name": "own"}, ("a", "b"), (3,), "float32", Preprocessing())


@pytest.fixture(scope="module")
def deployed() -> DeployedNetwork:
    torch.manual_seed(0)
    return DeployedNetwork(nn.Linear(3, 2), METADATA).eval()


def test_outputs_and_metadata_come_back_for_any_batch(deployed: DeployedNetwork, tmp_path: Path) -> None:
    path = tmp_path / "own.pt2"
    path.write_bytes(to_pt2(trace(deployed, METADATA), METADATA))
    forward, metadata = open_pt2(path, path)
    assert metadata == METADATA
    for rows in (1, 3, 17):
        samples = example_inputs(METADATA, rows)
        torch.testing.assert_close(forward(samples), deployed(samples).detach())
        assert not forward(samples).requires_grad


def test_a_changed_byte_is_refused_before_anything_is_loaded(deployed: DeployedNetwork) -> None:
    content = to_pt2(trace(deployed, METADATA), METADATA)
    for at in range(0, len(content), len(content) // 200):
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises(UsageError, match=r"x\.pt2: is damaged"):
            open_pt2(changed, Path("x.pt2"))


def test_what_is_no_such_file(deployed: DeployedNetwork, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"x.pt2: is damaged, .*, or was not written by"):
        open_pt2(b"not a model", Path("x.pt2"))
    with pytest.raises(UsageError, match=r"none.pt2: no such file"):
        open_pt2(tmp_path / "none.pt2", Path("none.pt2"))
    torch.export.save(trace(deployed, METADATA), tmp_path / "other.pt2")
    with pytest.raises(UsageError, match=r"other.pt2: is damaged, .*, or was not written by `preceptor export`$"):
        open_pt2(tmp_path / "other.pt2", tmp_path / "other.pt2")
