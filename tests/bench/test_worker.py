"""One variant on command, here in this process."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from preceptor.bench import Job, worker

SMALL = Job("convnet_s", "convnet_s", batch_size=16, num_classes=10, threads=1)


def test_each_command_has_its_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("round 2\nphases 1\nend\n"))
    worker.main([json.dumps(asdict(SMALL)), "plain", str(tmp_path)])
    first, second, phases, peak = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["seconds"] > 0
    assert second["seconds"] > 0
    assert set(phases) == {"data", "teacher", "student forward", "student backward", "optimiser", "evaluation"}
    assert all(milliseconds > 0 for milliseconds in phases.values())
    assert 100 < peak["peak_mib"] < 10_000


def test_the_baseline_has_no_phases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("phases 1\n"))  # the end of the input ends it too
    worker.main([json.dumps(asdict(SMALL)), "baseline", str(tmp_path)])
    assert json.loads(capsys.readouterr().out.splitlines()[1]) == {}
