"""Fine-tuning: a run that starts from the weights of another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import preceptor
from preceptor.artifacts.fingerprints import fingerprint
from preceptor.cli import main
from preceptor.data import load
from preceptor.errors import RunError, UsageError
from preceptor.models import create, save_weights
from preceptor.objectives.base import Objective

SMALL = {"name": "digits", "limit": 300, "test_limit": 80}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> preceptor.Result:
    out = tmp_path_factory.mktemp("runs") / "trained"
    return preceptor.teach(data=SMALL, model="convnet_m", epochs=8, out=out, progress=False)


def tuned(start: str | Path | preceptor.Result, out: Path, **keys: Any) -> preceptor.Result:
    settings = {"data": SMALL, "model": "convnet_m", "epochs": 1, "optim": {"lr": 1e-30}, "progress": False, **keys}
    return preceptor.teach(start_from=start, out=out, **settings)


@pytest.mark.parametrize("kind", ["folder", "result", "file", "text"])
def test_training_starts_from_the_weights_given(trained: preceptor.Result, tmp_path: Path, kind: str) -> None:
    starts: dict[str, str | Path | preceptor.Result] = {
        "folder": trained.path,
        "result": trained,
        "file": trained.path / "model.safetensors",
        "text": str(trained.path),
    }
    start = starts[kind]
    result = tuned(start, tmp_path / "run", seed=5)
    for name, value in result.model.named_parameters():
        assert torch.equal(value, trained.model.get_parameter(name))
    assert result.record.start_fingerprint == fingerprint(trained.model)
    assert (
        f"start_from: {start.path if isinstance(start, preceptor.Result) else start}\n"
        in (tmp_path / "run" / "config.yaml").read_text()
    )
    assert trained.record.start_fingerprint is None


def test_a_student_starts_from_weights_too_and_its_assistants_do_not(trained: preceptor.Result, tmp_path: Path) -> None:
    result = preceptor.distill(
        data=SMALL,
        teacher={"path": str(trained.path), "assistants": ["convnet_s"]},
        model="convnet_m",
        method="takd",
        epochs=1,
        optim={"lr": 1e-30},
        start_from=trained.path,
        out=tmp_path / "s",
        progress=False,
    )
    assert torch.equal(result.model.state_dict()["classifier.weight"], trained.model.state_dict()["classifier.weight"])
    assistant = json.loads((tmp_path / "s-assistant1" / "result.json").read_text())
    assert assistant["start_fingerprint"] is None


def test_a_module_of_ones_own_starts_from_its_run(tmp_path: Path) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    first = preceptor.teach(data=SMALL, model=make(), epochs=2, out=tmp_path / "a", progress=False)
    second = tuned(first, tmp_path / "b", model=make())
    assert torch.equal(first.model.state_dict()["1.weight"], second.model.state_dict()["1.weight"])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"start_from": "runs/none"}, r"start_from: runs/none: no such run folder or file"),
        ({"model": "convnet_s"}, r"weights .*model\.safetensors: do not fit ConvNet: "),
        (
            {"data": {"name": "gaussian", "samples": 200, "num_classes": 3}, "model": "mlp"},
            r"start_from: .*trained has 10 classes, data gaussian has 3",
        ),
    ],
)
def test_what_cannot_be_started_from_is_named(
    trained: preceptor.Result, tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    start = keys.pop("start_from", trained.path)
    with pytest.raises(UsageError, match=message) as caught:
        tuned(start, tmp_path / "run", **keys)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_an_unfinished_run_or_a_file_of_other_classes_is_refused(trained: preceptor.Result, tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    with pytest.raises(UsageError, match=r"half: the run has not finished \(no result\.json\)"):
        tuned(tmp_path / "half", tmp_path / "run")
    save_weights(create("convnet_m", num_classes=4, input_shape=(1, 8, 8)), tmp_path / "four.safetensors")
    with pytest.raises(UsageError, match="the file has 4 classes, the model 10"):
        tuned(tmp_path / "four.safetensors", tmp_path / "run")


@pytest.mark.parametrize("objective", ["mcmi", "brier"])
def test_a_teacher_is_fine_tuned_from_the_command_line(
    trained: preceptor.Result, tmp_path: Path, objective: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data=digits", "data.limit=300", "data.test_limit=80", "model=convnet_m", "preset=mcmi"]
    words += [f"objective={objective}", f"start_from={trained.path}", f"out={tmp_path / 'run'}", "epochs=4"]
    assert main(["teach", *words, "optim.lr=0.01"]) == 0, capsys.readouterr().err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    first, last = (result["history"][k]["train"]["terms"] for k in (0, -1))
    if objective == "mcmi":
        assert set(last) == {"cross_entropy", "mcmi"}
        assert last["mcmi"] > first["mcmi"] > 0  # it is maximised
    else:
        assert last["brier"] < first["brier"]
    assert result["test"]["accuracy"] > trained.metrics.accuracy - 0.1


class Watching(Objective):
    """Keeps what it is shown before the first step."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Any] = []

    def calibrate(self, answers: Any) -> None:
        self.shown = list(answers)

    def loss(self, step: Any) -> torch.Tensor:
        value: torch.Tensor = step.student.logits.float().square().mean()
        return value


def test_a_survey_shows_the_training_split_as_the_starting_network_sees_it(
    trained: preceptor.Result, tmp_path: Path
) -> None:
    objective = Watching()
    result = tuned(trained.path, tmp_path / "run", objective=objective, batch_size=64, engine="plain")
    rows = torch.cat([step.batch.index for step in objective.shown])
    assert torch.equal(rows.sort().values, torch.arange(len(load("digits", limit=300).train)))
    network = preceptor.load(trained.path).train()
    for step in objective.shown:
        with torch.no_grad():
            torch.testing.assert_close(step.student.logits, network(step.batch.inputs))
    plain = tuned(trained.path, tmp_path / "plain", objective="cross_entropy", batch_size=64, engine="plain")
    assert torch.equal(  # the pass left no trace in the statistics of the network that is trained
        result.model.state_dict()["stem.1.running_mean"], plain.model.state_dict()["stem.1.running_mean"]
    )


def test_mcmi_needs_a_network_to_start_from(tmp_path: Path) -> None:
    for objective in ("mcmi", {"cross_entropy": 1.0, "mcmi": -0.1}, {"spread": {"name": "mcmi"}}):
        with pytest.raises(UsageError, match=r"objective mcmi needs start_from=RUN_FOLDER, the trained network"):
            preceptor.teach(data=SMALL, model="convnet_m", objective=objective, out=tmp_path / "run", progress=False)


def test_what_is_maximised_is_stopped_when_it_runs_away(trained: preceptor.Result, tmp_path: Path) -> None:
    keys = {"objective": {"name": "mcmi", "weight": -5.0}, "optim": {"lr": 0.05}, "epochs": 10}
    with pytest.raises(RunError, match=r"validation NLL has risen from [\d.]+ to [\d.e+]+ nats: .*\(mcmi, weight -5\)"):
        tuned(trained.path, tmp_path / "run", **keys)
    assert not (tmp_path / "run" / "result.json").exists()
    unwatched = tuned(trained.path, tmp_path / "unwatched", data={**SMALL, "validation": 0.0}, **{**keys, "epochs": 1})
    assert unwatched.record.validation == {}


@pytest.fixture
def checkpoint(trained: preceptor.Result, tmp_path: Path) -> Path:
    """A file of a network's weights after training, and of an average that is another network's."""
    torch.manual_seed(7)
    average = {f"module.{name}": value for name, value in create_like(trained).state_dict().items()}
    torch.save({"state_dict": trained.model.state_dict(), "state_dict_ema": average, "epoch": 8}, tmp_path / "a.pth")
    return tmp_path / "a.pth"


def create_like(trained: preceptor.Result) -> nn.Module:
    return create("convnet_m", num_classes=10, input_shape=(1, 8, 8))


def test_a_key_chooses_the_teachers_weights_and_a_note_says_which_were_taken(
    trained: preceptor.Result, checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(7)
    prints = {"state_dict": fingerprint(trained.model), "state_dict_ema": fingerprint(create_like(trained))}
    words = ["data=digits", "data.limit=300", "data.test_limit=80", "epochs=1", "model=convnet_s", "engine=plain"]
    words += [f"teacher={checkpoint}", "teacher.model=convnet_m"]
    for number, more in enumerate(([], ["teacher.weights_key=state_dict_ema"])):
        assert main(["distill", *words, *more, f"out={tmp_path / str(number)}"]) == 0
        shown = capfd.readouterr().err
        note = "a.pth: took state_dict, not state_dict_ema.module; teacher.weights_key=state_dict_ema.module takes that"
        assert (note in shown) == (not more)
        record = json.loads((tmp_path / str(number) / "result.json").read_text())
        assert record["teacher_fingerprint"] == prints["state_dict_ema" if more else "state_dict"]
    assert main(["label", *words[:3], *words[-2:], f"out={tmp_path / 'l'}"]) == 0
    assert "took state_dict, not" in capfd.readouterr().err
    assert main(["assess", str(checkpoint), *words[:3], "model=convnet_m", "weights_key=state_dict_ema"]) == 0
    assert "took" not in capfd.readouterr().out
    assert main(["assess", str(checkpoint), *words[:3], "model=convnet_m"]) == 0
    assert "took state_dict, not" in " ".join(capfd.readouterr().out.split())
    assert main(["evaluate", str(checkpoint), *words[:3], "model=convnet_m"]) == 0
    assert "not state_dict_ema.module; weights_key=state_dict_ema.module takes" in capfd.readouterr().err


def test_a_key_chooses_the_weights_that_training_starts_from(
    trained: preceptor.Result, checkpoint: Path, tmp_path: Path
) -> None:
    assert tuned(checkpoint, tmp_path / "0").record.start_fingerprint == fingerprint(trained.model)
    started = tuned(checkpoint, tmp_path / "1", weights_key="state_dict_ema").record.start_fingerprint
    torch.manual_seed(7)
    assert started == fingerprint(create_like(trained))


def test_a_key_without_a_checkpoint_is_refused(trained: preceptor.Result, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"^weights_key: ema is for checkpoints, and \S+trained holds the weights of one"
    ):
        tuned(trained, tmp_path / "r", weights_key="ema")
    with pytest.raises(UsageError, match=r"^weights_key: ema chooses from a checkpoint; name it: start_from=FILE$"):
        preceptor.teach(data=SMALL, model="convnet_m", weights_key="ema", out=tmp_path / "r", progress=False)
    keys: dict[str, Any] = {"data": SMALL, "model": "convnet_s", "out": tmp_path / "r", "progress": False}
    for teacher in ({"path": str(trained.path)}, {"path": str(trained.path), "epoch": 1}, {"model": "convnet_m"}):
        with pytest.raises(
            UsageError, match=r"^teacher\.weights_key: ema (is for checkpoints|chooses from a checkpoint)"
        ):
            preceptor.distill(teacher={**teacher, "weights_key": "ema"}, **keys)
    with pytest.raises(UsageError, match=r"^weights_key: ema is for checkpoints"):
        preceptor.evaluate(trained.path, weights_key="ema")
