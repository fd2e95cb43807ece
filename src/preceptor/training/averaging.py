"""Averages of the weights that a run passes through, whose network is then the result.

Source: Izmailov, Podoprikhin, Garipov, Vetrov, Wilson, "Averaging Weights Leads to Wider Optima and Better Generalization"
(UAI 2018), algorithm 1, without its cyclic learning rate ("swa"); Polyak, Juditsky (1992), in its exponential form ("ema"),
whose decay rises to its value as in TensorFlow's ExponentialMovingAverage, so that it never outlasts the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn, update_bn

from preceptor.distributed.sharding import local_shard, shard_like
from preceptor.training.engine import Engine
from preceptor.training.progress import TrainProgress
from preceptor.training.settings import Averaging
from preceptor.types import Batch

__all__ = ["Average", "update_batch_norm"]

_COUNT = ":count"  # no parameter has such a name


class Average:
    """The average so far: of parameters alone, for batch-norm statistics cannot be averaged (see `apply`).

    Args:
        averaging: what is averaged.
        network: whose weights.
        epochs: of the run.
        num_batches: of an epoch.
    """

    def __init__(self, averaging: Averaging, network: nn.Module, epochs: int, num_batches: int) -> None:
        self._averaging = averaging
        self._network = network
        self._num_batches = num_batches
        self._first_epoch = averaging.first_epoch(epochs)
        self._averaged: dict[str, Tensor] = {}  # by parameter, sharded as it is; empty before the first that count
        self._count = torch.zeros((), dtype=torch.long)

    def take(self, progress: TrainProgress) -> None:
        """Take in the weights as they are after a step, if that is one that counts; `progress` points behind it."""
        every = {"swa": self._num_batches, "ema": 1}.get(self._averaging.name)
        if every is None or progress.epoch < self._first_epoch or progress.batch % every != 0:
            return
        current = {name: parameter.detach() for name, parameter in self._network.named_parameters()}
        if self._averaged:
            decay = self._averaging.decay_after(int(self._count))
            ways = {"swa": get_swa_multi_avg_fn(), "ema": get_ema_multi_avg_fn(decay)}
            for names in _by_kind(current):
                averaged = [local_shard(self._averaged[name]) for name in names]
                ways[self._averaging.name](averaged, [local_shard(current[name]) for name in names], self._count)
        else:
            self._averaged = {name: weight.clone() for name, weight in current.items()}
        self._count += 1

    @torch.no_grad()
    def apply(self, batches: Iterable[Batch], engine: Engine) -> None:
        """Put the average into the network, its batch-norm statistics estimated anew; without an average, do nothing.

        The statistics are those of one pass in training mode over `batches`, each counting by its rows.
        """
        if not self._averaged:
            return
        for name, parameter in self._network.named_parameters():
            parameter.copy_(self._averaged[name])
        update_batch_norm(self._network, batches, engine)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged weights and how many were taken in, for a checkpoint; empty before the first."""
        return {_COUNT: self._count, **self._averaged} if self._averaged else {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state whose tensors are full.

        Raises:
            ValueError: when it is of another network.
        """
        parameters = dict(self._network.named_parameters())
        shapes = {name: parameter.shape for name, parameter in parameters.items()}
        if state and {name: tensor.shape for name, tensor in state.items() if name != _COUNT} != shapes:
            raise ValueError("the average is of other weights")
        self._averaged = {
            name: shard_like(state[name], parameter.detach()).to(parameter.device, copy=True)
            for name, parameter in parameters.items()
            if state
        }
        self._count = state.get(_COUNT, torch.zeros((), dtype=torch.long)).clone()


@torch.no_grad()
def update_batch_norm(network: nn.Module, batches: Iterable[Batch], engine: Engine) -> None:
    """Estimate a network's batch-norm statistics anew: those of one pass in training mode over `batches`, by their rows."""
    with engine.autocast():
        update_bn(_by_rows(batches, network), network)


def _by_kind(weights: Mapping[str, Tensor]) -> list[list[str]]:
    """Return the names of weights in groups of one dtype."""
    groups: dict[torch.dtype, list[str]] = {}
    for name, weight in weights.items():
        groups.setdefault(weight.dtype, []).append(name)
    return [*groups.values()]


def _by_rows(batches: Iterable[Batch], network: nn.Module) -> Iterator[Tensor]:
    """Yield inputs, and before each set every momentum to rows / rows so far: a cumulative mean over rows, not batches."""
    layers = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    rows = 0
    for batch in batches:
        rows += len(batch.inputs)
        for layer in layers:
            layer.momentum = len(batch.inputs) / rows
        yield batch.inputs
