"""Where, how precisely and how fast a run computes: device, precision, memory layout and compilation, decided in one place."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.utils.flop_counter import FlopCounterMode

from preceptor.distributed.processes import Processes, join_processes
from preceptor.distributed.sharding import shard
from preceptor.errors import UsageError
from preceptor.messages import unheard
from preceptor.models import Observed, black_box_in, folded, observe
from preceptor.training.settings import EngineName, Precision
from preceptor.types import Outputs, Sharding

__all__ = ["Engine", "Forward", "choose_engine", "forward_flops", "strides_over_one_pixel"]

Module = TypeVar("Module", bound=nn.Module)
Forward = Callable[[Tensor], Outputs]

# What a machine does a second without compilation, to within a factor of a few: it decides which runs are compiled.
_TYPICAL_FLOPS = {"cpu": 1e11, "cuda": 1e13, "mps": 1e12}
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
_WORTH_SECONDS = 600.0  # compiling two networks takes one or two minutes and saves a share of the rest


@dataclass(frozen=True, slots=True)
class Engine:
    """A device and how networks run on it; losses are always float32 or better.

    Attributes:
        device: where tensors live.
        precision: of both networks' forward passes.
        compiles: whether networks are compiled; None until `decide` is called.
        folds: whether frozen networks that are not compiled have their batch-norms folded.
        graphs: whether full batches are trained on by CUDA graphs.
        deterministic: whether it is used inside `deterministic_operations`.
        tell: is called with a line on what could not be done.
        processes: who else trains the same network.
        sharding: whose weights are sharded over them.
    """

    device: torch.device
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compiles: bool | None = False
    folds: bool = False
    graphs: bool = False
    deterministic: bool = False
    tell: Callable[[str], None] = unheard
    processes: Processes = Processes()
    sharding: Sharding = "none"

    def place(self, module: Module) -> Module:
        """Move a module to the device, its convolutions in channels-last layout, which CPUs and GPUs prefer."""
        placed: Module = module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed

    def shard(self, network: nn.Module, role: Literal["student", "teacher"]) -> None:
        """Shard a network's weights over all processes, where this engine shards networks of that role.

        Args:
            network: on the device.
            role: "student" is the network that is trained.
        """
        if self.sharding in {"all", role}:
            shard(network, self.device, self.processes.world_size)

    def autocast(self) -> torch.autocast:
        """Return the context in which networks run."""
        half = _HALF.get(self.precision)
        return torch.autocast(self.device.type, dtype=half, enabled=half is not None)

    def loss_scaler(self) -> GradScaler:
        """Return what keeps small gradients from vanishing in fp16; in other precisions it does nothing."""
        return GradScaler(self.device.type, enabled=self.precision == "fp16")

    def in_float32(self) -> Engine:
        """Return this engine in float32, in which the test split is measured whatever the run's precision was."""
        return replace(self, precision="fp32")

    def decide(self, flops: float) -> Engine:
        """Return the engine for a run of this size: where compilation was left open, compiled if the run is long enough.

        The rule looks at the work alone, not at a clock, so that a run does the same when it is repeated.

        Args:
            flops: floating-point operations of the run.
        """
        if self.compiles is not None:
            return self
        return replace(self, compiles=flops / _TYPICAL_FLOPS[self.device.type] > _WORTH_SECONDS)

    def accelerate(self, network: Observed, rows: int) -> Forward:
        """Return the network's forward pass, compiled if this engine compiles.

        Args:
            network: runs in whatever mode it is in. Without trainable parameters it is taken to be frozen for good: its
                weights are folded into the compiled code.
            rows: of the batches that run compiled; any other batch (the last of an epoch) runs the network as it is.
        """
        compiles = self.compiles and black_box_in(network) is None
        return _Compiled(network, rows, self.tell) if compiles else network

    def fold(self, network: Observed, inputs: Tensor) -> Observed:
        """Return a frozen network, which nothing will change, as one that runs faster, if this engine folds.

        Args:
            network: on the device, its weights not sharded.
            inputs: a few rows, for which the network is run to see what can be folded.
        """
        folds = self.folds and black_box_in(network) is None
        return folded(network, inputs, half=_HALF.get(self.precision)) if folds else network

    def __str__(self) -> str:
        group = f", {self.processes.world_size} processes" if self.processes.world_size > 1 else ""
        group += f", sharding {self.sharding}" if self.sharding != "none" else ""
        has_tf32 = self.device.type == "cuda" and torch.backends.cudnn.allow_tf32
        precision = f"{self.precision}{' (float32 as TF32)' if has_tf32 else ''}"
        all_ways = {"compiled": self.compiles, "graphs": self.graphs, "deterministic": self.deterministic}
        ways = [word for word, is_on in all_ways.items() if is_on]
        return ", ".join([str(self.device), precision, *ways]) + group


class _Compiled:
    """A network that runs compiled for one batch size; where the compiler fails it says so once and runs as it is."""

    def __init__(self, network: Observed, rows: int, tell: Callable[[str], None]) -> None:
        is_frozen = not any(parameter.requires_grad for parameter in network.parameters())
        self._network = network
        self._rows = rows
        self._tell = tell
        self._works = True
        self._is_ready = False
        self._compiled: Forward = torch.compile(
            network, dynamic=False, options={"freezing": True} if is_frozen else None
        )

    def __call__(self, inputs: Tensor) -> Outputs:
        if not self._works or len(inputs) != self._rows:
            outputs: Outputs = self._network(inputs)
            return outputs
        if self._is_ready:
            return self._compiled(inputs)
        try:
            outputs = self._compiled(inputs)
        except Exception as error:  # no compiler, an operation it lacks: whatever it is, the network itself still runs
            self._works = False
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            self._tell(f"engine: {type(self._network.model).__name__} runs uncompiled: {reason.strip()[:200]}")
            return self(inputs)
        self._is_ready = True
        return outputs


def choose_engine(
    device: str = "auto",
    precision: Precision = "auto",
    name: EngineName = "plain",
    tell: Callable[[str], None] = unheard,
    sharding: Sharding = "none",
    *,
    graph: bool = False,
    deterministic: bool = False,
) -> Engine:
    """Return the engine for a run.

    Args:
        device: a torch device name, or "auto": the first accelerator there is, else the CPU.
        precision: "auto" is fp32 for the plain engine, else bf16 where the device computes in it (CUDA from Ampere on,
            CPUs with AMX or AVX-512 bf16). It is never fp16.
        name: "plain" runs networks as they are; "fast" compiles them; "auto" compiles them where that gains something, in
            runs that are long enough (see `Engine.decide`), and otherwise folds the batch-norms of frozen ones.
        tell: is called with a line on what could not be done.
        sharding: whose weights are sharded over the processes; such networks are not compiled.
        graph: whether full batches are trained on by CUDA graphs.
        deterministic: whether the engine is used inside `deterministic_operations`.

    Raises:
        UsageError: for a device that this machine does not have, networks that are to be sharded and compiled, bf16 where it is
            emulated, fp16 for sharded students, or graphs on another device than CUDA.
    """
    processes = join_processes()
    if sharding != "none" and name == "fast":
        raise UsageError(f"sharding: {sharding} cannot be used with engine=fast, which compiles networks; engine=auto")
    try:
        chosen = torch.device(_best_device() if device == "auto" else device)
        if chosen.type == "cuda" and processes.world_size > 1:
            chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(chosen)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device: {device!r} cannot be used here ({str(error).splitlines()[0]})") from error
    if precision == "auto":
        precision = "bf16" if name != "plain" and _computes_in_bf16(chosen) else "fp32"
    elif precision == "bf16" and chosen.type == "cuda" and not _computes_in_bf16(chosen):
        raise UsageError(
            f"precision: bf16 is emulated on {torch.cuda.get_device_name(chosen)}; precision=fp16 or fp32 is faster"
        )
    elif precision == "fp16" and sharding == "all":
        raise UsageError("precision: fp16 cannot be used with sharding=all, whose gradients are not rescaled; use bf16")
    if chosen.type == "cuda":  # TF32 where numbers are rounded for speed anyway, float32 where the user asked for plain
        torch.set_float32_matmul_precision("highest" if name == "plain" else "high")
        torch.backends.cudnn.allow_tf32 = name != "plain"
    may_gain = None if _gains_by_compiling(chosen) and sharding == "none" else False
    if graph and chosen.type != "cuda":
        raise UsageError(f"graph: needs a CUDA device, and this is {chosen.type}")
    return Engine(
        chosen,
        precision,
        {"plain": False, "fast": True, "auto": may_gain}[name],
        folds=name != "plain" and sharding == "none",
        graphs=graph,
        deterministic=deterministic,
        tell=tell,
        processes=processes,
        sharding=sharding if processes.world_size > 1 else "none",
    )


def forward_flops(network: nn.Module, sample: Tensor) -> float:
    """Return the floating-point operations of a forward pass per row: matrix products and convolutions, 2 per multiply-add.

    Args:
        network: run once, in eval mode; its mode is put back.
        sample: a batch of inputs.
    """
    was_training = network.training
    network.eval()
    observed = observe(network, ())
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            observed(sample)
    finally:
        network.train(was_training)
    return float(counter.get_total_flops()) / len(sample)


def strides_over_one_pixel(network: nn.Module, sample: Tensor) -> bool:
    """Return whether a strided convolution of a network gets maps of a single pixel.

    In bf16 on a CPU, the weight gradient of such a convolution can contain uninitialised memory (docs/models.md).

    Args:
        network: run once, in eval mode; its mode is put back.
        sample: a batch of inputs.
    """
    found: list[bool] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        found.append(max(module.stride) > 1 and inputs[0].shape[2:].numel() == 1)

    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    hooks = [module.register_forward_pre_hook(look) for module in convolutions]
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(sample)
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return any(found)


def _computes_in_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()  # AMX implies it


def _gains_by_compiling(device: torch.device) -> bool:
    """Say whether compiled networks are faster there: on CPUs without AMX they are not (benchmarks/README.md)."""
    return device.type in _TYPICAL_FLOPS and (device.type != "cpu" or torch.cpu._is_amx_tile_supported())


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
