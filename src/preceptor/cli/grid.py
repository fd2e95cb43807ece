"""`preceptor grid`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["grid"]

_OF_CELLS = "Which cells"
_WHERE = "Where they run"


def grid(
    file: Annotated[str | None, typer.Argument(help="a grid file, or the name of a shipped one")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="in place of the file's: seed=3,4 data.root=PATH epochs=2"),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="only these cells and what they need: method=kd")
    ] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="what the file names of your own code or a URL, so that it is used"),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="run the cells that failed once more")] = False,
    status: Annotated[bool, typer.Option("--status", help="show where the cells stand; run nothing")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show cells, expected time and disk; run nothing")] = False,
    list_shipped: Annotated[bool, typer.Option("--list", help="list the shipped grid files")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="cells at a time (default: 1, or a place on each GPU)")
    ] = None,
    gpus: Annotated[str | None, typer.Option(metavar="0,1", help="GPUs to use (default: every cell sees all)")] = None,
    per_gpu: Annotated[int, typer.Option(min=1, help="cells on one GPU")] = 1,
    ranks: Annotated[int | None, typer.Option(min=1, help="processes of each cell, by torchrun")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="of each process (default: processors divided)")] = None,
    slurm: Annotated[
        str | None,
        typer.Option(
            metavar="KEY=VALUE,...", help="submit the cells to SLURM with these options: partition=gpu,time=2:00:00"
        ),
    ] = None,
    ray: Annotated[str | None, typer.Option(metavar="auto|ADDRESS", help="run the cells on a Ray cluster")] = None,
    ray_cpus: Annotated[float, typer.Option(min=0, help="processors that a cell takes of the cluster")] = 1,
    ray_gpus: Annotated[float, typer.Option(min=0, help="GPUs that a cell takes, or a fraction of one")] = 0,
) -> None:
    """Run a grid of teachers and students, resumable: the same command continues where it stopped."""
    from preceptor.cli.experiments import Place, grid_verb, list_grids  # noqa: PLC0415

    if list_shipped or file is None:
        list_grids()
        return
    place = Place(jobs, tuple(gpus.split(",")) if gpus else (), per_gpu, ranks, threads, slurm, ray, ray_cpus, ray_gpus)
    grid_verb(file, changes or [], only or [], place, trust=trust or [], retry=retry, status=status, show_plan=dry_run)
