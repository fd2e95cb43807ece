"""A teacher's posterior: what it is made of, and that its students learn from the mean of its samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

import preceptor
from preceptor.config.networks import TeacherSection
from preceptor.data import Data, load
from preceptor.errors import UsageError
from preceptor.models import DropoutOn, Laplace, Swag, create
from preceptor.models.weights import load_weights
from preceptor.runner.posterior import sample_posterior
from small_training import ENGINE

DATA: dict[str, Any] = {"name": "digits", "limit": 200, "test_limit": 50}


@pytest.fixture(scope="module")
def data() -> Data:
    return load("digits", limit=200, test_limit=50)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "t"
    preceptor.teach(data=DATA, model="convnet_s", epochs=4, keep_every=1, out=out, progress=False)
    return out


def network() -> nn.Module:
    return create("convnet_s", num_classes=10, input_shape=(1, 8, 8))


def section(**fields: Any) -> TeacherSection:
    return TeacherSection.model_validate(fields)


def test_without_a_posterior_networks_stay(data: Data) -> None:
    one = network()
    assert sample_posterior([one], section(), data, ENGINE, 0) == ([one], 1)


def test_swag_samples_the_gaussian_of_the_kept_epochs(data: Data, run: Path) -> None:
    teacher = section(path=str(run), posterior="swag", samples=3, posterior_start=2)
    base = network()
    load_weights(base, run / "model.safetensors")
    members, passes = sample_posterior([base], teacher, data, ENGINE, 5)
    assert (len(members), passes) == (3, 1)
    kept = []
    for epoch in (2, 3, 4):
        base = network()
        load_weights(base, run / "checkpoint" / f"epoch_{epoch:04d}.safetensors")
        kept.append(parameters_to_vector(base.parameters()).detach())
    gaussian, random = Swag.of(kept), torch.Generator().manual_seed(5)
    for member in members:
        noise = torch.randn(len(gaussian.mean), generator=random)
        expected = gaussian.sample(noise, torch.randn(3, generator=random))
        torch.testing.assert_close(parameters_to_vector(member.parameters()).detach(), expected)
    statistics = [member.state_dict()["stem.1.running_mean"] for member in members]
    assert not torch.equal(statistics[0], statistics[1])  # estimated anew for each
    again, _ = sample_posterior([base], teacher, data, ENGINE, 5)
    for one, two in zip(members, again, strict=True):
        assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


def test_dropout_and_laplace_are_one_network(data: Data) -> None:
    with_dropout = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))
    (found,), passes = sample_posterior([with_dropout], section(posterior="dropout", samples=4), data, ENGINE, 0)
    assert isinstance(found, DropoutOn)
    assert passes == 4
    (found,), passes = sample_posterior([network()], section(posterior="laplace"), data, ENGINE, 0)
    assert isinstance(found, Laplace)
    assert passes == 1
    assert float(found.precision) > 0


def test_errors(data: Data, run: Path) -> None:
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"samples": 3}, 1, "teacher.samples: 3 samples of what"),
        ({"posterior": "laplace", "samples": 3}, 1, "teacher.samples: laplace needs none"),
        ({"posterior": "dropout"}, 2, "dropout is made of one network; 2 are an ensemble already"),
        ({"posterior": "dropout"}, 1, "dropout needs a network with dropout, and ConvNet has none"),
        ({"posterior": "swag"}, 1, "swag needs one run folder with kept epochs"),
        (
            {"posterior": "swag", "path": str(run), "posterior_start": 4},
            1,
            r"at least two kept epochs from epoch 4 on, and .* kept 1",
        ),
    ]
    for fields, number, message in cases:
        with pytest.raises(UsageError, match=message):
            sample_posterior([network() for _ in range(number)], section(**fields), data, ENGINE, 0)


@pytest.mark.parametrize("posterior", ["swag", "laplace"])
def test_a_student_learns_from_it_live_or_stored(run: Path, posterior: str, tmp_path: Path) -> None:
    teacher = {"path": str(run), "posterior": posterior, "posterior_start": 2}
    if posterior == "swag":
        teacher["samples"] = 2
    common: dict[str, Any] = {"data": DATA, "model": "convnet_s", "epochs": 1, "progress": False}
    live = preceptor.distill(**common, teacher=teacher, method="bayesian_kd", out=tmp_path / "live")
    assert live.record.teacher is not None
    preceptor.label(data={**DATA, "view": "none"}, teacher=teacher, out=tmp_path / "l", progress=False)
    stored = preceptor.distill(**common, labels=tmp_path / "l", out=tmp_path / "stored")
    assert stored.record.teacher_fingerprint == live.record.teacher_fingerprint
