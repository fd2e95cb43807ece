"""What ends a run early: the two errors that a user sees, one line that names the argument and the value; and a signal."""

from __future__ import annotations

__all__ = ["Interrupted", "PreceptorError", "RunError", "UsageError"]


class PreceptorError(Exception):
    """An error that the command line prints as one line; `exit_code` is its exit status."""

    exit_code = 1


class UsageError(PreceptorError, ValueError):
    """A wrong key, value, name, file or shape."""

    exit_code = 2


class RunError(PreceptorError, RuntimeError):
    """A valid run that had to stop: the loss is not finite, the disk is full."""


class Interrupted(PreceptorError):
    """The run was stopped by a signal, after saving a checkpoint; `exit_code` is the shell's for that signal.

    It is printed like any line: whoever pressed Ctrl-C made no error.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
