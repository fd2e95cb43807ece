"""The command line: one line for each mistake, the right exit status, no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
            "error: epochs: evaluate takes data=..., data.KEY=..., model=NAME, model.KEY=... and classes=... only",
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


def test_version_and_module_entry() -> None:
    done = subprocess.run([sys.executable, "-m", "preceptor", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == __version__


def test_help_does_not_import_torch() -> None:
    script = "import sys; from preceptor.cli import main; main(['--help']); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0
