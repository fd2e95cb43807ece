"""Optional packages: imported where they are used, with a one-line error where they are missing."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType
from typing import TypeVar

import torch

from preceptor.errors import UsageError

__all__ = ["fit_torchvision", "import_extra", "import_torchvision", "with_torchvision"]

_Result = TypeVar("_Result")
_MISSING_OPERATOR = "operator torchvision::nms does not exist"
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_kept: list[torch.library.Library] = []  # the definitions of a library live as long as it does


def import_extra(package: str, extra: str, *, needed_by: str) -> ModuleType:
    """Return an optional package.

    Args:
        package: its import name.
        extra: the extra of preceptor that installs it.
        needed_by: what the user requested, for the message.

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


def import_torchvision(*, needed_by: str) -> ModuleType:
    """Return torchvision, even where its compiled operators do not fit the installed torch.

    Its wheels from PyPI are compiled for torch with CUDA; beside a torch for the CPU alone `import torchvision` fails, and
    with it that of timm, of lightning and of most of transformers. After exactly that failure the two operators that it
    needs are declared, one line on standard error says so, and the import is tried again: networks, transforms and data
    sets work, the compiled operators (nms, roi_align, ...) do not.

    Args:
        needed_by: what the user requested, for the message.

    Raises:
        UsageError: when it is not installed.
    """
    try:
        return import_extra("torchvision", "vision", needed_by=needed_by)
    except RuntimeError as error:
        if _MISSING_OPERATOR not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(operator + _SCHEMA)
    _kept.append(library)
    # logged, for a warning would show the path and text of this line
    logging.getLogger("preceptor").warning(
        "note: torchvision's compiled operators do not fit this torch: networks, transforms and data sets work, nms and its "
        "like do not; a torchvision wheel from the index that torch came from has them"
    )
    return importlib.import_module("torchvision")


def fit_torchvision() -> None:
    """Make an installed torchvision importable, as `import_torchvision` does.

    Call it before importing a package that imports torchvision itself: lightning, transformers, timm.
    """
    if find_spec("torchvision") is not None:
        import_torchvision(needed_by="torchvision")


def with_torchvision(action: Callable[[], _Result]) -> _Result:
    """Return the result of an action, which is repeated if it failed because torchvision does not fit torch.

    Args:
        action: imports or runs foreign code.
    """
    try:
        return action()
    except (ImportError, RuntimeError) as error:
        cause: BaseException | None = error  # transformers raises an ImportError of its own from it
        while cause is not None and _MISSING_OPERATOR not in str(cause):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
    fit_torchvision()
    return action()
