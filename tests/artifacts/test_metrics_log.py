from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.artifacts.metrics_log import MetricsLog
from preceptor.errors import RunError


def test_it_can_be_cut_back(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.append({"epoch": 1})
    size = log.size()
    log.append({"epoch": 2})
    log.cut(size)
    assert log.rows() == MetricsLog(tmp_path / "metrics.jsonl").rows() == [{"epoch": 1}]


def test_a_process_that_does_not_write_knows_the_same_rows(tmp_path: Path) -> None:
    first, other = (MetricsLog(tmp_path / "metrics.jsonl", writes=writes) for writes in (True, False))
    for log in (other, first):
        log.append({"epoch": 1})
    assert other.rows() == first.rows()
    assert other.size() == first.size() == (tmp_path / "metrics.jsonl").stat().st_size


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"metrics\.jsonl: cannot be written"):
        MetricsLog(tmp_path / "missing" / "metrics.jsonl").append({"epoch": 1})
