"""`preceptor report`: the tables and the page of a grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a grid's folder, or one with run folders below it")],
    track: Annotated[
        list[str] | None, typer.Option(help="wandb, mlflow or trackio, which gets the files; for several, once each")
    ] = None,
) -> None:
    """Write a grid's page: ranked tables, tests over seeds, figures, every run; Markdown and CSV beside it."""
    from preceptor.api.reporting import report as write  # noqa: PLC0415  (slow; help needs none of it)
    from preceptor.reports import print_report  # noqa: PLC0415

    made = write(folder, track=track or ())
    from preceptor.console import open_console  # noqa: PLC0415

    console = open_console(width_of_files=160)
    print_report(made, console)
    console.print(f"Report: {made.page}  (tables: {made.markdown.name}, cells: {made.csv.name})", highlight=False)
