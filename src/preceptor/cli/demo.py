"""`preceptor demo`: teachers and students end to end in a minute or two, on data inside the installation."""

from __future__ import annotations

from pathlib import Path

import torch

from preceptor.artifacts.own_files import remove_run
from preceptor.config.overrides import make_recipe
from preceptor.config.sections import DistillRecipe, TeachRecipe
from preceptor.console import open_console
from preceptor.errors import UsageError
from preceptor.files import make_folder
from preceptor.reports import BASELINE, print_summary, summarise_demo, write_demo_page
from preceptor.runner.run import run

__all__ = ["demo_verb"]

_TEACHERS = (BASELINE, "brier", "soteacher")
# Few samples and many epochs: the teachers converge on the drawn labels, the regime of the three papers.
_DATA = [
    "data=ambiguous_digits",
    "data.samples=1200",
    "data.test_samples=4000",
    "engine=plain",
]  # plain: the same on any machine
_TEACHER = [*_DATA, "model=convnet_m", "epochs=40"]
_STUDENT = [*_DATA, "model=convnet_s", "epochs=40", "method=kd"]
_TRUTH = ["teacher.truth=true", "method.temperature=1"]  # a distribution, not logits: softening would blur it
_MARK = ".preceptor-demo"


def demo_verb(out: Path, seeds: int) -> None:
    """Carry out `preceptor demo`."""
    _empty_folder(out)
    torch.set_num_threads(1)  # networks this small lose more to a second thread than they win
    console = open_console(width_of_files=120)
    console.print(
        f"preceptor demo: {len(_TEACHERS)} teachers x {seeds} seed{'s' * (seeds != 1)}, a student of each and of the truth, "
        "on handwritten digits blended so that the true label distribution is known",
        highlight=False,
    )
    for name in _TEACHERS:
        for seed in range(seeds):
            words = [f"objective={name}", f"seed={seed}", f"out={out}/teachers/{name}-seed{seed}"]
            run(
                make_recipe(TeachRecipe, overrides=[*_TEACHER, *words]), title=f"teacher {name} seed {seed}", brief=True
            )
    for name in (*_TEACHERS, "true_distribution"):
        for seed in range(seeds):
            source = _TRUTH if name not in _TEACHERS else [f"teacher={out}/teachers/{name}-seed{seed}"]
            words = [*source, f"seed={seed}", f"out={out}/students/{name}-seed{seed}"]
            run(
                make_recipe(DistillRecipe, overrides=[*_STUDENT, *words]),
                title=f"student of {name} seed {seed}",
                brief=True,
            )
    summary = summarise_demo(out)
    console.print()
    print_summary(summary, console)
    page = write_demo_page(summary, out)
    console.print(f"\nReport: {page}", highlight=False)


def _empty_folder(out: Path) -> None:
    if out.exists() and any(out.iterdir()) and not (out / _MARK).exists():
        raise UsageError(f"out: {out} is not empty and holds no demo; choose another folder with --out")
    for folder in [*out.glob("teachers/*-seed*"), *out.glob("students/*-seed*")]:
        remove_run(folder)
    make_folder(out)
    (out / _MARK).touch()
