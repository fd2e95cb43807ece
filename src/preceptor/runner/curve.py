"""A student from each epoch that a teacher's run kept (`preceptor curve`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from preceptor.artifacts.load import load_run_network
from preceptor.artifacts.run_folder import RunFolder
from preceptor.config.sections import DistillRecipe
from preceptor.errors import UsageError
from preceptor.messages import first_few
from preceptor.runner.assess import Candidate, assess_candidates
from preceptor.runner.data import load_data
from preceptor.runner.run import run
from preceptor.training import choose_engine

__all__ = ["Point", "curve"]


@dataclass(frozen=True, slots=True)
class Point:
    """A kept epoch of a teacher, and the student distilled from it.

    Attributes:
        epoch: of the teacher.
        teacher: its scores on validation, by name; on test where there is no validation.
        teacher_test: its scores on test.
        student_test: the student's scores on test.
        student: the student's run folder.
    """

    epoch: int
    teacher: dict[str, float]
    teacher_test: dict[str, float]
    student_test: dict[str, float]
    student: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def curve(recipe: DistillRecipe, *, show: bool = True, tell: Callable[[str], None] = lambda line: None) -> list[Point]:
    """Distil a student from every kept epoch of `recipe.teacher.path`, in runs below `recipe.out`, and measure both.

    Args:
        recipe: of the students; its teacher is one run folder. Students that have finished before are kept, unless
            `recipe.overwrite`.
        show: whether to show each run's progress.
        tell: is called with a line per epoch.

    Raises:
        UsageError: when the teacher is not one run folder with kept epochs, `out` is missing, or a student in it has learnt from
            another teacher.
    """
    path = recipe.teacher.path
    if not isinstance(path, str) or not Path(path).is_dir():
        raise UsageError(f"teacher: a curve needs one run folder, got {path}")
    if recipe.out is None:
        raise UsageError("out: a curve needs a folder for its students")
    folder = RunFolder(path)
    kept = folder.kept_epochs()
    if not kept:
        raise UsageError(f"teacher: {folder.path} kept no epochs; teach with keep_every=N")
    stated = [name for name in folder.read_record().checksums if "/epoch_" in name]
    if lost := [name for name in stated if not (folder.path / name).exists()]:
        tell(
            f"note: {folder.path} kept {first_few(lost, 3)} too, and {'it is' if len(lost) == 1 else 'they are'} missing"
        )
    data, engine = load_data(recipe.data), choose_engine(recipe.device)
    points: list[Point] = []
    for epoch in kept:
        tell(f"teacher epoch {epoch} ({len(points) + 1} of {len(kept)})")
        network = load_run_network(
            folder,
            kept[epoch],
            model=recipe.teacher.model,
            data=data,
            key="teacher.model",
            classes=recipe.teacher.classes,
        )
        teacher = Candidate(f"epoch {epoch}", network)
        (assessment,) = assess_candidates([teacher], data, engine, workers=recipe.workers)
        out = f"{recipe.out}/epoch_{epoch:04d}"
        update = {
            "teacher": recipe.teacher.model_copy(update={"epoch": epoch}),
            "out": out,
            "resume": not recipe.overwrite,
        }
        student = run(recipe.model_copy(update=update), show=show, title=f"student of epoch {epoch}")
        scores = assessment.test if assessment.validation is None else assessment.validation
        points.append(
            Point(
                epoch=epoch,
                teacher=scores.as_dict(),
                teacher_test=assessment.test.as_dict(),
                student_test=dict(student.record.test),
                student=out,
            )
        )
    return points
