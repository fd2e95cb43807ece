"""Every page has its place on the site, every public name its place in the reference; nothing comes from elsewhere."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from preceptor.cli import app
from public_names import MODULES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PUBLIC = {  # package: the page of the reference that lists its names
    "preceptor": "verbs",
    "preceptor.errors": "verbs",
    "preceptor.objectives.distill": "losses",
    "preceptor.objectives.teacher": "losses",
    "preceptor.objectives.base": "objectives",
    "preceptor.objectives.weighted": "objectives",
    "preceptor.objectives.schedules": "objectives",
    "preceptor.types": "objectives",
    "preceptor.divergences": "objectives",
    "preceptor.data": "data",
    "preceptor.data.augment.mixtures": "data",
    "preceptor.models": "models",
    "preceptor.training": "training",
    "preceptor.labels": "training",
    "preceptor.assessment": "assessment",
}


def pages(nav: Any) -> Iterator[str]:
    """Yield the pages of the navigation."""
    if isinstance(nav, str):
        yield nav
    for each in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from pages(each)


def test_every_page_has_one_place_on_the_site() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert sorted(pages(site["nav"])) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_the_groups_of_methods_are_those_of_their_table() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    (methods,) = (part["Methods"] for part in site["nav"] if "Methods" in part)
    groups = {
        title: [Path(page).stem for page in pages(found)] for each in methods[1:] for title, found in each.items()
    }
    sections = re.split(r"^## ", (DOCS / "methods" / "index.md").read_text(), flags=re.M)[1:]
    table = {text.splitlines()[0]: re.findall(r"^\| \[`(\w+)`\]", text, re.M) for text in sections}
    assert {title: keys for title, keys in groups.items() if title != "Teachers"} == {
        title: keys for title, keys in table.items() if keys
    }


def test_the_reference_has_every_public_module() -> None:
    assert set(MODULES) <= set(PUBLIC)


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_is_in_the_reference(package: str) -> None:
    """By the directive of its package, by one of its own, or in a table."""
    page, module = (DOCS / "reference" / f"{PUBLIC[package]}.md").read_text(), importlib.import_module(package)
    rendered = f"::: {package}\n" in page
    for name in module.__all__:
        value = getattr(module, name)
        is_rendered = rendered and (inspect.isclass(value) or inspect.isfunction(value)) and bool(value.__doc__)
        shadowed = (Path(module.__file__ or "").parent / f"{name}.py").exists() and Path(
            module.__file__ or ""
        ).stem == "__init__"
        assert (
            (is_rendered and not shadowed)
            or f"::: {package}.{name}\n" in page
            or f"::: {getattr(value, '__module__', '')}.{name}\n" in page
            or re.search(rf"`(preceptor\.)?{name}`", page)
        ), name


def test_every_command_is_in_the_reference() -> None:
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    page = (DOCS / "reference" / "verbs.md").read_text()
    assert sorted(re.findall(r"^\| `preceptor (\w+)`", page, re.M)) == sorted(commands)


def test_examples_keep_their_lines() -> None:
    """The site shows doctests as code under "Examples:" alone."""
    sources = (ROOT / "src").rglob("*.py")
    assert [str(path) for path in sources if re.search(r"^ *Example:$", path.read_text(), re.M)] == []


def test_nothing_is_loaded_from_another_host() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert site["theme"]["font"] is False
    assert "http" not in str([site["extra_css"], site.get("extra_javascript", [])])
    assert re.findall(r"!\[[^\]]*\]\(http", "".join(path.read_text() for path in DOCS.rglob("*.md"))) == []
