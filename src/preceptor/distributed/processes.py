"""Several processes that train one network: each sees its own rows of every batch, and all take the same step.

Gradients are averaged after the backward pass, in buckets, by plain collectives: the terms of a step may change from batch to
batch, and some parameters may get no gradient, of which a wrapper with backward hooks would have to be told.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from preceptor.distributed.dtensors import is_sharded

__all__ = ["ONE_PROCESS", "Processes", "join_processes", "padded"]

Value = TypeVar("Value")
_BUCKET = 2**23  # entries that travel at once


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that train this network.

    Attributes:
        rank: number of this process, from 0; the first one writes the files.
        world_size: number of processes.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def add(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, in place."""
        if self.world_size > 1:
            distributed.all_reduce(values)
        return values

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Make each tensor its mean over all processes, in place."""
        if self.world_size == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.detach().flatten().float() for tensor in bucket])
            means = self.add(flat).div_(self.world_size).split([tensor.numel() for tensor in bucket])
            for tensor, mean in zip(bucket, means, strict=True):
                tensor.detach().copy_(mean.view_as(tensor))

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make each gradient its mean over all processes; one that is missing here counts as 0."""
        if self.world_size == 1:
            return
        # the gradient of a sharded parameter is the mean already
        trained = [p for p in parameters if p.requires_grad and not is_sharded(p)]
        if not trained:
            return
        has_gradient = torch.tensor([float(parameter.grad is not None) for parameter in trained])
        anywhere = self.add(has_gradient.to(trained[0].device)) > 0
        wanted = [parameter for parameter, has in zip(trained, anywhere.tolist(), strict=True) if has]
        for parameter in wanted:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.average([parameter.grad for parameter in wanted if parameter.grad is not None])

    def any(self, flag: bool, device: torch.device) -> bool:
        """Return whether a flag is up in any process."""
        return flag if self.world_size == 1 else bool(self.add(torch.tensor(float(flag), device=device)) > 0)

    def least(self, number: int, device: torch.device) -> int:
        """Return the smallest of all processes' numbers."""
        if self.world_size == 1:
            return number
        smallest = torch.tensor(number, device=device)
        distributed.all_reduce(smallest, distributed.ReduceOp.MIN)
        return int(smallest)

    def gather(self, values: Tensor) -> list[Tensor]:
        """Return the tensor of each process; all are contiguous and of the same shape."""
        if self.world_size == 1:
            return [values]
        everyone = [torch.empty_like(values) for _ in range(self.world_size)]
        # as bytes: neither gloo nor NCCL knows 16-bit integers
        distributed.all_gather([values_there.view(torch.uint8) for values_there in everyone], values.view(torch.uint8))
        return everyone

    def rows(self, values: Tensor) -> Tensor:
        """Return the rows of all processes one after another; their numbers may differ."""
        if self.world_size == 1:
            return values
        lengths = torch.cat(self.gather(torch.tensor([len(values)], device=values.device))).tolist()
        everyone = self.gather(padded(values, max(lengths)))
        return torch.cat([values[:length] for values, length in zip(everyone, lengths, strict=True)])

    def exchange(self, value: Value) -> list[Value]:
        """Return the value of each process, by rank; anything that can be pickled."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        distributed.all_gather_object(values, value)
        return values

    def sync_memory_banks(self, banks: Iterable[tuple[list[Tensor], Tensor]]) -> None:
        """Give the memory banks the same state in every process, after a step.

        Args:
            banks: buffers with one row per sample, each with the rows that this process has changed.
        """
        if self.world_size == 1:
            return
        for memory_banks, rows in banks:
            all_rows = self.rows(rows)
            for memory in memory_banks:
                memory[all_rows] = self.rows(memory[rows])

    def sync_buffers(self, buffers: Iterable[Tensor]) -> None:
        """Average, in place, buffers that each process updates by itself, such as batch-norm statistics."""
        self.average(buffers)

    def seed(self, seed: int) -> None:
        """Give this process a random stream of its own, for dropout and the like; that of rank 0 stays as it is."""
        if self.rank > 0:
            torch.manual_seed((seed + 0x9E3779B97F4A7C15 * self.rank) % 2**63)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world_size > 1:
            distributed.barrier()


ONE_PROCESS = Processes()


def join_processes() -> Processes:
    """Return the processes that `torchrun` started, this one among them; one process where it did not."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or not distributed.is_available():
        return ONE_PROCESS
    if not distributed.is_initialized():
        number = int(os.environ.get("LOCAL_RANK", "0"))
        has_gpu = torch.cuda.is_available() and number < torch.cuda.device_count() and distributed.is_nccl_available()
        if has_gpu:
            torch.cuda.set_device(number)
        # with both, what lies on the CPU travels by gloo, also where networks run on GPUs
        distributed.init_process_group("cpu:gloo,cuda:nccl" if has_gpu else "gloo")
        atexit.register(_leave)
    return Processes(distributed.get_rank(), distributed.get_world_size())


def _leave() -> None:
    """Leave the group before this process ends: gloo's threads, still running then, could abort it.

    NCCL would wait for the others, which a process that has failed must not do.
    """
    if distributed.is_initialized() and not torch.cuda.is_initialized():
        distributed.destroy_process_group()


def padded(values: Tensor, rows: int) -> Tensor:
    """Return values with rows of zeros behind them, so many in all, laid out as collectives need them."""
    return torch.cat([values, values.new_zeros(rows - len(values), *values.shape[1:])]).contiguous()


def _buckets(tensors: Iterable[Tensor]) -> Iterable[Sequence[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and size + tensor.numel() > _BUCKET:
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel()
    if bucket:
        yield bucket
