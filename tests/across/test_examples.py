"""The examples run as a user runs them, `python examples/NAME`, and come to something."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest

from preceptor.experiments.grid import open_grid
from started import run

EXAMPLES = Path(__file__).parents[2] / "examples"
NEEDS = {"lightning_module.py": "lightning", "transformers_trainer.py": "transformers"}


@pytest.mark.parametrize(
    "name", ["own_loop.py", "lightning_module.py", "transformers_trainer.py", "your_own_method.py", "your_own_model.py"]
)
def test_an_example_learns(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = NEEDS.get(name)
    if needed is not None and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    monkeypatch.chdir(tmp_path)
    said = run([str(EXAMPLES / name)], check=True).stdout
    found = re.search(r"(?:test accuracy|student) (0\.\d+)", said)
    assert found is not None, said
    assert float(found[1]) > 0.7


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_an_example_can_be_run_again(name: str) -> None:
    """Every run of an example replaces the one before it."""
    calls = [
        node
        for node in ast.walk(ast.parse((EXAMPLES / name).read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"preceptor.teach", "preceptor.distill"}
    ]
    assert calls
    for call in calls:
        assert "overwrite=True" in [ast.unparse(word) for word in call.keywords], ast.unparse(call)


def test_the_grid_is_two_by_two_by_two_by_three() -> None:
    cells = open_grid(EXAMPLES / "digits.yaml").cells
    assert Counter(cell.verb for cell in cells) == {"teach": 2 * 3, "distill": 2 * 2 * 2 * 3}
