"""Several processes as `torchrun` starts them, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["ENVIRONMENT", "command", "torchrun"]

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(words: Sequence[str], count: int = 2) -> list[str]:
    """Return the command that starts `words`, a script or -m MODULE with its arguments, in so many processes."""
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", *words]


def torchrun(words: Sequence[str], count: int = 2) -> subprocess.CompletedProcess[str]:
    """Run `words` in so many processes, and wait."""
    return subprocess.run(command(words, count), check=False, capture_output=True, text=True, env=ENVIRONMENT)
