"""The fast part of the campaign: `benchmarks/reliability.py --fast`, with its figures held to the goals."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from campaign.judge import BAD
from started import run

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reliability.py"
NUMBERS = ["--mutations", "30", "--kills", "4", "--full-disks", "3"]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and forks of Linux")


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("reliability")
    words = ["mutations", "kills", "full-disk", "--fast", *NUMBERS, "--out", str(folder / "campaign.json")]
    run([str(SCRIPT), *words, "--work", str(folder / "work")], check=True)
    values: dict[str, Any] = json.loads((folder / "campaign.json").read_text())
    return values


def test_a_damaged_file_is_refused_in_one_line_or_changes_nothing(record: dict[str, Any]) -> None:
    assert len(record["mutations"]) == 30
    assert [row for row in record["mutations"] if row["outcome"] in BAD] == []


def test_what_was_killed_resumes_to_the_same_bits_and_history(record: dict[str, Any]) -> None:
    assert len(record["kills"]) == 4
    assert [row for row in record["kills"] if row["outcome"] != "same"] == []


def test_a_full_disk_is_said_and_what_was_there_resumes(record: dict[str, Any]) -> None:
    outcomes = [row["outcome"] for row in record["full_disk"]]
    assert "said and resumed" in outcomes
    assert [row for row in record["full_disk"] if row["outcome"] not in {"said and resumed", "not needed"}] == []
