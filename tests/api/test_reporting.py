"""`preceptor.report`, the verb, is not a package's name."""

from __future__ import annotations

from pathlib import Path

import preceptor
import preceptor.reports
from small_grid import write_grid


def test_the_verb(tmp_path: Path) -> None:
    write_grid(tmp_path)
    made = preceptor.report(str(tmp_path))
    assert isinstance(made, preceptor.Report)
    assert made.page == tmp_path / "report.html"
    assert made.page.exists()
    assert [len(table.rows) for table in made.tables[:3]] == [4, 1, 2]
