"""What a user reads when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from preceptor.errors import RunError

__all__ = ["memory_told"]


@contextmanager
def memory_told(device: torch.device) -> Iterator[None]:
    """Turn a failed allocation into one line with the numbers and what to change.

    Args:
        device: on which the run computes.

    Raises:
        RunError: instead of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in text:
            raise
        reason = next(line for line in text.splitlines() if "allocate" in line).partition("allocate ")[2]
        in_use = f", {torch.cuda.memory_allocated(device) / 2**30:.1f} GiB in use" if device.type == "cuda" else ""
        raise RunError(
            f"out of memory on {device} ({reason.strip()[:120]}{in_use}): a smaller batch_size, or accumulate=2 for the same "
            "step in two passes"
        ) from error
