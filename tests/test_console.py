"""What is printed for people: text from elsewhere is no markup."""

from __future__ import annotations

import pytest
from rich.table import Table

from preceptor.console import open_console


def test_brackets_and_colons_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    console, table = open_console(width_of_files=60), Table(box=None)
    table.add_column("[/b]")
    table.add_row("x[/b] [red]y :smile:")
    console.print("out=x[/b]", table)
    assert capsys.readouterr().out.split() == ["out=x[/b]", "[/b]", "x[/b]", "[red]y", ":smile:"]


def test_escape_sequences_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(box=None)
    table.add_row("\x1b[2Jgone")
    open_console(stderr=True).print("a\x1b]0;title\x07b\u202ec", table)
    printed = capsys.readouterr().err
    assert r"a\x1b]0;title\x07b\u202ec" in printed
    assert r"\x1b[2Jgone" in printed
    assert not set(printed) & set("\x1b\x07\u202e")


def test_a_quiet_console_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    open_console(quiet=True).print("x")
    assert capsys.readouterr() == ("", "")
