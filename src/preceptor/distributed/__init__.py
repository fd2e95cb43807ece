"""Several processes that train one network: rank and world size, collectives, gathered batches, sharded weights."""

from preceptor.distributed.gather import whole_batch, whole_step
from preceptor.distributed.processes import Processes, join_processes
from preceptor.distributed.sharding import Sharding

__all__ = ["Processes", "Sharding", "join_processes", "whole_batch", "whole_step"]
