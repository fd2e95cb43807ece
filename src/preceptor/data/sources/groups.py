"""Classes merged into groups, for example CIFAR-10 into two classes of five (CIFAR-2x5).

Source of the setting: Müller, Kornblith, Hinton, "Subclass Distillation" (2020, arXiv 2002.03936).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from preceptor.data.dataset import Source
from preceptor.data.split import Arrays, Split
from preceptor.errors import UsageError

__all__ = ["Groups", "regrouped"]

Groups = Sequence[Sequence[int]]


def regrouped(source: Source, groups: object) -> Source:
    """Return a source with classes merged into groups: names joined by "+", true probabilities added.

    Args:
        source: its splits are in memory.
        groups: the old classes of each new class, every one once, as in `Groups`; None: return the source as it is.

    Raises:
        UsageError: for fewer than two groups, an unknown class, or a class that is in two groups or in none.
    """
    if groups is None:
        return source
    checked = _checked(groups, len(source.class_names))
    group_of = torch.empty(len(source.class_names), dtype=torch.int64)
    for number, group in enumerate(checked):
        group_of[list(group)] = number
    names = tuple("+".join(source.class_names[label] for label in group) for group in checked)
    return replace(
        source,
        train=_regrouped(source.train, group_of),
        test=_regrouped(source.test, group_of),
        class_names=names,
        notes=(*source.notes, f"groups: {len(source.class_names)} classes as {len(names)}: {', '.join(names)}"),
    )


def _checked(groups: object, num_classes: int) -> Groups:
    where = "data.groups"
    if not isinstance(groups, list | tuple) or not all(isinstance(group, list | tuple) and group for group in groups):
        raise UsageError(f"{where}: {groups!r} is no list of lists of classes, as in [[0,1],[2,3]]")
    if len(groups) < 2:
        raise UsageError(f"{where}: {len(groups)} group; at least two are needed")
    listed = [label for group in groups for label in group]
    if not all(type(label) is int and 0 <= label < num_classes for label in listed):
        raise UsageError(f"{where}: {groups!r} has entries other than classes 0..{num_classes - 1}")
    left_out = sorted(set(range(num_classes)) - set(listed))
    twice = sorted({label for label in listed if listed.count(label) > 1})
    if left_out or twice:
        wrong = f"class {twice[0]} is in two groups" if twice else f"class {left_out[0]} is left out"
        raise UsageError(f"{where}: {wrong}; every class belongs to one group")
    return groups


def _regrouped(split: Split, group_of: Int[Tensor, " classes"]) -> Arrays:
    assert isinstance(split, Arrays), "only sources in memory are regrouped"
    truth = None
    if split.truth is not None:
        truth = split.truth.new_zeros(len(split), 1 + int(group_of.max())).index_add_(1, group_of, split.truth)
    return Arrays(split.values, group_of[split.labels], truth, split.numbers)
