"""`preceptor report`: the tables and the page of a grid."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from preceptor.reports import print_report, write_report

__all__ = ["report_verb"]


def report_verb(folder: Path) -> None:
    """Carry out `preceptor report`."""
    made = write_report(folder)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    print_report(made, console)
    console.print(f"Report: {made.page}  (tables: {made.markdown.name}, cells: {made.csv.name})", highlight=False)
