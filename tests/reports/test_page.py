"""The page template: self-contained, escaped, with the command that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from preceptor.artifacts.provenance import versions
from preceptor.reports.page import write_page

CONTENT: dict[str, Any] = {
    "title": "a < b",
    "columns": ("name", "score"),
    "rows": [("one", "1.0"), ("two", "2.0")],
    "figures": [{"svg": Markup("<svg></svg>"), "caption": "a figure"}],
    "run_columns": ("run",),
    "runs": [
        {"name": "first", "href": "first/result.json", "cells": []},
        {"name": "second", "href": None, "cells": []},
    ],
}


def test_a_page_holds_its_content_and_where_it_came_from(tmp_path: Path) -> None:
    write_page(CONTENT, tmp_path / "new" / "page.html")
    text = (tmp_path / "new" / "page.html").read_text()
    assert "<h1>a &lt; b</h1>" in text
    assert "<td>two</td><td>2.0</td>" in text
    assert "<svg></svg><figcaption>a figure" in text
    assert '<a href="first/result.json">first</a>' in text
    assert "<td>second</td>" in text
    assert f"torch {versions()['torch']}" in text
    assert "has_runs" not in text
    assert "Each run's folder" not in text


def test_the_command_can_be_another(tmp_path: Path) -> None:
    write_page({**CONTENT, "command": "preceptor demo", "versions": "torch 0"}, tmp_path / "page.html")
    assert '<code>preceptor demo</code></p><p class="dim">torch 0</p>' in (tmp_path / "page.html").read_text()
