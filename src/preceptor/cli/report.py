"""`preceptor report`: the tables and the page of a grid, or of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="a grid's folder, one with run folders below it, or a run")
    ],
    track: Annotated[
        list[str] | None, typer.Option(help="wandb, mlflow or trackio, which gets the files; for several, once each")
    ] = None,
) -> None:
    """Write a grid's page: ranked tables, tests over seeds, figures, every run; or the page of one run."""
    from preceptor.api.reporting import report as write  # noqa: PLC0415  (slow; help needs none of it)
    from preceptor.reports import print_report  # noqa: PLC0415

    made = write(folder, track=track or ())
    from preceptor.console import open_console  # noqa: PLC0415

    console = open_console(width_of_files=160)
    print_report(made, console)
    beside = [f"{what}: {path.name}" for what, path in (("tables", made.markdown), ("rows", made.csv)) if path]
    in_brackets = f"  ({', '.join(beside)})" if beside else ""
    console.print(f"Report: {made.page}{in_brackets}", highlight=False)
