"""The command line: one line for each mistake, the right exit status, no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from preceptor import __version__
from preceptor.cli import main
from preceptor.config.presets import PRESETS
from preceptor.config.procedures import PROCEDURES
from preceptor.data import POLICIES, SOURCES
from preceptor.errors import Interrupted
from preceptor.models.registry import ZOO
from preceptor.objectives.distill import METHODS
from preceptor.objectives.teacher import OBJECTIVES


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
            "error: epochs: evaluate takes data=..., data.KEY=..., model=NAME, model.KEY=..., "
            "weights_key=..., classes=... and onnx.KEY=... only",
        ),
        (["teach", "--config", "none.yaml"], 2, "error: config none.yaml: no such file"),
        (["tech"], 2, "error: No such command 'tech'; did you mean teach"),
        (["train", "data=digits"], 2, "error: No such command 'train'; teach trains a teacher, distill a student"),
        (["eval", "runs/t"], 2, "error: No such command 'eval'; evaluate measures a run"),
        (["teach", "data=digits", "--epochs", "3"], 2, "error: --epochs: settings have no dashes; write epochs=3"),
        (["distill", "--lr=0.1", "data=digits"], 2, "error: --lr: settings have no dashes; write optim.lr=0.1"),
        (["distill", "--batch-size", "4"], 2, "error: --batch-size: settings have no dashes; write batch_size=4"),
        (
            ["teach", "--overwrite", "data=digits"],
            2,
            "error: --overwrite: settings have no dashes; write overwrite=true",
        ),
        (["evaluate", "runs/t", "--data", "digits"], 2, "error: --data: settings have no dashes; write data=digits"),
        (["config", "distill", "--teacher", "t"], 2, "error: --teacher: settings have no dashes; write teacher=t"),
        (
            ["teach", "--colour", "red"],
            2,
            "error: No such option: --colour; settings are written key=value, and preceptor teach",
        ),
        (["evaluate", "runs/t", "--worker", "2"], 2, "error: No such option: --worker (Possible options: --workers)"),
        (["assess", "runs/none"], 2, "error: assess: runs/none: no such run folder or file"),
        (["assess", "none.pth", "model=mlp"], 2, "error: assess: none.pth: no such run folder or file"),
        (["assess", "runs/none", "data=digits"], 2, "error: runs/none: no such run folder or file"),
        (["curve", "runs/none"], 2, "error: runs/none: no such run folder"),
        (["export", "runs/none", "--to", "a.onnx"], 2, "error: runs/none: no such run folder"),
        (["predict", "runs/none", "a.png"], 2, "error: runs/none: no such run folder or file"),
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


@pytest.mark.parametrize(
    ("stop", "status", "said"),
    [
        (Interrupted("interrupted in epoch 3", 143), 143, "interrupted in epoch 3\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_ctrl_c_is_no_error(
    stop: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise stop

    monkeypatch.setattr("preceptor.cli.verbs.carry_out", interrupted)
    assert main(["teach", "data=digits", "model=mlp"]) == status
    assert capsys.readouterr().err == said


def test_debug_shows_where() -> None:
    with pytest.raises(ValueError, match="no such run folder"):
        main(["evaluate", "runs/none", "--debug"])


def test_version_and_module_entry() -> None:
    done = subprocess.run([sys.executable, "-m", "preceptor", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == __version__


QUICK = [
    ["--version"],
    ["--help"],
    *([verb, "--help"] for verb in ("teach", "distill", "label", "curve", "evaluate", "export", "list")),
    *(["config", verb] for verb in ("teach", "distill", "label")),
    ["config", "distill", "preset=crd-protocol", "method=dkd"],
    *(["list", what] for what in ("models", "objectives", "methods", "inputs", "data", "presets")),
    *(["list", "methods", name] for name in (*METHODS, *PROCEDURES)),
    *(["list", "objectives", name] for name in OBJECTIVES),
    *(["list", "inputs", name] for name in POLICIES),
    *(["list", "data", name] for name in SOURCES),
    *(["list", "models", name] for name in ZOO),
    *(["list", "presets", name] for name in PRESETS),
    ["completion", "--line", "preceptor distill method=crd method.n"],
    ["completion", "--line", "preceptor teach model="],
    ["doctor", "--help"],
    # and what is wrong is told at once
    ["distill", "modl=resnet8"],
    ["teach", "data=digits", "model=mlp", "objective=brierr"],
    ["distill", "data=digits", "model=mlp", "teacher=runs/t", "method=kd", "method.temprature=3"],
    ["list", "methods", "kdd"],
    ["distil"],
    ["teach", "--lr", "3"],
]


def test_help_lists_configurations_and_wrong_keys_need_no_torch() -> None:
    script = (
        "import sys; from preceptor.cli import main\n"
        f"for words in {QUICK}:\n"
        "    status = main(words)\n"
        "    assert status in (0, 2), words\n"
        "    assert not {'torch', 'numpy', 'scipy'} & {*sys.modules}, words"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("error: ")) == (0, 8), done.stderr
