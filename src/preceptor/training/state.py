"""Everything that decides how a run continues."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from preceptor.data.augment.regions import RegionSearch
from preceptor.distributed.processes import Processes
from preceptor.distributed.sharding import full_state, load_full, load_full_optimizer
from preceptor.errors import UsageError
from preceptor.models import save_weights
from preceptor.training.averaging import Average
from preceptor.training.callbacks import EpochRow, MetricsLog
from preceptor.training.checkpoint import Best, State, TrainProgress, load_state
from preceptor.training.engine import Engine
from preceptor.training.learner import Learner
from preceptor.training.metrics import RunningMetrics
from preceptor.training.plan import Plan
from preceptor.training.selection import Selection
from preceptor.types import Batch

__all__ = []


def _keep(plan: Plan, epoch: int, learner: Learner, checkpoints: Path, processes: Processes) -> None:
    if plan.keep_every and epoch % plan.keep_every == 0:
        network = learner.full_network()
        if processes.is_first:
            checkpoints.mkdir(parents=True, exist_ok=True)
            save_weights(network, checkpoints / f"epoch_{epoch:04d}.safetensors")


def _better(best: Best, row: EpochRow, selection: Selection, learner: Learner) -> Best:
    score = selection.score(row.validation)
    if score is None or score >= best.value:
        return best
    whole = full_state(learner.network.model.state_dict())
    weights = {name: tensor.detach().cpu().clone() for name, tensor in whole.items()}
    return Best(score, row.epoch, weights)


def _put_result(best: Best, average: Average, learner: Learner, batches: Iterable[Batch], engine: Engine) -> None:
    """Put the selected or averaged weights into the learner, where the last ones are not what counts."""
    if best.weights:
        load_full(learner.network.model, best.weights)
    average.settle(batches, engine)
    engine.processes.sync_buffers(learner.synced_buffers())


def _state(
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    position: TrainProgress,
    metrics: RunningMetrics,
    best: Best,
    average: Average,
    metrics_log: MetricsLog,
    search: RegionSearch | None,
) -> State:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return State(
        learner=full_state(learner.state_dict()),
        optimizer=full_state(optimizer.state_dict()),
        position=position,
        metrics=metrics.values,
        best=best,
        journal_bytes=metrics_log.size(),
        random=torch.get_rng_state(),
        cuda_random=cuda,
        region=None if search is None else search.region,
        average=full_state(average.state),
    )


def _restore(
    path: Path,
    learner: Learner,
    optimizer: torch.optim.Optimizer,
    average: Average,
    metrics_log: MetricsLog,
    search: RegionSearch | None,
    processes: Processes,
) -> tuple[TrainProgress, RunningMetrics, Best]:
    state = load_state(path)
    try:
        load_full(learner, state.learner)
        load_full_optimizer(optimizer, state.optimizer)
        average.restore(state.average)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"checkpoint {path}: does not fit this run ({str(error).splitlines()[0]})") from error
    metrics_log.cut(state.journal_bytes)
    torch.set_rng_state(state.random)
    if search is not None and state.region is not None:
        search.move_to(state.region)
    if state.cuda_random and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state.cuda_random)
    return state.position, RunningMetrics(learner.objective.running, state.metrics).continued(processes), state.best
