"""How methods choose features by name and pair those of the student with those of the teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from preceptor.errors import UsageError

__all__ = ["block_pairs", "need"]


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
    blocks = [[name for name in names if name.startswith("block")] for names in (student, teacher)]
    if not all(blocks):
        who, offered = ("teacher", teacher) if blocks[0] else ("student", student)
        raise UsageError(
            f"method {method} needs feature maps, and the {who} offers {', '.join(offered) or 'none'}; "
            "name them with method.pairs={STUDENT_MODULE: TEACHER_MODULE}"
        )
    return tuple(zip(*blocks, strict=False))  # from the front; what one network has more of is left out


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
