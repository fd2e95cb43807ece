"""The end of a run: the network measured on test, once, and everything written down."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import nn

from preceptor.artifacts.class_files import write_classes, write_confusion
from preceptor.artifacts.create import resolved_section
from preceptor.artifacts.load import load_run_network
from preceptor.artifacts.metrics_log import MetricsLog
from preceptor.artifacts.own_files import MODULES
from preceptor.artifacts.provenance import command_line, git_commit, versions
from preceptor.artifacts.record import RunRecord
from preceptor.artifacts.run_folder import RunFolder
from preceptor.assessment import class_scores, confusion, reliability
from preceptor.config.resolve import ResolvedRecipe
from preceptor.config.sections import ModelSection
from preceptor.data import Data
from preceptor.data.dataset import fingerprint
from preceptor.files import make_folder
from preceptor.models import save_weights
from preceptor.runner.comparison import latency, measure_teacher_on_test
from preceptor.runner.identity import Fingerprints
from preceptor.runner.result import Result
from preceptor.runner.score import score
from preceptor.training import Engine, FitResult, Learner

__all__ = ["Origin", "finish", "now", "reopen"]


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a run.

    Attributes:
        started: the time.
        fingerprints: of what it was made from: see `fingerprints_of`.
        assistants: run folders of the teacher assistants.
        teachers: networks that taught, on the engine's device.
    """

    started: str
    fingerprints: Fingerprints
    assistants: list[str]
    teachers: Sequence[nn.Module] = ()


def finish(
    learner: Learner,
    fitted: FitResult,
    resolved: ResolvedRecipe,
    data: Data,
    engine: Engine,
    folder: RunFolder,
    log: MetricsLog,
    origin: Origin,
) -> Result:
    """Measure the network on test, and write its weights and the record of the run.

    Args:
        learner: holds the network that the run ends with.
        fitted: the result of training.
        resolved: the recipe.
        data: whose test split is read.
        engine: on which the network runs.
        folder: is written to by the first process.
        log: of the run's epochs.
        origin: of the run.
    """
    recipe, network = resolved.stated, learner.network.release().eval()
    precise, rows = engine.in_float32(), 4 * resolved.batch_size
    metrics, logits = score(network, data.test, data, precise, rows, workers=recipe.workers)
    section = resolved.student_inputs.teacher
    teacher = measure_teacher_on_test(origin.teachers, section, logits, data, precise, rows, workers=recipe.workers)
    times = latency([network], data, engine)
    model = learner.full_network().eval()
    history = log.rows()
    bars = None if data.task == "multilabel" else [asdict(bar) for bar in reliability(logits, data.test.labels)]
    model_bytes = None
    if engine.processes.is_first:
        folder.check_kept()
        save_weights(model, folder.weights)
        model_bytes = folder.weights.stat().st_size
        for name, module in learner.objective.trained_modules().items():
            make_folder(folder.path / MODULES)
            save_weights(module, folder.path / MODULES / f"{name}.safetensors")
        write_classes(folder.classes, data.class_names, class_scores(logits, data.test.labels))
        if data.task != "multilabel":
            write_confusion(folder.confusion, data.class_names, confusion(logits, data.test.labels))
    record = RunRecord(
        kind=recipe.kind,
        command=command_line(),
        seed=recipe.seed,
        test=metrics.as_dict(),
        test_name=data.test_name,
        selected_epoch=fitted.selected_epoch,
        validation=dict(fitted.validation),
        train={key: history[-1]["train"][key] for key in ("loss", "accuracy")},
        reliability=bars,
        history=history,
        seconds=fitted.seconds,
        images_per_second=statistics.fmean(row["images_per_second"] for row in history),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        bytes=model_bytes,
        latency=times,
        teacher=teacher,
        task=data.task,
        num_classes=data.num_classes,
        class_names=data.class_names,
        input_shape=data.input_shape,
        input_dtype="uint8" if data.test.inputs(torch.tensor([0])).dtype == torch.uint8 else "float32",
        preprocessing=data.preprocessing,
        vocabulary=data.vocabulary,
        table=None if data.table is None else data.table.as_dict(),
        data_fingerprint=data.fingerprint,
        test_fingerprint=fingerprint(data.test),
        source_fingerprint=data.source_fingerprint,
        truth_fingerprint=data.truth_fingerprint,
        unlabelled_fingerprint=origin.fingerprints["unlabelled"],
        labels_fingerprint=origin.fingerprints["labels"],
        teacher_fingerprint=origin.fingerprints["teacher"],
        start_fingerprint=origin.fingerprints["start_from"],
        assistants=origin.assistants,
        model=resolved_section(recipe.model, model),
        device=str(engine.device),
        precision=engine.precision,
        compiled=bool(engine.compiles),
        versions=versions(),
        git=git_commit(),
        started=origin.started,
        finished=now(),
        checksums=engine.processes.exchange(folder.checksums() if engine.processes.is_first else {})[0],
    )
    if engine.processes.is_first:
        folder.write_record(record)
    return Result(metrics, model.cpu(), folder.path, record)


def reopen(folder: RunFolder, model: nn.Module | ModelSection, data: Data, engine: Engine, workers: int) -> Result:
    """Return the result of a run that has finished before.

    Args:
        folder: of the run.
        model: the network, where it was passed from Python, which gets the weights; or else its section in the recipe.
        data: of the run.
        engine: on which the network runs.
        workers: processes that read ahead.
    """
    network = load_run_network(folder, model=model)
    if isinstance(model, nn.Module) and model.state_dict().keys() == network.state_dict().keys():
        model.load_state_dict(network.state_dict())
        network = model
    rows = 256 * engine.processes.world_size
    metrics, _ = score(engine.place(network), data.test, data, engine.in_float32(), rows, workers=workers)
    return Result(metrics, network.cpu().eval(), folder.path, folder.read_record())


def now() -> str:
    """Return the time, in seconds, with its zone."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
