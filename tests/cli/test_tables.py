"""`preceptor list`."""

from __future__ import annotations

import pytest

from preceptor.cli import main
from preceptor.cli.tables import names_of
from preceptor.config.procedures import PROCEDURES
from preceptor.objectives.distill import METHODS
from preceptor.objectives.teacher import OBJECTIVES

REGISTRIES = ["models", "objectives", "methods", "inputs", "data", "presets"]


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("models", ["wrn_40_2", "2,255,156", "convnet_s"]),
        ("objectives", ["soteacher", "cross_entropy + lipschitz + consistency", "lipschitz"]),
        ("methods", ["fitnet", "2022", "look where the teacher looks", "self-supervised"]),
        ("data", ["ambiguous_digits", "cifar100", "folder"]),
    ],
)
def test_lists(what: str, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", what]) == 0
    said = capsys.readouterr().out
    for name in names:
        assert name in said


@pytest.mark.parametrize("what", REGISTRIES)
def test_a_list_fits_80_columns(what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["list", what]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    assert {line.split()[0] for line in lines if line} > {name for name in names_of(what) if name[-1:] != ":"}  # type: ignore[arg-type]


def test_a_method_has_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for what, entries in (("methods", {**METHODS, **PROCEDURES}), ("objectives", OBJECTIVES)):
        assert main(["list", what]) == 0
        lines = capsys.readouterr().out.splitlines()
        for name, entry in entries.items():
            (line,) = [line for line in lines if line.split()[:1] == [name]]
            assert line.split(maxsplit=1)[1].startswith(f"{entry.does} ")
            assert line.split()[-2:] == [str(entry.year), entry.kind]


def test_a_list_of_nothing_is_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    said = capsys.readouterr()
    assert "inputs, data or presets" in " ".join(said.out.split())
    assert "error" not in said.err
