"""A student beside its teacher on test, and how long a forward pass of each takes on this machine."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict

import torch
from torch import Tensor, nn

from preceptor.artifacts.record import TeacherResult
from preceptor.assessment import compare, measure, outcomes
from preceptor.config.sections import TeacherSection
from preceptor.data import Data, plain_batches
from preceptor.models import Calibrated, black_box_in
from preceptor.runner.banner import shown_name
from preceptor.runner.score import predict_split
from preceptor.training import Engine, average_outputs
from preceptor.types import Outputs

__all__ = ["is_reported", "latency", "measure_teacher_on_test"]

_BATCH_SIZES = (1, 64)
_PASSES, _SECONDS = 10, 0.2  # at most so many, and no new one after so long


def is_reported() -> bool:
    """Return whether latencies are measured and pictures drawn: unless PRECEPTOR_REPORT=0 stands in the environment."""
    return os.environ.get("PRECEPTOR_REPORT") != "0"


def latency(networks: Sequence[nn.Module], data: Data, engine: Engine) -> dict[int, float] | None:
    """Return the seconds of a forward pass by batch size: the median of at most ten, after one that is not counted.

    Args:
        networks: on the engine's device, in eval mode; several run one after another.
        data: whose test samples are the input.
        engine: of the run.

    Returns:
        None where it is not wanted, another process measures, or weights are sharded.
    """
    if not (is_reported() and engine.processes.is_first and engine.sharding == "none"):
        return None
    rows = next(iter(plain_batches(data.test, data.normalisation, max(_BATCH_SIZES), engine.device))).inputs
    found = {}
    for size in _BATCH_SIZES:
        inputs = rows[torch.arange(size, device=rows.device) % len(rows)]
        _timed(networks, inputs, engine.device)
        start = time.perf_counter()
        times: list[float] = []
        while not times or (len(times) < _PASSES and time.perf_counter() - start < _SECONDS):
            times.append(_timed(networks, inputs, engine.device))
        found[size] = statistics.median(times)
    return found


def measure_teacher_on_test(
    networks: Sequence[nn.Module],
    section: TeacherSection,
    student: Tensor,
    data: Data,
    engine: Engine,
    rows: int,
    *,
    workers: int,
) -> TeacherResult | None:
    """Return the teacher measured on test beside its student; every process must call this.

    Args:
        networks: that taught; of several, their mean distribution is measured. Of none there is nothing to measure.
        section: names them.
        student: its logits on test.
        data: whose test split is read.
        engine: on which networks run, in float32.
        rows: of a batch.
        workers: processes that read ahead.

    Raises:
        RunError: for logits that are not finite.
    """
    if not networks:
        return None
    found = [predict_split(each, data.test, data, engine, rows, workers=workers) for each in networks]
    logits = found[0] if len(found) == 1 else average_outputs([Outputs(each) for each in found], data.task).logits
    labels, is_multilabel = data.test.labels, data.task == "multilabel"
    return TeacherResult(
        name=_name(section, networks),
        parameters=sum(parameter.numel() for network in {*networks} for parameter in network.parameters()),
        bytes=sum(map(_bytes, {*networks})),
        latency=latency(networks, data, engine),
        test=dict(measure(logits, labels, data.test.truth).as_dict()),
        fidelity=None if is_multilabel else asdict(compare(student, logits, labels)),
        outcomes=None if is_multilabel else asdict(outcomes(student, logits, labels)),
        temperatures=[float(each.temperature) for each in networks if isinstance(each, Calibrated)],
    )


def _bytes(network: nn.Module) -> int:
    box = black_box_in(network)
    return sum(tensor.nbytes for tensor in network.state_dict().values()) if box is None else box.bytes


@torch.no_grad()
def _timed(networks: Sequence[nn.Module], inputs: Tensor, device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    for network in networks:
        network(inputs)
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _name(section: TeacherSection, networks: Sequence[nn.Module]) -> str:
    if section.path is None:
        model = section.model
        return type(networks[0]).__name__ if model is None else model if isinstance(model, str) else model.name
    paths = (section.path,) if isinstance(section.path, str) else section.path
    return ", ".join(map(shown_name, paths))
