"""Trained networks from Python: loaded, tested, and measured as teachers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import preceptor
from preceptor.artifacts.fingerprints import fingerprint
from preceptor.data import load as load_data
from preceptor.errors import UsageError

DATA: dict[str, Any] = {"name": "digits", "limit": 200, "test_limit": 80}


def make(classes: int = 10) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> preceptor.Result:
    """A run whose network is known by its name."""
    out = tmp_path_factory.mktemp("measuring") / "run"
    return preceptor.teach(data=DATA, model="mlp", epochs=1, engine="plain", device="cpu", out=out, progress=False)


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    test = load_data("digits", limit=200, test_limit=80).test
    return test.inputs(torch.arange(len(test))), test.labels


def test_a_loaded_network_is_in_eval_mode_and_has_the_weights_of_the_run(run: preceptor.Result) -> None:
    network = preceptor.load(run.path)
    assert not network.training
    assert fingerprint(network) == fingerprint(run.model)


def test_a_network_that_the_run_knows_is_not_passed(run: preceptor.Result) -> None:
    with pytest.raises(UsageError, match=r"^model: Sequential is not needed: run folder .* knows its network$"):
        preceptor.load(run.path, model=make())


def test_the_test_split_of_the_run_or_other_samples_are_tested(
    run: preceptor.Result, pair: tuple[Tensor, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    assert preceptor.evaluate(run.path, device="cpu", progress=False) == run.metrics
    same = preceptor.evaluate(run.path, data={"train": pair, "test": pair}, device="cpu", progress=False)
    assert same.samples == 80
    assert same.nll == pytest.approx(run.metrics.nll, abs=1e-5)
    assert capsys.readouterr().err == ""
    assert preceptor.evaluate(run.path, data=pair, device="cpu").samples == 80
    assert "note: test: 80 samples, because python has no test split" in capsys.readouterr().err


def test_candidates_are_assessed_in_order_under_their_names(run: preceptor.Result) -> None:
    network, other = preceptor.load(run.path), make()
    data = load_data("digits", limit=200, test_limit=80)
    assessments = preceptor.assess(run, other, network, data=data, against=other, device="cpu", progress=False)
    assert [each.name for each in assessments] == [str(run.path), "Sequential (2)", f"{type(network).__name__} (3)"]
    assert assessments[0].test.metrics == assessments[2].test.metrics == run.metrics
    likeness = [each.fidelity for each in assessments]
    assert likeness[0] is not None
    assert likeness[1] is not None
    assert likeness[0].agreement < likeness[1].agreement == 1.0


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ([], r"^assess: no network given$"),
        ([nn.Identity()], r"^assess: give data=\.\.\., for the first network is not a run that knows its own$"),
        (["nowhere"], r"^assess: nowhere: no such run folder or file$"),
    ],
)
def test_data_come_from_the_first_candidate_or_must_be_named(candidates: list[Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        preceptor.assess(*candidates, progress=False)


def test_a_candidate_is_one_network_that_fits(run: preceptor.Result) -> None:
    with pytest.raises(UsageError, match=r"^assess: a candidate is one network, got path \('a', 'b'\)$"):
        preceptor.assess({"path": ["a", "b"]}, data=DATA, progress=False)
    vectors = (torch.randn(30, 4), torch.arange(30) % 3)
    with pytest.raises(UsageError, match=r"has 10 classes, data python has 3"):
        preceptor.assess(run, data=vectors, progress=False)


def test_weights_do_not_know_their_data(run: preceptor.Result, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no run folder that knows its data; say data=\.\.\.$"):
        preceptor.evaluate(run.path / "model.safetensors")
    with pytest.raises(UsageError, match=r"none: no such run folder$"):
        preceptor.load(tmp_path / "none")
