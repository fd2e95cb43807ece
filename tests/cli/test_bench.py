"""`preceptor bench`, with two small networks."""

from __future__ import annotations

import pytest

from preceptor.bench import VARIANTS
from preceptor.cli import main


def test_the_command_line_prints_both_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "convnet_s", "convnet_s", "--batch-size", "16", "--classes", "10", "--rounds", "1"]) == 0
    out = capsys.readouterr().out
    for variant in ("baseline", "auto", "live", "stored"):
        assert f"\n{variant} " in out
        assert f"{variant}: {VARIANTS[variant][:20]}" in out
    assert "1.00x" in out
    assert "of ceiling" in out
    assert "evaluation of 1,000 for every 50,000" in out


def test_an_unknown_network_is_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "resnet56x"]) == 2
    assert "resnet56x" in capsys.readouterr().err
