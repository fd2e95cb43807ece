"""`preceptor report`: the tables and the page of a grid."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a grid's folder, or one with run folders below it")],
) -> None:
    """Write a grid's page: ranked tables, tests over seeds, figures, every run; Markdown and CSV beside it."""
    from rich.console import Console  # noqa: PLC0415

    from preceptor.reports import print_report, write_report  # noqa: PLC0415  (slow; help needs none of it)

    made = write_report(folder)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    print_report(made, console)
    console.print(f"Report: {made.page}  (tables: {made.markdown.name}, cells: {made.csv.name})", highlight=False)
