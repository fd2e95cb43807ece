"""`preceptor curve`: from words to a table and a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from preceptor.api.reporting import draw_run
from preceptor.artifacts.provenance import command_line
from preceptor.artifacts.run_folder import RunFolder, network_of
from preceptor.config.overrides import make_recipe
from preceptor.config.sections import DistillRecipe
from preceptor.config.terms import name_of
from preceptor.config.trust import check_named, reaching_out
from preceptor.console import open_console
from preceptor.distributed import join_processes
from preceptor.errors import UsageError
from preceptor.files import write_text
from preceptor.reports import print_curve, write_curve_page
from preceptor.runner.curve import curve

__all__ = ["curve_verb"]


def curve_verb(teacher: str, words: Sequence[str]) -> None:
    """Carry out `preceptor curve`."""
    if "=" in teacher:
        raise UsageError(
            f"{teacher}: the first word is the teacher's run folder; preceptor curve RUN model=... out=..."
        )
    config = RunFolder(teacher).read_config()
    values = {"data": config["data"], "teacher": teacher}
    recipe = make_recipe(DistillRecipe, values, words, network_of=network_of)
    check_named(reaching_out(recipe), words, f"run {teacher}")  # its data
    is_first = join_processes().is_first
    console = open_console(stderr=True, quiet=not is_first)
    points = [point.as_dict() for point in curve(recipe, tell=lambda line: console.print(line, highlight=False))]
    if not is_first:
        return
    for point in points:
        draw_run(Path(point["student"]))
    print_curve(points, open_console())
    assert recipe.out is not None
    out = Path(recipe.out)
    write_text(out / "curve.json", json.dumps({"command": command_line(), "points": points}, indent=1) + "\n")
    subtitle = f"teacher {teacher}, students {recipe.model.name} by {name_of(recipe.method)}"
    write_curve_page(points, out / "curve.html", subtitle=subtitle)
    open_console().print(f"Page: {out / 'curve.html'}", highlight=False)
