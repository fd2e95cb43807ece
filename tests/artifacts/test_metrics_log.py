from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from preceptor.artifacts.metrics_log import MetricsLog
from preceptor.errors import RunError, UsageError


def test_it_is_cut_back_to_a_checkpoint_and_loses_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    log.append({"epoch": 1})
    state = log.state_dict()
    log.append({"epoch": 2})
    whole = path.read_bytes()
    for torn in range(state["bytes"], len(whole) + 1):
        path.write_bytes(whole[:torn])
        again = MetricsLog(path)
        again.load_state_dict(state)
        assert again.rows() == MetricsLog(path).rows() == [{"epoch": 1}]


def test_without_a_checkpoint_no_row_counts(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1}\n{"ep')
    log = MetricsLog(path)
    log.load_state_dict(None)
    assert log.rows() == []
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda content: content[:-5],
            r"metrics\.jsonl: is shorter than at the last checkpoint \(21 of 26 bytes\); restore it",
        ),
        (lambda content: content.replace(b"1", b"3"), r"metrics\.jsonl: is damaged, or was changed .*overwrite=true"),
    ],
)
def test_rows_before_a_checkpoint_are_needed_as_they_were(
    damage: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for epoch in (1, 2):
        log.append({"epoch": epoch})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UsageError, match=message):
        MetricsLog(path).load_state_dict(log.state_dict())


def test_a_process_that_does_not_write_knows_the_same_rows(tmp_path: Path) -> None:
    first, other = (MetricsLog(tmp_path / "metrics.jsonl", writes=writes) for writes in (True, False))
    for log in (other, first):
        log.append({"epoch": 1})
    assert other.rows() == first.rows()
    assert other.state_dict() == first.state_dict()
    assert first.state_dict()["bytes"] == (tmp_path / "metrics.jsonl").stat().st_size


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"metrics\.jsonl: cannot be written"):
        MetricsLog(tmp_path / "missing" / "metrics.jsonl").append({"epoch": 1})
