from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

import preceptor
from preceptor.config.overrides import make_recipe
from preceptor.config.resolve import ResolvedRecipe, resolve
from preceptor.config.sections import DistillRecipe, TeachRecipe
from preceptor.data import Data
from preceptor.errors import UsageError
from preceptor.runner.data import load_data
from preceptor.types import Progress

SMALL = ["data=digits", "data.limit=100", "data.test_limit=30"]


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data(make_recipe(TeachRecipe, overrides=[*SMALL, "model=mlp"]).data)


def student(data: Data, *words: str) -> ResolvedRecipe:
    return resolve(make_recipe(DistillRecipe, overrides=[*SMALL, "teacher=x.pth", "model=mlp", *words]), data)


def warnings(resolved: ResolvedRecipe) -> list[str]:
    return [line for line in resolved.notes if line.startswith("warning")]


@pytest.mark.parametrize("method", ["dkd", "reviewkd"])
@pytest.mark.parametrize("epochs", [1, 2, 12, 240])
def test_a_warm_up_is_over_within_the_run(data: Data, method: str, epochs: int) -> None:
    resolved = student(data, f"method={method}", f"epochs={epochs}")
    weights = [resolved.objective.weights(Progress(e, epochs, 0.0))[method] for e in range(1, epochs + 1)]
    peak = 5.0 if method == "reviewkd" else 1.0
    first_at_peak = next(epoch for epoch, weight in enumerate(weights, start=1) if weight == peak)
    assert first_at_peak == max(1, epochs // 12)
    assert warnings(resolved) == []


TAIL = "in a run of 2 epochs; a time below 1 is a share of the run"


@pytest.mark.parametrize(
    ("words", "warning"),
    [
        (
            ["method=dkd", "method.weight={schedule: warmup, peak: 1, over: 20}"],
            f"warning: method.dkd.weight: {{peak: 1.0, over: 20.0}} comes to 0.1 at most {TAIL}",
        ),
        (
            ["method=kd", "method.at.weight={schedule: step, peak: 1000, start_at: 2}"],
            f"warning: method.at.weight: {{peak: 1000.0, start_at: 2.0}} comes to 0 at most {TAIL}",
        ),
        (
            ["method=ctkd", "method.ramp_epochs=10"],
            f"warning: method.ctkd.ramp_epochs: 10 epochs are not reached {TAIL}",
        ),
        (
            ["schedule=step", "schedule.milestones=[1,150,180]"],
            f"warning: schedule.milestones: 150, 180 leave no epoch at the lower rate {TAIL}",
        ),
        (
            ["method=kd", "teacher.switch_epochs=[2,3]"],
            "warning: teacher.switch_epochs: 3 come after the last epoch, 2",
        ),
        (["keep_every=5"], "warning: keep_every: 5 keeps no epoch of a run that ends at 2"),
        (
            ["method=pe_bkd", "inputs.search_every=50"],
            "warning: inputs.search_every: the first search would come in epoch 50 of 2; "
            "a time below 1 is a share of the run",
        ),
    ],
)
def test_a_time_after_the_end_is_told_with_its_key(data: Data, words: list[str], warning: str) -> None:
    assert warnings(student(data, *words, "epochs=2")) == [warning]
    assert warnings(student(data, *words, "epochs=300")) == []


@pytest.mark.parametrize("method", ["kd", "dkd", "reviewkd", "ctkd", "rco", "pe_bkd"])
@pytest.mark.parametrize("preset", [None, "crd-protocol", "soteacher-protocol", "pe-bkd-protocol"])
def test_no_default_and_no_preset_is_late(data: Data, method: str, preset: str | None) -> None:
    words = [f"method={method}", "epochs=3"] + ([f"preset={preset}"] if preset else [])
    assert warnings(student(data, *words)) == []


def test_a_fade_in_epochs_is_refused(data: Data) -> None:
    with pytest.raises(UsageError, match=r"^method.dkd.weight.end: 10 is not in \[0, 1\]; it is a share of the run$"):
        student(data, "method=dkd", "method.weight={schedule: fade_in, peak: 1, start: 0, end: 10}")


def test_the_published_run_of_pe_bkd() -> None:
    """The third of its searches, in epoch 498, comes before the rate first falls, after 500."""
    data = load_data(make_recipe(TeachRecipe, overrides=[*SMALL, "model=mlp"]).data)
    words = ["preset=pe-bkd-protocol", "method=pe_bkd", "teacher.model=wrn_40_2", "model=wrn_16_2"]
    plan = student(data, *words).plan
    assert (plan.epochs, plan.learning_rate.peak) == (800, 0.05)
    rates = [plan.learning_rate(Progress(epoch, 800, 0.0)) for epoch in (500, 501, 600, 601, 700, 701)]
    assert rates == pytest.approx([0.05, 5e-3, 5e-3, 5e-4, 5e-4, 5e-5])


def test_a_preset_says_what_is_held_out(data: Data) -> None:
    note = "preset crd-protocol: the published runs train on all training samples, and this one holds out "
    assert data.validation_share == 0.15
    assert [line for line in student(data, "preset=crd-protocol").notes if line.startswith("preset")] == [
        f"{note}0.15 of them; data.validation=0 reproduces the published runs"
    ]
    assert [line for line in student(data).notes if line.startswith("preset")] == []
    assert [
        line for line in student(data, "preset=modern").notes if line.startswith("preset")
    ] == []  # of no publication
    words = [*SMALL, "data.validation=0"]
    all_rows = load_data(make_recipe(TeachRecipe, overrides=[*words, "model=mlp"]).data)
    assert [line for line in student(all_rows, "preset=crd-protocol").notes if line.startswith("preset")] == []


def test_a_short_dkd_run_has_its_full_weight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its weight is the same as without a warm-up, to the bit."""
    small = {"name": "digits", "limit": 60, "test_limit": 30}
    teacher = preceptor.teach(data=small, model="mlp", epochs=1, out=tmp_path / "t", progress=False)
    one, two = (
        preceptor.distill(
            data=small, teacher=teacher.path, model="mlp", method=method, epochs=2, out=tmp_path / name, progress=False
        )
        for name, method in (("one", "dkd"), ("two", {"name": "dkd", "weight": 1.0}))
    )
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True))
    weight = yaml.safe_load((one.path / "config.yaml").read_text())["method"]["dkd"]["weight"]
    assert weight == {"schedule": "warmup", "peak": 1.0, "over": 20 / 240}
