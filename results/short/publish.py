"""Write the record and the page of a grid of this folder: `python results/short/publish.py NAME ...`.

NAME.yaml in grids/ is the grid, NAME/about.md what is said about it, if anything is; NAME/README.md and NAME/cells.csv are
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
    """Publish the grids of these names."""
    for name in names:
        file = HERE / "grids" / f"{name}.yaml"
        text = file.read_text(encoding="utf-8")
        out, folder = Path(yaml.safe_load(text)["out"]), HERE / name
        preceptor.report(out)
        page = (out / "report.md").read_text(encoding="utf-8").split("\n", 2)[2]
        cells = (out / "report.csv").read_text(encoding="utf-8")
        about = folder / "about.md"
        parts = [
            f"# {text.splitlines()[0].removeprefix('# ')}",
            f"    preceptor grid results/short/grids/{name}.yaml --set data.root=FOLDER_OF_CIFAR --jobs 2",
            about.read_text(encoding="utf-8") if about.exists() else "",
            plain(page),
        ]
        folder.mkdir(exist_ok=True)
        written = "\n\n".join(part.strip("\n") for part in parts if part)
        (folder / "README.md").write_text(f"{written}\n", encoding="utf-8")
        (folder / "cells.csv").write_text(plain(cells), encoding="utf-8")
    return 0


def plain(text: str) -> str:
    """Return the text without links to runs, which are not kept here, and without places of data."""
    return ROOT.sub("data.root=FOLDER_OF_CIFAR", LINK.sub(r"\1", text))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
