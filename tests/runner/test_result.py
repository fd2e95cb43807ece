from __future__ import annotations

from pathlib import Path

import pytest
import torch

import preceptor
from preceptor.data import load


def test_a_result_is_the_network_on_the_cpu_with_its_scores_and_record(tmp_path: Path) -> None:
    data = load("digits", limit=200, test_limit=50)
    result = preceptor.teach(data=data, model="mlp", epochs=1, engine="plain", out=tmp_path / "run", progress=False)
    assert result.path == tmp_path / "run"
    assert result.record.test == result.metrics.as_dict()
    assert not result.model.training
    assert {parameter.device.type for parameter in result.model.parameters()} == {"cpu"}
    assert not any(module._forward_hooks for module in result.model.modules())
    assert result.data is data
    assert "data=" not in repr(result)
    inputs = data.normalisation(data.test.inputs(torch.arange(50)))
    assert (result.model(inputs).argmax(1) == data.test.labels).float().mean().item() == pytest.approx(
        result.metrics.accuracy
    )
    named = preceptor.teach(
        data={"name": "digits", "limit": 200, "test_limit": 50},
        model="mlp",
        epochs=1,
        out=tmp_path / "named",
        progress=False,
    )
    assert named.data is None
