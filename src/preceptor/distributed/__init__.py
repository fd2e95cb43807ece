"""Several processes that train one network: rank and world size, collectives, gathered batches, sharded weights."""

from preceptor.distributed.gather import gather_batch, gather_step
from preceptor.distributed.processes import ONE_PROCESS, Processes, join_processes
from preceptor.distributed.sharding import Sharding

__all__ = ["ONE_PROCESS", "Processes", "Sharding", "gather_batch", "gather_step", "join_processes"]
