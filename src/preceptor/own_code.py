"""Objects of the user's own code, named `PKG.MODULE:NAME`: imported where the user names them, from the working directory too."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from preceptor.errors import UsageError
from preceptor.extras import with_torchvision
from preceptor.messages import did_you_mean, first_line

__all__ = ["find_object"]


def find_object(place: str, where: str, *, is_wanted: Callable[[Any], bool] = callable) -> Any:
    """Return what a place names, its module imported.

    Args:
        place: dotted module path, colon, name in the module, dotted where it is inside a class.
        where: key of the configuration, for messages.
        is_wanted: which objects of the module are suggested where it has none of this name.

    Raises:
        UsageError: when the module cannot be imported, or has no such name.
    """
    path, _, dotted = place.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        module = with_torchvision(partial(importlib.import_module, path))
    except Exception as error:  # whatever the user's module raises
        raise UsageError(f"{where}: {place}: cannot import {path}: {first_line(error)}") from error
    found: Any = module
    for attribute in dotted.split("."):
        members = _members(found)
        if attribute not in members:
            suggested = [name for name, value in members.items() if is_wanted(value) and not name.startswith("_")]
            raise UsageError(f"{where}: {path} has no {dotted!r}{did_you_mean(attribute, suggested)}")
        found = members[attribute]
    return found


def _members(found: Any) -> Mapping[str, Any]:
    try:
        members: Mapping[str, Any] = vars(found)
    except TypeError:  # of a number, say
        return {}
    return members
