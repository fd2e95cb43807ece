"""preceptor: train teachers for knowledge distillation, and distil students from them.

The names below are imported when first used, so that `import preceptor` and `preceptor --help` stay quick.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from preceptor.lazy import lazy_names

if TYPE_CHECKING:
    from preceptor.api.experiments import grid
    from preceptor.api.measuring import assess, evaluate, load
    from preceptor.api.reporting import report
    from preceptor.api.training import distill, label, teach
    from preceptor.errors import PreceptorError, RunError, UsageError
    from preceptor.experiments.grid import Grid
    from preceptor.exports.export import export
    from preceptor.exports.predict import predict
    from preceptor.reports import Report
    from preceptor.runner.result import Result

__all__ = [
    "Grid",
    "PreceptorError",
    "Report",
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
    "report",
    "teach",
]

__version__ = version("preceptor")

__getattr__, __dir__ = lazy_names(__name__)
