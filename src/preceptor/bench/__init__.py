"""How fast this library distils on this machine, side by side with the usual research loop."""

from preceptor.bench.compare import Comparison, Measured, compare
from preceptor.bench.job import VARIANTS, Job

__all__ = ["VARIANTS", "Comparison", "Job", "Measured", "compare"]
