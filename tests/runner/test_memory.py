from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import preceptor


class Hungry(nn.Module):
    """Asks for a petabyte as soon as a batch is large."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        if len(inputs) > 20:
            torch.empty(2**50)
        logits: Tensor = self.layer(inputs.flatten(1))
        return logits


def test_a_failed_allocation_is_one_line_with_what_to_change(tmp_path: Path) -> None:
    data = {"name": "digits", "limit": 64, "test_limit": 16, "validation": 0.0}
    keys = {"data": data, "epochs": 1, "out": tmp_path / "run", "progress": False, "device": "cpu"}
    with pytest.raises(preceptor.RunError) as raised:
        preceptor.teach(model=Hungry(), batch_size=32, **keys)  # type: ignore[arg-type]
    said = str(raised.value)
    assert said.startswith("out of memory on cpu (")
    assert f"{2**52} bytes" in said
    assert said.endswith("a smaller batch_size, or accumulate=2 for the same step in two passes")
    assert "\n" not in said
    preceptor.teach(model=Hungry(), batch_size=32, accumulate=2, **{**keys, "out": tmp_path / "again"})  # type: ignore[arg-type]
