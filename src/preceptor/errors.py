"""The two errors a user meets: one line that names the thing and the value."""

from __future__ import annotations

__all__ = ["PreceptorError", "RunError", "UsageError"]


class PreceptorError(Exception):
    """What the command line prints as one line; `exit_code` is the status it leaves with."""

    exit_code = 1


class UsageError(PreceptorError, ValueError):
    """What was asked for cannot be: a wrong key, value, name, file or shape."""

    exit_code = 2


class RunError(PreceptorError, RuntimeError):
    """A run that was asked for correctly had to stop: the loss is not finite, the disk is full."""
