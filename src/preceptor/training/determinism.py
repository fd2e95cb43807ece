"""Operations that give the same bits each time: torch's own switches, set for a run and put back after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.backends import cudnn

from preceptor.errors import RunError
from preceptor.messages import first_line
from preceptor.training.engine import Engine

__all__ = ["deterministic_operations"]


@contextmanager
def deterministic_operations(engine: Engine) -> Iterator[None]:
    """Compute with deterministic operations only, where the engine says so; else leave torch's settings as they are.

    Args:
        engine: its device, and whether it is deterministic.

    Raises:
        RunError: in place of torch's error, for an operation that has no deterministic form.
    """
    if not engine.deterministic:
        yield
        return
    if engine.device.type == "cuda":  # cuBLAS reads it when it is first used
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    was_on, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    of_cudnn = cudnn.benchmark, cudnn.deterministic
    torch.use_deterministic_algorithms(True)
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    except RuntimeError as error:
        name, is_such, _ = str(error).partition(" does not have a deterministic implementation")
        if is_such:
            raise RunError(
                f"deterministic: {name} has no deterministic form on {engine.device}; another network or objective, or "
                "deterministic=false"
            ) from error
        if "CUBLAS_WORKSPACE_CONFIG" in str(error):
            raise RunError(f"deterministic: {first_line(error)}") from error
        raise
    finally:
        torch.use_deterministic_algorithms(was_on, warn_only=warned)
        cudnn.benchmark, cudnn.deterministic = of_cudnn
