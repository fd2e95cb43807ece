"""What TAB completes."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from preceptor.cli import main
from preceptor.cli.completion import candidates
from preceptor.config.procedures import PROCEDURES
from preceptor.objectives.distill import METHODS
from preceptor.objectives.teacher import OBJECTIVES, SUMS


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("preceptor dist", ["distill"]),
        ("preceptor do", ["doctor"]),
        ("preceptor list me", ["methods"]),
        ("preceptor list methods fit", ["fitnet"]),
        ("preceptor list objectives soft", []),
        ("preceptor distill optim.l", ["optim.lr="]),
        ("preceptor config di", ["distill"]),
        ("preceptor config label tea", ["teacher=", "teacher.path="]),
        ("preceptor curve runs/t averaging.st", ["averaging.start="]),
        ("preceptor teach deterministic=", ["deterministic=true", "deterministic=false"]),
        ("preceptor teach engine=f", ["engine=fast"]),
        ("preceptor teach optim.name=ad", ["optim.name=adamw"]),
        ("preceptor teach optim=ad", ["optim=adamw"]),
        ("preceptor teach averaging=e", ["averaging=ema"]),
        ("preceptor teach model=wrn_40", ["model=wrn_40_1", "model=wrn_40_2"]),
        ("preceptor teach model=tim", ["model=timm:"]),
        ("preceptor distill teacher.model=vgg1", [f"teacher.model=vgg1{depth}" for depth in (1, 3, 6, 9)]),
        ("preceptor distill preset=crd", ["preset=crd-protocol"]),
        ("preceptor teach data=amb", ["data=ambiguous_digits"]),
        ("preceptor teach inputs=fun", ["inputs=function_matching"]),
        ("preceptor distill method=crd method.num", ["method.num_negatives="]),
        ("preceptor distill method=crd method.cross", ["method.cross_entropy.weight="]),
        ("preceptor teach data=text:reviews data.tok", ["data.tokenizer="]),
        ("preceptor teach model=mlp model.w", ["model.widths="]),
        ("preceptor teach inputs=mixup inputs.al", ["inputs.alpha="]),
        ("preceptor export run --hub", ["--hub-folder"]),
        ("preceptor export run", []),  # a folder, which the shell completes
        ("preceptor evaluate ", []),
        ("preceptor distill teacher=", []),
        ("preceptor nothing x", []),
    ],
)
def test_what_a_line_can_become(line: str, completed: list[str]) -> None:
    found = candidates(line)
    assert found[: len(completed)] == completed
    assert bool(found) == bool(completed)


def test_every_name_is_there() -> None:
    assert candidates("preceptor distill method=") == [f"method={name}" for name in (*METHODS, *PROCEDURES)]
    assert candidates("preceptor teach objective=") == [f"objective={name}" for name in (*OBJECTIVES, *SUMS)]
    verbs = {"teach", "distill", "label", "evaluate", "assess", "curve", "export", "predict", "list", "grid", "report"}
    assert {*candidates("preceptor ")} > verbs


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_puts_a_candidate_in_place_of_what_follows_its_last_break() -> None:
    script = f"""
preceptor() {{ {sys.executable} -m preceptor "$@"; }}
eval "$(preceptor completion bash)"
tab() {{ COMP_LINE="$1" COMP_POINT="${{#1}}"; _preceptor_complete preceptor; echo "${{COMPREPLY[*]}}"; }}
tab "preceptor distill method=dk"
tab "preceptor teach data.lim"
"""
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["dkd", "data.limit="], done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_the_users_or_named(
    shell: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["completion", shell]) == 0
    named = capsys.readouterr().out
    assert "preceptor completion --line" in named or '"$1" completion --line' in named
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    assert main(["completion"]) == 0
    assert capsys.readouterr().out == named


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/ksh")
    assert main(["completion"]) == 2
    assert capsys.readouterr().err == "error: completion: ksh is not known; there are: bash, zsh, fish\n"
