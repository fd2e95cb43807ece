"""`preceptor predict`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["predict"]


def predict(
    path: Annotated[Path, typer.Argument(help="an exported file, a folder for the Hub or a run folder")],
    samples: Annotated[
        list[str],
        typer.Argument(
            help="image files or folders of them; .csv, .tsv or .parquet files; texts, or .txt files with one a line"
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="number of classes per sample")] = 1,
    model: Annotated[
        str | None, typer.Option(metavar="PKG.MODULE:FACTORY", help="the network, where it was passed from Python")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="of texts (default: that of the run's data)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Predict the classes of images, rows of tables or texts with an exported student or a run."""
    from preceptor.cli.export import predict_verb  # noqa: PLC0415

    predict_verb(path, samples, top=top, model=model, tokenizer=tokenizer, as_json=as_json)
