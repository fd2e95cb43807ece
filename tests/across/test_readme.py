"""The README's results are those of the records."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def readme() -> ModuleType:
    """The script that writes the table."""
    spec = importlib.util.spec_from_file_location("readme", ROOT / "results" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_up_to_date(readme: ModuleType) -> None:
    assert readme.main(["--check"]) == 0


def test_another_table_is_found_and_replaced(
    readme: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = (ROOT / "README.md").read_text()
    changed = tmp_path / "README.md"
    changed.write_text(original.replace("| `kd` | ", "| `kd` | 9"))
    monkeypatch.setattr(readme, "README", changed)
    assert readme.main(["--check"]) == 1
    assert "python results/readme.py" in capsys.readouterr().out
    assert readme.main([]) == 0
    assert changed.read_text() == original
