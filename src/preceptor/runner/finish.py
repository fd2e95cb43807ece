"""The end of a run: the network measured on test, once, and everything written down."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from preceptor.artifacts.create import resolved_section
from preceptor.artifacts.provenance import command_line, git_commit, versions
from preceptor.artifacts.run_folder import RunFolder
from preceptor.assessment import Metrics, measure, reliability
from preceptor.config.protocols import resolved
from preceptor.config.sections import Recipe
from preceptor.data import Data, Split, plain_batches
from preceptor.models import ReusedClassifier, load_weights, save_weights
from preceptor.runner.result import Result
from preceptor.training import Engine, FitResult, Learner, predict

__all__ = ["finish", "finished", "now", "score"]


def score(
    network: nn.Module, split: Split, data: Data, engine: Engine, batch_size: int, *, workers: int = 0
) -> tuple[Metrics, Tensor]:
    """Return a network's metrics on one part of the data, and its logits there.

    Args:
        network: returns logits.
        split: what it is measured on.
        data: says how its inputs are normalised.
        engine: on which the network runs.
        batch_size: rows at once, over all processes.
        workers: processes that read ahead.
    """
    batches = plain_batches(
        split,
        data.normalisation,
        batch_size,
        engine.device,
        workers=workers,
        rank=engine.processes.rank,
        world_size=engine.processes.count,
    )
    logits = predict(network, batches, engine)
    return measure(logits, split.labels, split.truth), logits


def finish(
    learner: Learner,
    course: FitResult,
    recipe: Recipe,
    data: Data,
    engine: Engine,
    folder: RunFolder,
    started: str,
    origin: Mapping[str, Any],
) -> Result:
    """Measure the network on test, and write its weights and the record of the run.

    Args:
        learner: holds the network that the run ends with.
        course: how training went.
        recipe: resolved.
        data: whose test split is read.
        engine: on which the network runs.
        folder: is written to.
        started: when, as `now` says it.
        origin: further entries of the record: what the run came from.
    """
    batch_size = 4 * resolved(recipe.batch_size, "batch_size")
    network = learner.network.release().eval()
    metrics, logits = score(network, data.test, data, engine, batch_size, workers=recipe.workers)
    model = learner.full_network().eval()
    history = folder.history()
    last = history[-1]
    record: dict[str, Any] = {
        "kind": recipe.kind,
        "command": command_line(),
        "seed": recipe.seed,
        "test": metrics.as_dict(),
        "test_name": data.test_name,
        "selected_epoch": course.selected_epoch,
        "validation": dict(course.validation),
        "train": {"loss": last["train"]["loss"], "accuracy": last["train"]["accuracy"]},
        **({} if data.task == "multilabel" else {"reliability": _bars(logits, data.test.labels)}),
        "history": history,
        "seconds": course.seconds,
        "images_per_second": statistics.fmean(row["images_per_second"] for row in history),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "task": data.task,
        "num_classes": data.num_classes,
        "class_names": list(data.class_names),
        "input_shape": list(data.input_shape),
        "input_dtype": "uint8" if data.test.inputs(torch.tensor([0])).dtype == torch.uint8 else "float32",
        "normalisation": asdict(data.normalisation),
        "vocabulary": None if data.vocabulary is None else asdict(data.vocabulary),
        "table": None if data.table is None else data.table.as_dict(),
        "data_fingerprint": data.fingerprint,
        "source_fingerprint": data.source_fingerprint,
        "truth_fingerprint": data.truth_fingerprint,
        **origin,
        "model": resolved_section(recipe.model, model),
        "reuse": asdict(model.reuse) if isinstance(model, ReusedClassifier) else None,
        "device": str(engine.device),
        "precision": engine.precision,
        "compiled": engine.compiles,
        "versions": versions(),
        "git": git_commit(),
        "started": started,
        "finished": now(),
    }
    model = model.cpu()
    save_weights(model, folder.weights)
    folder.write_result(record)
    return Result(metrics, model, folder.path, record)


def _bars(logits: Tensor, labels: Tensor) -> list[dict[str, float]]:
    return [asdict(bar) for bar in reliability(logits, labels)]


def finished(folder: RunFolder, model: nn.Module, data: Data, engine: Engine, workers: int) -> Result:
    """Return the result of a run that had ended before; `model` gets its weights."""
    load_weights(model, folder.weights)
    record = folder.read_result()
    metrics, _ = score(engine.place(model), data.test, data, engine, 256 * engine.processes.count, workers=workers)
    return Result(metrics, model.cpu().eval(), folder.path, record)


def now() -> str:
    """Return the time, in seconds, with its zone."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
