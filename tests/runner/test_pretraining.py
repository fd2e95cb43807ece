from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import preceptor
from preceptor.objectives.base import BuildContext, Objective, Stage
from preceptor.objectives.weighted import Sum
from preceptor.types import Step

SMALL = {"name": "digits", "limit": 200, "test_limit": 50}


class Distance(Objective):
    """Trains its centre towards the mean logits; the network is not touched."""

    def __init__(self, centre: nn.Parameter) -> None:
        super().__init__()
        self.centre = centre

    def loss(self, step: Step) -> Tensor:
        return (step.student.logits.detach().float() - self.centre).square().mean()


class Staged(Objective):
    """Looks at the outputs first, then trains its centre in a stage, then is a constant."""

    uses_teacher = False

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0
        self.epochs = 3
        self.centre = nn.Parameter(torch.zeros(10))

    def build(self, context: BuildContext) -> None:
        self.centre.data.fill_(5.0)

    def calibrate(self, steps: Iterable[Step]) -> None:
        self.rows = sum(len(step.student.logits) for step in steps)

    def pretraining(self) -> Stage | None:
        return Stage(Distance(self.centre), self.epochs, trains="network", lr=0.5)

    def loss(self, step: Step) -> Tensor:
        return step.student.logits.float().square().mean()


def teach(objective: Objective, out: Path, **more: Any) -> preceptor.Result:
    keys: dict[str, Any] = {"model": "mlp", "epochs": 1, "batch_size": 64, "engine": "plain", **more}
    return preceptor.teach(data=SMALL, objective=Sum(staged=(1.0, objective)), out=out, **keys)


def test_terms_are_calibrated_on_the_split_and_their_stages_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    objective = Staged()
    teach(objective, tmp_path)
    assert objective.rows == 200  # all training samples
    assert float(objective.centre.detach().abs().max()) < 4  # has moved from 5 towards the logits
    assert "stage staged: 3 epochs before the run, training the network" in capsys.readouterr().err
    stage = tmp_path / "stages" / "staged"
    assert len((stage / "metrics.jsonl").read_text().splitlines()) == 3
    assert (stage / "checkpoint" / "last.pt").exists()


def test_a_stage_of_no_epochs_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objective = Staged()
    objective.epochs = 0
    teach(objective, tmp_path)
    assert torch.equal(objective.centre, torch.full((10,), 5.0))
    assert not (tmp_path / "stages").exists()
    assert "stage staged" not in capsys.readouterr().err


def test_a_run_that_has_begun_is_resumed_without_its_stages(tmp_path: Path) -> None:
    teach(Staged(), tmp_path, progress=False)
    (tmp_path / "result.json").unlink()
    resumed = Staged()
    teach(resumed, tmp_path, progress=False, resume=True)
    assert resumed.rows == 0
    assert float(resumed.centre.detach().abs().max()) < 4  # from the checkpoint of the run
