"""Several processes that train one network: rank and world size, collectives, gathered batches, sharded weights."""

from preceptor.distributed.gather import gather_batch, gather_step
from preceptor.distributed.processes import ONE_PROCESS, Processes, join_processes

__all__ = ["ONE_PROCESS", "Processes", "gather_batch", "gather_step", "join_processes"]
