"""Candidates for teachers, measured on the same data, from Python and from the command line."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import preceptor
from preceptor.assessment import compare, profile
from preceptor.data import load, plain_batches
from preceptor.errors import UsageError
from preceptor.training import Engine, predict

DATA: dict[str, Any] = {"name": "ambiguous_digits", "samples": 400, "test_samples": 300}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name, epochs in (("short", 2), ("long", 8)):
        preceptor.teach(data=DATA, model="convnet_s", epochs=epochs, out=folder / name, progress=False)
    return [folder / "short", folder / "long"]


def logits_of(run: Path, split_name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    data = load("ambiguous_digits", options={"samples": 400, "test_samples": 300})
    split = {"test": data.test, "validation": data.validation}[split_name]
    cpu = torch.device("cpu")
    return (
        predict(preceptor.load(run), plain_batches(split, data.normalisation, 64, cpu), Engine(cpu)),
        split.labels,
        split.truth,
    )


def test_an_assessment_is_what_its_functions_say_of_the_logits(runs: list[Path]) -> None:
    short, long = preceptor.assess(*runs, against=runs[1], device="cpu")
    assert [short.name, long.name] == [str(run) for run in runs]
    test, labels, truth = logits_of(runs[0], "test")
    validation, its_labels, its_truth = logits_of(runs[0], "validation")
    assert short.test.as_dict() == pytest.approx(profile(test, labels, truth).as_dict(), rel=1e-5)
    assert short.validation is not None
    assert short.validation.as_dict() == pytest.approx(profile(validation, its_labels, its_truth).as_dict(), rel=1e-5)
    assert short.temperature is not None
    assert short.calibrated is not None
    assert short.calibrated.metrics.accuracy == short.test.metrics.accuracy
    scaled = profile(test / short.temperature, labels, truth)
    assert short.calibrated.as_dict() == pytest.approx(scaled.as_dict(), rel=1e-4)
    assert short.fidelity is not None
    expected = compare(test, logits_of(runs[1], "test")[0], labels)
    assert asdict(short.fidelity) == pytest.approx(asdict(expected), rel=1e-4)
    assert long.fidelity is not None
    assert long.fidelity.agreement == 1
    assert long.fidelity.kl == pytest.approx(0, abs=1e-9)
    assert short.notes == ()


def test_modules_results_and_weights_files_are_candidates_too(runs: list[Path]) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    weights = {"path": str(runs[1] / "model.safetensors"), "model": "convnet_s"}
    one, two, three = preceptor.assess(module, weights, runs[1], data=DATA, device="cpu")
    assert one.name == "Sequential (1)"
    assert two.test.as_dict() == pytest.approx(three.test.as_dict())
    assert module.training  # its mode is put back


def test_training_on_what_is_now_held_out_is_noted(runs: list[Path]) -> None:
    (other,) = preceptor.assess(runs[0], data={**DATA, "split_seed": 5}, device="cpu")
    assert len(other.notes) == 1
    assert "was trained on other data or another split" in other.notes[0]


def test_without_validation_nothing_is_calibrated(runs: list[Path]) -> None:
    (found,) = preceptor.assess(runs[0], data={**DATA, "validation": 0.0}, device="cpu")
    assert (found.validation, found.temperature, found.calibrated) == (None, None, None)


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ((), "assess: no network given"),
        ((nn.Linear(1, 1),), r"assess: give data=\.\.\., for the first network is not a run"),
        (("/nowhere",), "assess: /nowhere: no such run folder or file"),
    ],
)
def test_what_cannot_be_assessed(networks: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        preceptor.assess(*networks)


def test_networks_that_do_not_fit_the_data(runs: list[Path]) -> None:
    with pytest.raises(UsageError, match=r"reads inputs of shape \(1, 8, 8\), data gaussian has"):
        preceptor.assess(runs[0], data="gaussian")
    with pytest.raises(UsageError, match=r"Sequential \(1\) has 3 classes, data ambiguous_digits has 10"):
        preceptor.assess(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), data=DATA)
    with pytest.raises(UsageError, match=r"is a bare weights file; say which network it is with model=NAME"):
        preceptor.assess(str(runs[0] / "model.safetensors"), data=DATA)
    with pytest.raises(UsageError, match="/nowhere: no such run folder or file"):
        preceptor.assess("/nowhere", data=DATA)
