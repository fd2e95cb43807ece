"""`preceptor bench`: a comparison as tables."""

from __future__ import annotations

from rich.table import Table

from preceptor.bench import VARIANTS, Comparison, Job, compare
from preceptor.console import open_console
from preceptor.models import create

__all__ = ["bench_verb"]

_EVALUATED = 1000 / 50_000  # images evaluated per training image, in the CIFAR protocol


def bench_verb(teacher: str, student: str, *, batch_size: int, classes: int, rounds: int, device: str) -> None:
    """Carry out `preceptor bench`."""
    for name in (teacher, student):
        create(name, num_classes=classes, input_shape=(3, 32, 32))  # fail on a wrong name here, not in another process
    console, errors = open_console(), open_console(stderr=True)
    job = Job(teacher, student, batch_size, classes, rounds=rounds, device=device)
    with errors.status("") as status:
        result = compare(job, status.update)
    console.print(
        f"{teacher} -> {student}, batch {batch_size}, {classes} classes, random 32x32 images", highlight=False
    )
    console.print(_speeds(result))
    console.print(_phases(result))
    for variant in result.measured:
        console.print(f"{variant}: {VARIANTS[variant]}", highlight=False, style="dim")


def _speeds(result: Comparison) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "images/s", "+- IQR", "ratio", "peak MiB", "of ceiling", "first step s"):
        table.add_column(heading, justify="left" if not heading else "right")
    for variant, measured in result.measured.items():
        table.add_row(
            variant,
            f"{measured.images_per_second:,.0f}",
            f"{measured.iqr:,.0f}",
            "" if measured.ratio is None else f"{measured.ratio:.2f}x",
            f"{measured.peak_mib:,.0f}",
            f"{100 * measured.ceiling_share:.0f} %",
            f"{measured.first_seconds:.1f}",
        )
    table.caption = f"ceiling: {result.ceiling_flops / 1e12:.2f} TFLOP/s, a large {result.ceiling_dtype} matrix product"
    return table


def _phases(result: Comparison) -> Table:
    """Return milliseconds per step by phase, and the share of a run that evaluation takes."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    phases = {name: measured.phases for name, measured in result.measured.items() if measured.phases}
    table.add_column("ms per step")
    for name in phases:
        table.add_column(name, justify="right")
    for phase in ("data", "teacher", "student forward", "student backward", "optimiser"):
        table.add_row(phase, *(f"{milliseconds[phase]:.1f}" for milliseconds in phases.values()))
    shares = []
    for milliseconds in phases.values():
        evaluating = _EVALUATED * milliseconds["evaluation"]
        training = sum(milliseconds.values()) - milliseconds["evaluation"]
        shares.append(f"{100 * evaluating / (evaluating + training):.1f} %")
    table.add_row("evaluation of 1,000 for every 50,000", *shares)
    return table
