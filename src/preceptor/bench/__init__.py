"""The speed of distillation on this machine, beside the usual research loop."""

from preceptor.bench.compare import Comparison, Measured, compare
from preceptor.bench.job import VARIANTS, Job

__all__ = ["VARIANTS", "Comparison", "Job", "Measured", "compare"]
