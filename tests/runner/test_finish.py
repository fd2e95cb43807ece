from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import torch
from torch import nn

import preceptor
from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.sections import ModelSection
from preceptor.data import Data, load
from preceptor.runner.finish import now, reopen
from small_training import ENGINE


@pytest.fixture(scope="module")
def data() -> Data:
    return load("digits", limit=200, test_limit=50)


@pytest.fixture(scope="module")
def result(data: Data, tmp_path_factory: pytest.TempPathFactory) -> preceptor.Result:
    out = tmp_path_factory.mktemp("runs") / "run"
    return preceptor.teach(data=data, model="convnet_s", epochs=2, engine="plain", out=out, progress=False, seed=4)


def test_the_record_says_what_the_run_was(result: preceptor.Result, data: Data) -> None:
    record = RunFolder(result.path).read_record()
    assert record == result.record
    assert (record.kind, record.seed, record.selected_epoch) == ("teach", 4, 2)
    assert record.validation == record.history[-1]["validation"]
    assert record.train == {key: record.history[-1]["train"][key] for key in ("loss", "accuracy")}
    assert record.parameters == sum(parameter.numel() for parameter in result.model.parameters())
    assert (record.input_shape, record.input_dtype, record.num_classes) == ((1, 8, 8), "uint8", 10)
    assert record.data_fingerprint == data.fingerprint
    assert record.teacher_fingerprint is record.start_fingerprint is None
    assert (record.device, record.precision, record.compiled) == ("cpu", "fp32", False)
    assert record.started <= record.finished
    assert record.reliability is not None
    assert sum(bar["count"] for bar in record.reliability) == 50


def test_a_finished_run_is_reopened_with_its_scores(result: preceptor.Result, data: Data) -> None:
    again = reopen(RunFolder(result.path), ModelSection(name="convnet_s"), data, ENGINE, workers=0)
    assert all(torch.equal(value, again.model.state_dict()[name]) for name, value in result.model.state_dict().items())
    assert again.metrics == result.metrics
    assert again.record == result.record


def test_a_network_from_python_gets_the_weights_of_its_finished_run(data: Data, tmp_path: Path) -> None:
    def network() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    first = preceptor.teach(data=data, model=network(), epochs=1, engine="plain", out=tmp_path, progress=False)
    passed = network()
    again = reopen(RunFolder(tmp_path), passed, data, ENGINE, workers=0)
    assert again.model is passed
    assert all(torch.equal(value, passed.state_dict()[name]) for name, value in first.model.state_dict().items())
    assert again.metrics == first.metrics


def test_times_have_their_zone() -> None:
    assert datetime.datetime.fromisoformat(now()).utcoffset() == datetime.timedelta(0)
