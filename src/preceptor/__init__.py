"""preceptor: train teachers for knowledge distillation, and distil students from them.

The names below are imported when first used, so that `import preceptor` and `preceptor --help` stay quick.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preceptor.api.experiments import grid
    from preceptor.api.measuring import assess, evaluate, load
    from preceptor.api.training import distill, label, teach
    from preceptor.errors import PreceptorError, RunError, UsageError
    from preceptor.experiments.grid import Grid
    from preceptor.exports.export import export
    from preceptor.exports.predict import predict
    from preceptor.runner.result import Result

__all__ = [
    "Grid",
    "PreceptorError",
    "Result",
    "RunError",
    "UsageError",
    "__version__",
    "assess",
    "distill",
    "evaluate",
    "export",
    "grid",
    "label",
    "load",
    "predict",
    "teach",
]

__version__ = version("preceptor")

_HOME = {
    "Grid": "preceptor.experiments.grid",
    "PreceptorError": "preceptor.errors",
    "Result": "preceptor.runner.result",
    "RunError": "preceptor.errors",
    "UsageError": "preceptor.errors",
    "assess": "preceptor.api.measuring",
    "distill": "preceptor.api.training",
    "evaluate": "preceptor.api.measuring",
    "export": "preceptor.exports.export",
    "grid": "preceptor.api.experiments",
    "label": "preceptor.api.training",
    "load": "preceptor.api.measuring",
    "predict": "preceptor.exports.predict",
    "teach": "preceptor.api.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'preceptor' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
