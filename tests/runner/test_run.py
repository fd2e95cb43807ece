"""A recipe carried out: once, and to the same bits by its seed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import preceptor
from preceptor.errors import UsageError

SMALL = {"name": "digits", "limit": 200, "test_limit": 50}


def test_a_finished_run_is_given_back_not_repeated(tmp_path: Path) -> None:
    first = preceptor.teach(data=SMALL, model="convnet_s", epochs=1, out=tmp_path / "run", progress=False)
    written = (tmp_path / "run" / "result.json").stat().st_mtime_ns
    again = preceptor.teach(data=SMALL, model="convnet_s", epochs=1, out=tmp_path / "run", progress=False, resume=True)
    assert (tmp_path / "run" / "result.json").stat().st_mtime_ns == written
    assert again.metrics == first.metrics
    with pytest.raises(UsageError, match="holds a finished run; overwrite=True"):
        preceptor.teach(data=SMALL, model="convnet_s", epochs=1, out=tmp_path / "run", progress=False)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        result = preceptor.teach(
            data=SMALL, model="convnet_s", epochs=1, out=tmp_path / name, seed=seed, progress=False
        )
        weights.append(result.model.state_dict()["classifier.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_bf16_trains_too(tmp_path: Path) -> None:
    result = preceptor.teach(
        data="digits", model="convnet_m", epochs=4, out=tmp_path / "run", precision="bf16", progress=False
    )
    assert result.metrics.accuracy > 0.8
    assert result.record.precision == "bf16"


def test_a_run_without_a_folder_gets_one_named_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = preceptor.teach(data=SMALL, model="mlp", epochs=1, seed=3, progress=False)
    assert result.path == Path("runs/teach-digits-mlp-cross_entropy-seed3")
    assert (tmp_path / result.path / "result.json").exists()
