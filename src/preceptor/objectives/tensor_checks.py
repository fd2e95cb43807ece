"""Checks of the tensors that are a loss's arguments: one line that names the argument.

They look at types and shapes only, so that nothing waits for a device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = [
    "check_channels",
    "check_classes",
    "check_embeddings",
    "check_levels",
    "check_logits",
    "check_maps",
    "check_neighbours",
    "check_rows",
    "check_shapes",
    "check_targets",
]

_AXES = {2: "[batch, classes]", 4: "[batch, channels, height, width]"}


def check_logits(student_logits: Tensor, teacher_logits: Tensor) -> None:
    """Check that two networks' logits are of the same samples and classes.

    Raises:
        ValueError: when they are not.
    """
    _check(student_logits, "student_logits", 2)
    _check(teacher_logits, "teacher_logits", 2)
    check_shapes(student_logits, teacher_logits, "student_logits and teacher_logits")


def check_classes(labels: Tensor, logits: Tensor) -> None:
    """Check that labels are one class per row of logits.

    Raises:
        ValueError: when they are not.
    """
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != logits.shape[:1]:
        raise ValueError(f"labels: {_kind(labels)}, expected classes as int64 [{len(logits)}]")


def check_targets(labels: Tensor, logits: Tensor) -> None:
    """Check that labels are one class, or one distribution, per row of logits.

    Raises:
        ValueError: when they are neither.
    """
    _check(logits, "logits", 2)
    if not isinstance(labels, Tensor) or not labels.is_floating_point():
        check_classes(labels, logits)
    elif labels.shape != logits.shape:
        raise ValueError(f"labels: {_kind(labels)}, expected distributions {list(logits.shape)} or classes as int64")


def check_levels(student_maps: object, teacher_maps: object) -> None:
    """Check that two networks' maps are lists of as many levels, of the same samples.

    Raises:
        ValueError: when they are not.
    """
    students, teachers = _levels(student_maps, "student_maps"), _levels(teacher_maps, "teacher_maps")
    if len(students) != len(teachers) or not students:
        raise ValueError(f"student_maps and teacher_maps: {len(students)} and {len(teachers)} levels")
    for level, (mine, its) in enumerate(zip(students, teachers, strict=True)):
        check_rows(mine, its, f"student_maps[{level}] and teacher_maps[{level}]")


def check_neighbours(student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> None:
    """Check that two networks' maps are lists of at least two levels with as many channels, of the same samples.

    Raises:
        ValueError: when they are not.
    """
    check_levels(student_maps, teacher_maps)
    mine, its = ([maps.shape[1] for maps in side] for side in (student_maps, teacher_maps))
    if len(mine) < 2 or mine != its:
        raise ValueError(f"student_maps and teacher_maps: channels {mine} and {its}; equal, at least two")


def check_maps(student_map: Tensor, teacher_map: Tensor) -> None:
    """Check that both networks' features are maps of the same samples.

    Raises:
        ValueError: when they are not.
    """
    _check(student_map, "student_map", 4)
    _check(teacher_map, "teacher_map", 4)
    check_rows(student_map, teacher_map, "student_map and teacher_map")


def check_channels(student_map: Tensor, teacher_map: Tensor, where: str) -> None:
    """Check that both networks' maps have equal channels.

    Raises:
        ValueError: when they have not.
    """
    if student_map.shape[1] != teacher_map.shape[1]:
        channels = f"{student_map.shape[1]} and {teacher_map.shape[1]}"
        raise ValueError(f"student_map and teacher_map: {channels} channels ({where})")


def check_embeddings(student_embedding: Tensor, teacher_embedding: Tensor) -> None:
    """Check that both networks' features are vectors of the same samples.

    Raises:
        ValueError: when they are not.
    """
    _check(student_embedding, "student_embedding", 2, "[batch, dim]")
    _check(teacher_embedding, "teacher_embedding", 2, "[batch, dim]")
    check_rows(student_embedding, teacher_embedding, "student_embedding and teacher_embedding")


def check_shapes(mine: Tensor, its: Tensor, names: str, where: str = "") -> None:
    """Check that two tensors have one shape: broadcasting would silently compare the wrong numbers.

    Raises:
        ValueError: when they have not.
    """
    if mine.shape != its.shape:
        raise ValueError(f"{names}: shapes {tuple(mine.shape)} and {tuple(its.shape)} differ{where}")


def _levels(maps: object, name: str) -> list[Tensor]:
    if not isinstance(maps, Sequence):
        raise ValueError(f"{name}: {_kind(maps)}, expected a list of maps {_AXES[4]}, one per level")
    return [_check(value, f"{name}[{level}]", 4) for level, value in enumerate(maps)]


def _check(value: object, name: str, num_axes: int, axes: str = "") -> Tensor:
    if not isinstance(value, Tensor) or value.ndim != num_axes or not value.is_floating_point():
        raise ValueError(f"{name}: {_kind(value)}, expected floats {axes or _AXES[num_axes]}")
    return value


def check_rows(mine: Tensor, its: Tensor, names: str) -> None:
    """Check that both networks' features are of as many samples.

    Raises:
        ValueError: when they are not.
    """
    if len(mine) != len(its):
        raise ValueError(f"{names}: batches of {len(mine)} and {len(its)}")


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {list(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    return f"a {type(value).__name__}"
