"""Where and how precisely a run computes: device and precision, decided in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import nn

from preceptor.errors import UsageError

__all__ = ["Engine", "choose_engine"]

Module = TypeVar("Module", bound=nn.Module)
Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True, slots=True)
class Engine:
    """A device and the precision of both networks' forward passes; losses are always float32 or better."""

    device: torch.device
    precision: Literal["fp32", "bf16"]

    def place(self, module: Module) -> Module:
        """Move a module to the device, its convolutions in the channels-last layout that both CPUs and GPUs prefer."""
        placed: Module = module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed

    def autocast(self) -> torch.autocast:
        """Return the context in which networks run."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")


def choose_engine(device: str = "auto", precision: Precision = "auto") -> Engine:
    """Return the engine for a run.

    Args:
        device: a torch device name, or "auto": the first accelerator there is, else the CPU.
        precision: "auto" is bf16 on CUDA devices that compute in it, fp32 everywhere else.

    Raises:
        UsageError: for a device that this machine does not have.
    """
    try:
        chosen = torch.device(_best_device() if device == "auto" else device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device: {device!r} cannot be used here ({str(error).splitlines()[0]})") from error
    if precision == "auto":
        precision = "bf16" if chosen.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return Engine(chosen, precision)


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
