"""The layout of the house: tests mirror the sources, files and signatures stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES, TESTS = ROOT / "src" / "preceptor", ROOT / "tests"
ACROSS = {TESTS / "across", TESTS / "reliability"}  # tests that go through several packages
WITHOUT = {"__init__.py", "__main__.py"}  # have no test file of their own, unless something is in them
MODULES = sorted(SOURCES.rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_module_has_its_test_file() -> None:
    wanted = {(TESTS / path.relative_to(SOURCES)).with_name(f"test_{path.name}") for path in MODULES}
    exempt = {path for path in wanted if path.name.removeprefix("test_") in WITHOUT}
    there = {path for path in TESTS.rglob("test_*.py") if ACROSS.isdisjoint(path.parents)}
    assert sorted(map(name_of, wanted - exempt - there)) == []


def test_every_test_file_has_its_module() -> None:
    there = [path for path in TESTS.rglob("test_*.py") if ACROSS.isdisjoint(path.parents) and path != Path(__file__)]
    modules = [(SOURCES / path.relative_to(TESTS)).with_name(path.name.removeprefix("test_")) for path in there]
    assert [name_of(path) for path in modules if not path.exists()] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


# what users call or configure: verbs, the options of data sources, losses with their hyperparameters
PUBLIC = (
    "cli/__init__.py",
    "cli/grid.py",
    "api/",
    "exports/export.py",
    "data/sources/",
    "objectives/distill/",
    "objectives/teacher/",
)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_signature_is_long(path: Path) -> None:
    if str(path.relative_to(SOURCES)).startswith(PUBLIC):
        return
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = function.args
            names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
            assert len(set(names) - {"self", "cls"}) <= 8, function.name
