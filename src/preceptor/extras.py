"""Packages that only an extra of this one brings: imported where they are used, one clear line where they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from preceptor.errors import UsageError

__all__ = ["import_extra"]


def import_extra(package: str, extra: str, *, needed_by: str) -> ModuleType:
    """Return an optional package.

    Args:
        package: its import name.
        extra: of this package, that brings it.
        needed_by: what the user asked for, for the message.

    Raises:
        UsageError: when it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package.partition(".")[0]:
            raise
        raise UsageError(
            f"{needed_by} needs {package}, which is not installed: pip install preceptor[{extra}]"
        ) from error
