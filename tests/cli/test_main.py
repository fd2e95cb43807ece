"""The command line as a stranger uses it: one line for each mistake, the right exit status, no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from preceptor import __version__
from preceptor.cli import main


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (
            ["distill", "modl=resnet8", "data=digits", "model=resnet8", "teacher=t"],
            2,
            "error: modl: unknown key; did you mean model?",
        ),
        (["teach", "data=digits", "model=resnett8"], 2, "error: model: unknown name 'resnett8'; did you mean resnet8"),
        (["teach", "data=digits", "model=convnet_s", "epochs=x"], 2, "error: epochs: input should be a valid integer"),
        (["teach", "data=cifar10", "model=resnet8"], 2, "error: data.root: is needed and was not given"),
        (["evaluate", "runs/none"], 2, "error: runs/none: no such run folder"),
        (
            ["evaluate", "runs/none", "epochs=3"],
            2,
            "error: epochs: evaluate takes data=..., data.KEY=..., model=NAME and model.KEY=... only",
        ),
        (["teach", "--config", "none.yaml"], 2, "error: config none.yaml: cannot be read"),
        (["tech"], 2, "error: No such command 'tech'"),
        (["list", "nothing"], 2, "error: Invalid value"),
        (
            ["distill", "data=digits", "teacher=timm:resnet10t", "model=convnet_s"],
            2,
            "error: teacher: timm:resnet10t is no run folder or file; a network's name is given as teacher.model=timm:resnet10t",
        ),
        (["demo", "--seeds", "0"], 2, "error: Invalid value"),
    ],
)
def test_mistakes(
    words: list[str],
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == status
    said = capsys.readouterr().err
    assert said.startswith(message)
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where() -> None:
    with pytest.raises(ValueError, match="no such run folder"):
        main(["evaluate", "runs/none", "--debug"])


def test_teach_distill_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["data=digits", "data.limit=300", "epochs=2"]
    assert main(["teach", *data, "model=convnet_m", "objective=soteacher", f"out={tmp_path}/t"]) == 0
    assert f"Run: {tmp_path}/t" in capsys.readouterr().out.replace("\n", "")
    words = [
        *data,
        f"teacher={tmp_path}/t",
        "model=convnet_s",
        "method=kd",
        "method.temperature=2",
        f"out={tmp_path}/s",
    ]
    assert main(["distill", *words]) == 0
    first = capsys.readouterr()
    assert "student kd seed 0  epoch 2" in first.err
    assert main(["evaluate", f"{tmp_path}/s"]) == 0
    accuracy = [line for line in first.out.splitlines() if "accuracy" in line]
    assert accuracy[0] in capsys.readouterr().out
    assert main(["distill", *words]) == 2
    assert "holds a finished run; overwrite=True" in capsys.readouterr().err
    config = yaml.safe_load((tmp_path / "s" / "config.yaml").read_text())
    assert config["method"]["kd"]["temperature"] == 2.0
    assert config["optim"]["lr"] == 0.1


@pytest.mark.parametrize("verb", ["teach", "distill"])
def test_the_printed_configuration_is_one(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", verb, "epochs=7"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["epochs"] == 7
    assert {"data", "model", "optim", "schedule", "seed", "out"} <= set(printed)


@pytest.mark.parametrize("verb", ["teach", "distill"])
def test_help_shows_each_key(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    said = capsys.readouterr().out
    for key in ("data.name", "optim.lr", "schedule.milestones", "checkpoint_every_steps", "stop_at"):
        assert key in said


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("models", ["wrn_40_2", "2,255,156", "convnet_s"]),
        ("objectives", ["soteacher", "brier", "lipschitz", "1e-05"]),
        ("methods", ["fitnet", "2022", "0.9 + 0.1"]),
        ("data", ["ambiguous_digits", "cifar100", "folder"]),
    ],
)
def test_lists(what: str, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", what]) == 0
    said = capsys.readouterr().out
    for name in names:
        assert name in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["methods", "crd"], ["Contrastive representation distillation", "method.num_negatives         16384", "0.8"]),
        (["methods", "function_matching"], ["method.temperature", "1.0"]),
        (["objectives", "brier"], ["objective.weight"]),
        (["data", "gaussian"], ["data.variance     6.0"]),
        (["models", "mlp"], ["model.widths", "(128, 128)", "model.logits"]),
        (["models", "timm:resnet10t"], ["any network of timm", "model.pretrained", "model.resolution"]),
        (["models", "mine:network"], ["any importable callable", "what the factory takes"]),
    ],
)
def test_one_name_and_its_keys(words: list[str], said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", *words]) == 0
    out = capsys.readouterr().out
    for text in said:
        assert text in out


def test_a_list_of_nothing_is_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    said = capsys.readouterr()
    assert "inputs, data or presets" in " ".join(said.out.split())
    assert "error" not in said.err


def test_a_name_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "methods", "crdd"]) == 2
    assert "list methods: no 'crdd' with keys of its own; did you mean crd" in capsys.readouterr().err


def test_version_and_module_entry() -> None:
    done = subprocess.run([sys.executable, "-m", "preceptor", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == __version__


def test_help_does_not_import_torch() -> None:
    script = "import sys; from preceptor.cli import main; main(['--help']); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0
