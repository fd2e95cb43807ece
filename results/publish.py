"""Write the record and the page of a grid, once its cells are done: `python results/publish.py FOLDER ...`.

FOLDER/grid.yaml is the grid, FOLDER/about.md what is said about it, if anything is; FOLDER/README.md and FOLDER/cells.csv are
written. Data folders are left out of commands.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

import preceptor

HERE = Path(__file__).parent
LINK = re.compile(r"\[([^]]+)]\(\.\./cells/[^)]*\)")
ROOT = re.compile(r"data\.root=\S+")


def main(names: Sequence[str]) -> int:
    """Publish the grids of these folders."""
    for name in names:
        folder = HERE / name
        text = (folder / "grid.yaml").read_text(encoding="utf-8")
        out = Path(yaml.safe_load(text)["out"])
        preceptor.report(out)
        (folder / "README.md").write_text(page(folder, text, out), encoding="utf-8")
        (folder / "cells.csv").write_text(plain((out / "report.csv").read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def page(folder: Path, text: str, out: Path) -> str:
    """Return a title and a command, both from the grid file's first comment, what is said about it, and the report."""
    comment = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
    command = next(line for line in comment if line.startswith("preceptor grid"))
    about = folder / "about.md"
    said = about.read_text(encoding="utf-8").strip() if about.exists() else ""
    report = plain((out / "report.md").read_text(encoding="utf-8")).split("\n", 2)[2].strip()
    return "\n\n".join(part for part in (f"# {comment[0]}", f"    {command}", said, report) if part) + "\n"


def plain(text: str) -> str:
    """Return the text without links to runs, which are not kept here, and without places of data."""
    return ROOT.sub("data.root=FOLDER_OF_CIFAR", LINK.sub(r"\1", text))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
