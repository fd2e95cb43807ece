"""Networks whose weights are sharded over processes (FSDP2): each holds its shard, and a full block only while that runs.

Source: Zhao et al., "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel" (VLDB 2023), as PyTorch's
`fully_shard`. What leaves a process (checkpoints, weights, averages) is full, so that it fits any number of processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from preceptor.distributed.dtensors import full_tensor, is_sharded

__all__ = [
    "clip_gradients",
    "full_state",
    "load_full",
    "local_shard",
    "shard",
    "shard_like",
]

_BLOCK = 2**20  # parameters from which a block is gathered by itself


def shard(network: nn.Module, device: torch.device, world_size: int, least: int = _BLOCK) -> None:
    """Shard a network's parameters over all processes; every one must run its forward and backward passes from now on.

    Blocks are the members of lists and sequences of modules, innermost first.

    Args:
        network: on `device`, the same in every process.
        device: of this process.
        world_size: number of processes.
        least: parameters that make a block worth gathering by itself; the rest is gathered with the network.
    """
    from torch.distributed.device_mesh import init_device_mesh  # noqa: PLC0415  (slow to import)
    from torch.distributed.fsdp import fully_shard  # noqa: PLC0415

    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # shards are cut from rows
    mesh = init_device_mesh(device.type, (world_size,))
    lists = [module for module in network.modules() if isinstance(module, nn.ModuleList | nn.Sequential)]
    for block in [member for members in reversed(lists) for member in members]:
        if sum(parameter.numel() for parameter in block.parameters() if not is_sharded(parameter)) >= least:
            fully_shard(block, mesh=mesh, reshard_after_forward=True)
    fully_shard(network, mesh=mesh, reshard_after_forward=True)


def local_shard(tensor: Tensor) -> Tensor:
    """Return this process's shard of a tensor, or the tensor where it is not sharded."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined, no-any-return]


def full_state(state: Any) -> Any:
    """Return a state dict, however nested, with every sharded tensor full and on the CPU; every process must call this."""
    if isinstance(state, Tensor):
        return full_tensor(state.detach()).cpu() if is_sharded(state) else state
    if isinstance(state, Mapping):
        return {key: full_state(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(full_state(value) for value in state)
    return state


def shard_like(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a full tensor sharded like another; as it is where that one is not sharded, or of another shape."""
    if not is_sharded(like) or tensor.shape != like.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor  # noqa: PLC0415  (slow to import)

    mesh, placements = like.device_mesh, like.placements  # type: ignore[attr-defined]
    return distribute_tensor(tensor.to(like.device, like.dtype), mesh, placements)


def load_full(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a full state dict into a module, each process its shard.

    Raises:
        RuntimeError: when it does not fit.
    """
    own = module.state_dict()
    module.load_state_dict({name: shard_like(tensor, own.get(name, tensor)) for name, tensor in state.items()})


def clip_gradients(parameters: Iterable[nn.Parameter], largest: float) -> None:
    """Scale all gradients down so that their common norm is at most `largest`, full and sharded ones alike."""
    trained = [parameter for parameter in parameters if parameter.grad is not None]
    groups = [[p for p in trained if is_sharded(p) is sharded] for sharded in (False, True)]
    groups = [group for group in groups if group]
    norms = [full_tensor(get_total_norm([p.grad for p in group if p.grad is not None])) for group in groups]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    for group in groups:
        clip_grads_with_norm_(group, largest, norm)
