"""Steps recorded on tensors that stay where they are, as a CUDA graph needs them, give the bits of ordinary steps."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

import preceptor
from preceptor.objectives.base import Objective
from preceptor.objectives.distill import METHODS
from preceptor.training import Engine, Plan, TrainState
from preceptor.training.finite import FiniteCheck
from preceptor.training.graphs import GraphedSteps
from preceptor.training.teachers import TeacherSource
from preceptor.types import Batch

DATA = {"name": "digits", "limit": 72, "test_limit": 16, "validation": 0.0}  # four full batches and half a one
OBJECTIVES = ["soteacher", "brier", "confidence_ranking", "mcmi"]


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("runs")
    return [
        str(
            preceptor.teach(
                data=DATA, model="convnet_m", epochs=1, seed=seed, out=folder / f"{seed}", progress=False
            ).path
        )
        for seed in (0, 1)
    ]


class Recorded:
    """In place of `train_step` in the loop: steps that are not captured, but repeated from the same static tensors."""

    def __init__(self) -> None:
        self.repeated = 0
        self._of: dict[int, GraphedSteps] = {}
        self._places: dict[int, list[int]] = {}

    def __call__(
        self, state: TrainState, batch: Batch, teacher: TeacherSource | None, plan: Plan, engine: Engine
    ) -> str | None:
        def again(function: Any) -> Any:
            def repeat() -> None:
                self.repeated += 1
                function()

            return repeat

        steps = self._of.setdefault(id(state), GraphedSteps(state, teacher, plan, engine, record=again))
        message = steps(batch)
        places = [tensor.data_ptr() for tensor in (*state.learner.parameters(), *state.learner.buffers())]
        assert places == self._places.setdefault(id(state), places), (
            "a graph would go on with the tensor that was there"
        )
        return message


def same_bits(first: Path, second: Path) -> None:
    one, other = (preceptor.load(folder).state_dict() for folder in (first, second))
    assert all(value.equal(other[name]) for name, value in one.items())
    for timed, again in zip(*((f / "metrics.jsonl").read_text().splitlines() for f in (first, second)), strict=True):
        assert timed.partition('"seconds"')[0] == again.partition('"seconds"')[0]


def compare(verb: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **keys: Any) -> None:
    common = {"data": DATA, "batch_size": 16, "epochs": 2, "device": "cpu", "engine": "plain", "progress": False}
    verb(out=tmp_path / "ordinary", **{**common, **keys})
    recorded = Recorded()
    monkeypatch.setattr("preceptor.training.loop.train_step", recorded)
    monkeypatch.setattr("preceptor.training.state.FiniteCheck", partial(FiniteCheck, late=True))
    verb(out=tmp_path / "recorded", **{**common, **keys})
    assert recorded.repeated >= 4
    same_bits(tmp_path / "ordinary", tmp_path / "recorded")


@pytest.mark.parametrize("method", METHODS)
def test_every_method(method: str, teachers: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    has_stage = METHODS[method].objective.pretraining is not Objective.pretraining
    compare(
        preceptor.distill,
        monkeypatch,
        tmp_path,
        teacher={"path": teachers if method == "ensemble" else teachers[0]},
        method={"name": method, **({"stage_epochs": 2} if has_stage else {})},
        model="convnet_m" if method in {"fsp", "kdsvd"} else "convnet_s",
        optim={"lr": 0.01},
        schedule={"name": "cosine"},
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objectives_of_teachers(
    objective: str, teachers: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys: dict[str, Any] = {"model": "convnet_m", "objective": objective, "clip_norm": 1.0, "start_from": teachers[0]}
    # a graph's rate is a float32: this one is exact
    keys |= {"optim": {"name": "adamw", "lr": 2.0**-7}, "schedule": {"name": "constant"}}
    compare(preceptor.teach, monkeypatch, tmp_path, **keys)


@pytest.mark.parametrize("inputs", ["mixup", "kd_plus"])
def test_mixed_inputs(inputs: str, teachers: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys: dict[str, Any] = {"teacher": teachers[0], "model": "convnet_s", "inputs": {"name": inputs, "real_share": 0.5}}
    compare(preceptor.distill, monkeypatch, tmp_path, method="dkd", **{**keys, "epochs": 4})
