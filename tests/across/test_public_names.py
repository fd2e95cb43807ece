"""The public names are those of tests/public_names.txt: a name goes by a decision, not by accident."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from public_names import MODULES, public_names

ROOT = Path(__file__).parents[2]
LISTED = ROOT / "tests" / "public_names.txt"
IMPORT = re.compile(r"^\s*from (preceptor[\w.]*) import (?:\((.*?)\)|(.*?)$)", re.MULTILINE | re.DOTALL)
SHOWN = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", *sorted((ROOT / "examples").glob("*.py"))]


def test_the_list_is_that_of_the_code() -> None:
    listed, found = LISTED.read_text().splitlines(), public_names()
    again = "python tests/public_names.py > tests/public_names.txt"
    assert sorted({*listed} - {*found}) == [], f"gone; users may have named them. Meant so? CHANGELOG.md, and {again}"
    assert sorted({*found} - {*listed}) == [], f"new: {again}"
    assert listed == found


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_pages_and_examples_import_is_public(path: Path) -> None:
    known = {line.partition("(")[0] for line in LISTED.read_text().splitlines() if line.startswith("preceptor")}
    for module, several, one in IMPORT.findall(path.read_text()):
        for name in re.findall(r"\w+", re.sub(r"#.*| as \w+", "", several or one)):
            assert f"{module}.{name}" in known or f"{module}.{name}" in MODULES
