from __future__ import annotations

from pathlib import Path

import pytest

from preceptor.labels import write_labels
from small_store import WANTED, predict


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The small label store, written."""
    write_labels(tmp_path / "labels", WANTED, predict, batch_size=4)
    return tmp_path / "labels"
