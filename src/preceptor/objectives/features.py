"""How methods choose features by name and pair those of the student with those of the teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from preceptor.errors import UsageError
from preceptor.types import Outputs

__all__ = ["block_pairs", "blocks", "maps_of", "need"]


def blocks(names: Sequence[str]) -> list[str]:
    """Return the names of blocks' outputs: those that start with "block", without the maps before their last ReLU."""
    return [name for name in names if name.startswith("block") and not name.endswith("_preact")]


def block_pairs(
    student: Sequence[str], teacher: Sequence[str], given: Mapping[str, str] | None, method: str
) -> tuple[tuple[str, str], ...]:
    """Return pairs of (student feature, teacher feature).

    Args:
        student: names that the student offers, in order.
        teacher: names that the teacher offers, in order.
        given: the user's own pairs, student name to teacher name; names or dotted module paths.
        method: for the message.

    Raises:
        UsageError: when there is nothing to pair.

    Example:
        >>> block_pairs(["stem", "block1", "block2"], ["block1", "block2", "block3"], None, "at")
        (('block1', 'block1'), ('block2', 'block2'))
    """
    if given:
        return tuple(given.items())
    if not (blocks(student) and blocks(teacher)):
        who, offered = ("teacher", teacher) if blocks(student) else ("student", student)
        raise UsageError(
            f"method {method} needs feature maps, and the {who} offers {', '.join(offered) or 'none'}; "
            "name them with method.pairs={STUDENT_MODULE: TEACHER_MODULE}"
        )
    return tuple(
        zip(blocks(student), blocks(teacher), strict=False)
    )  # from the front; what one network has more of is left out


def need(name: str, offered: Sequence[str], who: str, method: str) -> str:
    """Return the name of a feature that a method cannot do without; a dotted module path passes unchecked.

    Raises:
        UsageError: when the network does not offer it.
    """
    if name not in offered and "." not in name:
        raise UsageError(
            f"method {method} needs feature {name} of the {who}, which offers {', '.join(offered) or 'none'}"
        )
    return name


def maps_of(outputs: Outputs | None, names: Sequence[str], who: str, method: str) -> list[Tensor]:
    """Return the named features of a dry run, which must be maps [batch, channels, height, width].

    Raises:
        UsageError: when one is not, or when there is no such network.
    """
    if outputs is None:
        raise UsageError(f"method {method} learns from a {who}, and the run has none")
    for name in names:
        if outputs.features[name].ndim != 4:
            shape = tuple(outputs.features[name].shape)
            raise UsageError(f"method {method} needs maps, and feature {name} of the {who} has shape {shape}")
    return [outputs.features[name] for name in names]
