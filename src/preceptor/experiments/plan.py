"""From the combinations of a grid to its cells: each made once, teachers and stored outputs shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from preceptor.config.objective import reads_logits_only
from preceptor.config.sections import TeacherSection
from preceptor.config.terms import resolve_terms
from preceptor.errors import UsageError
from preceptor.experiments.cells import Cell, Taught
from preceptor.experiments.choices import Scalar, agrees
from preceptor.experiments.combinations import Combination, combinations
from preceptor.experiments.grid_file import GridFile, Where
from preceptor.experiments.recipes import digest
from preceptor.experiments.serving import Serving, Stop, run_length, run_of, serve
from preceptor.messages import did_you_mean, first_few

__all__ = ["make_cells", "matching"]


def make_cells(file: GridFile, trusted: frozenset[str] | None = None) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """Return the cells of a grid file, each after those it needs, and notes for the user.

    Args:
        file: the grid file.
        trusted: what in it may load code or reach the network; None: anything.

    Raises:
        UsageError: for anything wrong in the file: one line with the place.
    """
    wanted = _without_excluded(file, list(combinations(file, trusted)))
    cells, notes = _Cells(file, wanted), _Live()
    for each in wanted:
        taught = cells.teacher(each) if each.teach is not None else None
        if each.distill is None:
            continue
        labels = None
        if each.label is not None:
            labels = cells.labels(each, taught) if notes.can_use_labels(each) else None
        cells.student(each, taught, labels)
    made = tuple(cells.by_id.values())
    for condition in ([file.baseline] if file.baseline else []) + [each.where for each in file.published]:
        if not matching(file, condition, made):
            raise file.fail(condition.place, "matches no cell")
    return made, notes.lines()


def matching(file: GridFile, where: Where, cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that a condition names.

    Raises:
        UsageError: when it names a choice that no cell has.
    """
    known = _known([cell.choices for cell in cells])
    for name in where.choices:
        if name not in known:
            raise file.fail(f"{where.place}.{name}", f"no such choice{did_you_mean(name, known)}")
    return [
        cell
        for cell in cells
        if all(
            name in cell.choices and agrees(wanted, cell.choices[name], cell.values[name], known[name])
            for name, wanted in where.choices.items()
        )
    ]


def _without_excluded(file: GridFile, wanted: list[Combination]) -> list[Combination]:
    known = _known([each.labels for each in wanted])
    left = wanted
    for where in file.exclude:
        for name in where.choices:
            if name not in known:
                raise file.fail(f"{where.place}.{name}", f"no such choice{did_you_mean(name, known)}")
        kept = [
            each
            for each in left
            if not all(
                agrees(value, each.labels[name], each.values[name], known[name])
                for name, value in where.choices.items()
            )
        ]
        if len(kept) == len(left):
            raise file.fail(where.place, "matches no cell")
        left = kept
    if not left:
        raise file.fail("exclude", "leaves no cell")
    return left


def _known(choices: Sequence[Mapping[str, Scalar]]) -> dict[str, list[Scalar]]:
    """Return the values that there are of each choice."""
    known: dict[str, dict[Scalar, None]] = {}
    for each in choices:
        for name, label in each.items():
            known.setdefault(name, {})[label] = None
    return {name: list(labels) for name, labels in known.items()}


class _Cells:
    """Cells by id, in the order in which they are made."""

    def __init__(self, file: GridFile, wanted: Sequence[Combination]) -> None:
        self.by_id: dict[str, Cell] = {}
        self._file = file
        self._made_of: dict[str, Combination] = {}
        self._serving: dict[tuple[str, ...], Serving] = {}  # by the words of the teacher's command
        self._stops: dict[str, dict[Stop, None]] = {}  # what is asked of each run of a teacher
        for each in wanted:
            if each.teach is not None:
                self._stops.setdefault(run_of(each.teach), {})[each.teach.stop_at] = None

    def teacher(self, each: Combination) -> Taught:
        """Return whose state teaches, and make its cell where there is none."""
        recipe = each.teach
        assert recipe is not None
        total = run_length(recipe)
        if recipe.stop_epoch is not None and total is not None and recipe.stop_epoch > total:
            place = next((c.place for name, c in each.chosen.items() if name in {"stop_at", "teach.stop_at"}), "teach")
            raise self._file.fail(place, f"stop_at: epoch {recipe.stop_epoch} is not in 1..{total}")
        serving = self._serving.get(each.words["teach"])
        if serving is None:
            serving = serve(recipe, list(self._stops[run_of(recipe)]), self._file.cells)
            self._serving[each.words["teach"]] = serving
        own = {name: label for name, label in each.labels.items() if name in each.of_teacher and name != "pair"}
        choices = {"model": recipe.model.name, "objective": each.labels["objective"], **own, "stop_at": serving.stop_at}
        words = tuple(word for word in each.words["teach"] if not word.startswith("stop_at="))
        cell = self._add(
            each,
            Cell(
                id=serving.id,
                verb="teach",
                choices=choices,
                values={**choices, **{name: each.values[name] for name in own if name != "stop_at"}},
                seed=recipe.seed,
                words=words if serving.stop_at == "last" else (*words, f"stop_at={serving.stop_at}"),
                folder=self._file.cells,
                kept=() if serving.epoch is None else (serving.epoch,),
                epochs=serving.stop_at if isinstance(serving.stop_at, int) else total,
                kind=serving.kind,
                recipe=recipe.model_copy(update={"stop_at": serving.stop_at}),
            ),
        )
        return Taught(cell.id, serving.epoch)

    def labels(self, each: Combination, taught: Taught | None) -> str:
        """Return the cell that stores a teacher's outputs, and make it where there is none."""
        recipe = each.label
        assert recipe is not None
        teacher = _stated(recipe.teacher) if taught is None else _state(each)
        listed = {name for name, choice in each.chosen.items() if choice.place.startswith("label.")}
        names = {*each.of_teacher, "objective", "stop_at", *listed} - {"pair"}
        own = {name: label for name, label in each.labels.items() if name in names}
        model = {} if each.teach is None else {"model": each.teach.model.name}
        cell = Cell(
            id=f"label-{digest(recipe, without=('batch_size',), teacher=teacher)}",
            verb="label",
            choices={**model, **own},
            values={**model, **{name: each.values[name] for name in own}},
            seed=each.seed,
            words=each.words["label"],
            folder=self._file.cells,
            teacher=taught,
            epochs=recipe.views,
            kind=digest(recipe, without=("seed",), teacher=model),
            recipe=recipe,
        )
        return self._add(each, cell).id

    def student(self, each: Combination, taught: Taught | None, labels: str | None) -> None:
        """Make the cell of a student.

        Raises:
            UsageError: when another combination makes the same one.
        """
        recipe = each.distill
        assert recipe is not None
        stated = _stated(recipe.teacher, without={"path", "model", "epoch"} if taught else set())
        teacher = stated if taught is None else {**stated, "state": _state(each)}
        network = None if each.teach is None else each.teach.model.name
        made = {} if labels is None else {"labels": labels}
        cell = Cell(
            id=f"distill-{digest(recipe, teacher=teacher, **made)}",
            verb="distill",
            choices=each.labels,
            values=each.values,
            seed=recipe.seed,
            words=each.words["distill"],
            folder=self._file.cells,
            teacher=taught,
            labels=labels,
            epochs=run_length(recipe),
            kind=digest(recipe, without=("seed",), teacher=network, labels=labels is not None),
            recipe=recipe,
        )
        if cell.id in self.by_id:
            raise self._same(each, self._made_of[cell.id])
        self._add(each, cell)

    def _add(self, each: Combination, cell: Cell) -> Cell:
        before = self.by_id.get(cell.id)
        if before is not None:  # shared: it is called what all who share it call it, and keeps what any of them needs
            shared = {name: label for name, label in before.choices.items() if cell.choices.get(name) == label}
            kept = tuple(sorted({*before.kept, *cell.kept}))
            cell = replace(before, choices=shared, values={name: before.values[name] for name in shared}, kept=kept)
            if each.distill is None and each.labels["stop_at"] == self._made_of[cell.id].labels["stop_at"]:
                raise self._same(each, self._made_of[cell.id])
        self.by_id[cell.id] = cell
        self._made_of.setdefault(cell.id, each)
        return cell

    def _same(self, each: Combination, other: Combination) -> UsageError:
        differing = [
            (choice, other.chosen[name]) for name, choice in each.chosen.items() if choice != other.chosen[name]
        ]
        if not differing:
            return self._file.fail("seed", f"{each.seed} and {other.seed} make the same cells")
        here, there = differing[0]
        return self._file.fail(here.place, f"makes the same cells as {there.place}")


class _Live:
    """Which students cannot learn from stored outputs, and why."""

    def __init__(self) -> None:
        self._reasons: dict[str, int] = {}

    def can_use_labels(self, each: Combination) -> bool:
        """Return whether a student can learn from stored outputs."""
        recipe = each.distill
        assert recipe is not None
        reason = None
        if recipe.inputs.name != "real":
            reason = f"inputs {recipe.inputs.name}"
        elif recipe.unlabelled is not None or recipe.data.labelled_fraction is not None:
            reason = "samples without labels"
        elif recipe.teacher.anchors is not None or recipe.teacher.truth or recipe.teacher.assistants:
            reason = "another teacher beside it"
        elif not reads_logits_only(resolve_terms(recipe.method, "method", has_teacher=True)):
            reason = f"method {each.labels['method']}"
        if reason is not None:
            self._reasons[reason] = self._reasons.get(reason, 0) + 1
        return reason is None

    def lines(self) -> tuple[str, ...]:
        """Return a line on those students, if there are any."""
        if not self._reasons:
            return ()
        number = sum(self._reasons.values())
        return (f"label: {number} students learn from the live teacher ({first_few(list(self._reasons), 5)})",)


def _stated(section: TeacherSection, without: Set[str] = frozenset()) -> dict[str, Any]:
    """Return what a file says of a teacher, without defaults: those that later versions add change no cell's name."""
    return section.model_dump(mode="json", exclude_defaults=True, exclude=set(without))


def _state(each: Combination) -> str:
    assert each.teach is not None
    return digest(each.teach)
