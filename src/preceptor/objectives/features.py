"""How methods choose features by name, and pair the student's with the teacher's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from torch import Tensor

from preceptor.errors import UsageError
from preceptor.models import as_map
from preceptor.objectives.base import BuildContext, FeatureShapes, Taps, teacher_outputs
from preceptor.types import Outputs, Step

__all__ = ["Pairing", "blocks", "maps_of", "match", "need", "pooled_features", "pooled_taps", "pooled_widths"]

PREACT = "_preact"
_Size = tuple[int, ...]


def blocks(offered: FeatureShapes, *, preact: bool = False) -> dict[str, _Size]:
    """Return the outputs of a network's blocks, after their last ReLU or just before it, with their shapes.

    Examples:
        >>> list(blocks({"stem": (4, 8, 8), "block1": (4, 8, 8), "block1_preact": (4, 8, 8), "pooled": (4,)}))
        ['block1']
    """
    return {
        name: shape for name, shape in offered.items() if name.startswith("block") and name.endswith(PREACT) == preact
    }


def match(student: Sequence[_Size], teacher: Sequence[_Size]) -> list[tuple[int, int]]:
    """Return as many pairs (student, teacher) as the shorter list has maps, in order, nearest in resolution.

    The pairs minimise the sum of octaves between their sides; among equals the deepest are taken. Lists of equal length
    are paired one to one.

    Args:
        student: shapes [channels, height, width] of the student's maps, in network order.
        teacher: of the teacher's.

    Examples:
        >>> match([(4, 16, 16), (8, 8, 8)], [(4, 32, 32), (8, 16, 16), (16, 8, 8), (16, 8, 8)])
        [(0, 1), (1, 3)]
    """
    is_turned = len(student) > len(teacher)
    short, long = (teacher, student) if is_turned else (student, teacher)
    chosen = min(
        itertools.combinations(range(len(long)), len(short)),
        key=lambda places: (
            round(sum(_octaves(short[k], long[place]) for k, place in enumerate(places)), 6),
            [-place for place in reversed(places)],
        ),
    )
    return [(place, k) if is_turned else (k, place) for k, place in enumerate(chosen)]


def need(name: str, offered: Collection[str], who: str, method: str) -> str:
    """Return the name of a feature that a method needs; a module path with a dot or a suffix is not checked.

    Raises:
        UsageError: when the network has no such feature.
    """
    if name not in offered and not {".", ":"} & set(name):
        raise UsageError(
            f"method {method} needs feature {name} of the {who}, which offers {', '.join(offered) or 'none'}"
        )
    return name


def pooled_taps(student: FeatureShapes, teacher: FeatureShapes, method: str) -> Taps:
    """Return taps of both networks' pooled features.

    Raises:
        UsageError: when a network has none.
    """
    return Taps((need("pooled", student, "student", method),), (need("pooled", teacher, "teacher", method),))


def pooled_features(step: Step) -> tuple[Tensor, Tensor]:
    """Return the student's and the teacher's pooled features of a step, [batch, dim] each.

    Raises:
        UsageError: when the run has no teacher.
    """
    teacher = teacher_outputs(step)
    return step.student.features["pooled"], teacher.features["pooled"]


def pooled_widths(context: BuildContext) -> tuple[int, int]:
    """Return the widths of the student's and the teacher's pooled features."""
    assert context.teacher is not None
    return context.student.features["pooled"].shape[1], context.teacher.features["pooled"].shape[1]


def maps_of(outputs: Outputs | None, names: Sequence[str], who: str, method: str) -> list[Tensor]:
    """Return the named features as maps [batch, channels, height, width].

    Raises:
        UsageError: when a feature is not a map, or the run has no such network.
    """
    if outputs is None:
        raise UsageError(f"method {method} learns from a {who}, and the run has none")
    maps = [as_map(outputs.features[name]) for name in names]
    for name, value in zip(names, maps, strict=True):
        if value.ndim != 4:
            of_tokens = f"; say on which grid its tokens lie: {name}:HxW" if value.ndim == 3 else ""
            raise UsageError(
                f"method {method} needs maps, and feature {name} of the {who} has shape {tuple(value.shape)}{of_tokens}"
            )
    return maps


class Pairing:
    """Which maps of the student learn from which of the teacher: the user's choice, or matched.

    Args:
        method: for messages.
        user_pairs: the user's choice, student name to teacher name; names or dotted module paths.
        which: "blocks": all blocks' outputs, matched by resolution; "from_the_end": all, the last with the last;
            "second": the second block of each; "last": the last of each.
        stem: whether the stems are paired too, before the blocks.
        neighbours: whether the method compares neighbouring maps, and so needs at least two pairs.
        student_preact: take the student's maps before the last ReLU.
        teacher_preact: the teacher's likewise.
        is_configurable: whether the method lets the user choose pairs, for messages.
    """

    def __init__(
        self,
        method: str,
        user_pairs: Mapping[str, str] | None = None,
        *,
        which: Literal["blocks", "from_the_end", "second", "last"] = "blocks",
        stem: bool = False,
        neighbours: bool = False,
        student_preact: bool = False,
        teacher_preact: bool = False,
        is_configurable: bool = True,
    ) -> None:
        self._method = method
        self._user_pairs = user_pairs
        self._which = which
        self._stem = stem
        self._neighbours = neighbours
        self._is_configurable = is_configurable
        self._preact = {"student": student_preact, "teacher": teacher_preact}
        self.pairs: tuple[tuple[str, str], ...] = ()
        self._left_out: tuple[str, ...] = ()

    def taps(self, student: FeatureShapes, teacher: FeatureShapes) -> Taps:
        """Choose the pairs among the features that the networks have.

        Raises:
            UsageError: when there is nothing to pair, or one pair alone where neighbours are compared.
        """
        if self._user_pairs:
            self.pairs = tuple(self._user_pairs.items())
        else:
            mine, its = self._blocks(student, "student"), self._blocks(teacher, "teacher")
            names = (list(mine), list(its))
            self.pairs = tuple((names[0][s], names[1][t]) for s, t in self._choose(mine, its))
            if self._which in {"blocks", "from_the_end"}:
                self._left_out = (
                    *(f"student's {name}" for name in mine if name not in dict(self.pairs)),
                    *(f"teacher's {name}" for name in its if name not in dict(self.pairs).values()),
                )
            if self._stem:
                stems = need("stem", student, "student", self._method), need("stem", teacher, "teacher", self._method)
                self.pairs = (stems, *self.pairs)
        if self._neighbours and len(self.pairs) < 2:
            only = " -> ".join(self.pairs[0])
            raise UsageError(
                f"method {self._method} compares neighbouring maps, not {only} alone; name two in method.pairs"
            )
        return Taps(tuple(name for name, _ in self.pairs), tuple(name for _, name in self.pairs))

    def shapes(self, context: BuildContext) -> list[tuple[_Size, _Size]]:
        """Return [channels, height, width] of each pair, student first.

        Raises:
            UsageError: when one of them is not a map.
        """
        students = maps_of(context.student, [name for name, _ in self.pairs], "student", self._method)
        teachers = maps_of(context.teacher, [name for _, name in self.pairs], "teacher", self._method)
        return [(tuple(s.shape[1:]), tuple(t.shape[1:])) for s, t in zip(students, teachers, strict=True)]

    def check_channels(self, context: BuildContext) -> None:
        """Check that student and teacher have equal channels in each pair.

        Raises:
            UsageError: when they have not, or one of them is not a map.
        """
        for (mine, its), (student, teacher) in zip(self.pairs, self.shapes(context), strict=True):
            if student[0] != teacher[0]:
                raise UsageError(
                    f"method {self._method} needs equal channels, and the student's {mine} has {student[0]}, the teacher's "
                    f"{its} {teacher[0]}"
                )

    def maps(self, step: Step) -> tuple[list[Tensor], list[Tensor]]:
        """Return the student's and the teacher's maps of a step, in pairs.

        Raises:
            UsageError: when the run has no teacher.
        """
        teacher = teacher_outputs(step)
        students = [as_map(step.student.features[name]) for name, _ in self.pairs]
        return students, [as_map(teacher.features[name]) for _, name in self.pairs]

    def notes(self) -> tuple[str, ...]:
        """Name the pairs, and the blocks that have no partner."""
        left_out = f"; left out: {', '.join(self._left_out)}" if self._left_out else ""
        return (f"pairs {', '.join(f'{s} -> {t}' for s, t in self.pairs)} (student -> teacher){left_out}",)

    def _blocks(self, offered: FeatureShapes, who: str) -> dict[str, _Size]:
        shapes = blocks(offered, preact=self._preact[who])
        if len(shapes) < (2 if self._which == "second" else 1):
            kind = "feature maps before the last ReLU" if self._preact[who] else "feature maps"
            raise UsageError(
                f"method {self._method} needs {kind}, and the {who} offers {', '.join(offered) or 'none'}"
                + ("; name them with method.pairs={STUDENT_MODULE: TEACHER_MODULE}" if self._is_configurable else "")
            )
        return shapes

    def _choose(self, student: Mapping[str, _Size], teacher: Mapping[str, _Size]) -> list[tuple[int, int]]:
        if self._which == "second":
            return [(1, 1)]
        if self._which == "last":
            return [(len(student) - 1, len(teacher) - 1)]
        if self._which == "blocks":
            return match(list(student.values()), list(teacher.values()))
        levels = min(len(student), len(teacher))
        return [(len(student) - levels + k, len(teacher) - levels + k) for k in range(levels)]


def _octaves(one: _Size, other: _Size) -> float:
    """Return how many doublings lie between the sides of two maps."""
    sides = zip(one[1:], other[1:], strict=False)
    return sum(abs(math.log2(mine / its)) for mine, its in sides)
