"""What is printed for people: rich, with text from elsewhere shown as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from preceptor.escaping import terminal

__all__ = ["open_console"]


class _PlainConsole(Console):
    """A console for which square brackets, colons and escape sequences in what it prints are text like any other."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(terminal(text), **options)  # before its width is measured

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=terminal(segment.text))


def open_console(
    *, stderr: bool = False, quiet: bool = False, soft_wrap: bool = False, width_of_files: int | None = None
) -> Console:
    """Return a console on standard output, or on standard error.

    Args:
        stderr: which of the two.
        quiet: whether nothing is printed.
        soft_wrap: whether lines are as long as they are.
        width_of_files: columns where the output is no terminal; None: as rich guesses.
    """
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if is_terminal else width_of_files
    return _PlainConsole(stderr=stderr, quiet=quiet, soft_wrap=soft_wrap, width=width, markup=False, emoji=False)
