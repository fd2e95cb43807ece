"""Damaged files, one at a time: a copy of the world, one damage, one command, one word."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaign.child import Child, Ended, command, fork, watch_outside
from campaign.damage import NotApplicable, damage, kinds_of
from campaign.judge import BAD, content_of, judged, result_of
from campaign.subjects import SUBJECTS, Subject
from campaign.world import World

__all__ = ["Mutations", "pairs"]

_SHORTEST, _FACTOR = 20.0, 6.0  # seconds that a command may take, and times what it takes undamaged

Row = dict[str, Any]


def pairs(seed: int, subjects: Sequence[Subject] = SUBJECTS) -> list[tuple[Subject, str]]:
    """Return every file with every damage that it can take, in a seeded order."""
    made = [
        (each, kind)
        for each in subjects
        for kind in kinds_of(each.form, has_other=each.other is not None)
        if not (kind == "missing" and each.may_be_missing)
    ]
    random.Random(seed).shuffle(made)
    return made


@dataclass(frozen=True, slots=True)
class _Undamaged:
    ended: Ended
    result: Any


class Mutations:
    """Damages files of a world.

    Args:
        world: that is copied.
        work: where copies are made; they are deleted.
        seed: of what is drawn.
    """

    def __init__(self, world: World, work: Path, seed: int = 0) -> None:
        self._world = world
        self._work = work
        self._seed = seed
        self._undamaged: dict[str, _Undamaged] = {}

    def row(self, number: int, subject: Subject, kind: str) -> Row:
        """Carry out a command on a damaged file, and return what became of it.

        Args:
            number: of the mutation: with the seed it decides what is drawn.
            subject: the file and the command.
            kind: of damage.
        """
        undamaged = self._of(subject)
        folder = self._copied(subject, f"mutation-{number}")
        try:
            path, other = _only(folder, subject.file), subject.other and _only(folder, subject.other)
            before, chance = content_of(subject, path), random.Random(f"{self._seed} {number}")
            try:
                what = damage(kind, path, subject.form, other or None, chance)
            except NotApplicable:
                return {"n": number, "file": subject.name, "kind": kind, "outcome": "not applicable"}
            content = "same" if before is not None and content_of(subject, path) == before else "other"
            ended = _started(subject, folder).wait(max(_SHORTEST, _FACTOR * undamaged.ended.seconds))
            result = _tried(lambda: result_of(subject.result, folder, ended.out)) if ended.status == 0 else None
            if content == "other" and content_of(subject, path) == before:
                content = "mended"
            same, name = None if ended.status else result == undamaged.result, path.name
            is_named = isinstance(result, str) and result.count(name) > str(undamaged.result).count(name)
            outcome = judged(subject, ended, undamaged.ended, same=same, content=content, is_in_result=is_named)
        finally:
            _delete(folder)
        row = {"n": number, "file": subject.name, "kind": kind, "outcome": outcome, "seconds": round(ended.seconds, 2)}
        if outcome in BAD:
            row |= {"what": what, "command": " ".join(subject.words), "said": _last_words(ended)}
        return row

    def _of(self, subject: Subject) -> _Undamaged:
        """Return the command's end on the undamaged file.

        Raises:
            RuntimeError: when it fails, or says something else the second time.
        """
        if subject.name not in self._undamaged:
            made = []
            for number in range(2):
                folder = self._copied(subject, f"undamaged-{number}")
                ended = _started(subject, folder).wait(300)
                if ended.status:
                    raise RuntimeError(f"{subject.name}: the command fails on the undamaged file\n{ended.err[-2000:]}")
                made.append(_Undamaged(ended, result_of(subject.result, folder, ended.out)))
                _delete(folder)
            if made[0].result != made[1].result:
                raise RuntimeError(f"{subject.name}: the command ends otherwise each time")
            self._undamaged[subject.name] = made[1]
        return self._undamaged[subject.name]

    def _copied(self, subject: Subject, name: str) -> Path:
        folder = self._work / name
        _delete(folder)
        self._world.copy(subject.needs, folder)
        return folder


def _started(subject: Subject, folder: Path) -> Child:
    return fork(command(subject.words), folder, watch=watch_outside)


def _only(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0] if "*" in pattern else folder / pattern


def _tried(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Exception as error:  # the command ended well, and what it should have made is not there
        return f"no result: {error!r}"


def _last_words(ended: Ended) -> str:
    lines = [line for line in (ended.err or ended.out).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("error: ", "reached out: "))]
    return ((errors or lines or [""])[-1])[:300]


def _delete(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
