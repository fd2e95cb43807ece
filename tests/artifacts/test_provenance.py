"""Where a result comes from: versions, commit, command, and the fingerprint of weights."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from preceptor.artifacts.provenance import command_line, git_commit, versions


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["/usr/bin/preceptor", "teach", "data=my digits"], "preceptor teach 'data=my digits'"),
        (["/x/preceptor/__main__.py", "list", "data"], "python -m preceptor list data"),
        ([""], "python"),
    ],
)
def test_the_command_is_as_one_would_type_it(
    arguments: list[str], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    assert command_line() == command


def test_the_commit_is_missing_outside_git(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(stdout: str) -> Any:
        return lambda words, **options: subprocess.CompletedProcess(words, 0, stdout, "")

    def fail(words: list[str], **options: Any) -> None:
        raise subprocess.CalledProcessError(128, words)

    monkeypatch.setattr(subprocess, "run", answer("0123456789ab+\n"))
    assert git_commit() == "0123456789ab+"
    monkeypatch.setattr(subprocess, "run", answer("\n"))
    assert git_commit() is None
    monkeypatch.setattr(subprocess, "run", fail)
    assert git_commit() is None


def test_versions_name_what_numbers_depend_on() -> None:
    found = versions()
    assert set(found) == {"python", "preceptor", "torch", "numpy", "machine"}
    assert found["torch"] == torch.__version__.split("+")[0] or found["torch"] == torch.__version__
