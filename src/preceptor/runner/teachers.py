"""The teachers of a run: found, turned into a posterior, calibrated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor, nn

from preceptor.artifacts.fingerprints import fingerprint
from preceptor.artifacts.identify import is_run
from preceptor.artifacts.own_files import module_files
from preceptor.artifacts.run_folder import RunFolder
from preceptor.artifacts.teachers import load_anchors, load_teachers
from preceptor.assessment import expected_calibration_error, fit_temperature, grid_temperature
from preceptor.config.resolve import ResolvedRecipe
from preceptor.config.sections import TeacherSection
from preceptor.data import Data, PlainInputs
from preceptor.errors import UsageError
from preceptor.labels import LabelStore
from preceptor.messages import unheard
from preceptor.models import Calibrated
from preceptor.runner.load import LoadedInputs
from preceptor.runner.posterior import sample_posterior
from preceptor.runner.score import predict_split
from preceptor.training import Engine

__all__ = ["TeacherSet", "change_teachers", "find_teachers"]

_BATCH_SIZE = 256


@dataclass(frozen=True, slots=True)
class TeacherSet:
    """The teachers of a run.

    Attributes:
        networks: that run for every batch; none when a teacher is being trained.
        anchors: earlier states of the teacher, which teach before it.
        truth: the true label distribution [samples, classes] instead of a network.
        store: a teacher's outputs instead of a network.
        passes: how often each network runs for a batch: several where it draws random numbers.
        files: of modules that the one teacher's objective trained beside it, by name.
    """

    networks: Sequence[nn.Module] = ()
    anchors: Sequence[nn.Module] = ()
    truth: Tensor | None = None
    store: LabelStore | None = None
    passes: int = 1
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str | None:
        """The fingerprints of all networks' weights and statistics, with commas between them; None: there is no network."""
        stored = None if self.store is None else self.store.manifest.source.teachers
        return ", ".join(stored or map(fingerprint, (*self.anchors, *self.networks))) or None


def find_teachers(
    resolved: ResolvedRecipe,
    inputs: LoadedInputs,
    teacher: nn.Module | Sequence[nn.Module] | None,
    engine: Engine,
    tell: Callable[[str], None] = unheard,
) -> TeacherSet:
    """Return the teachers of a recipe, or their outputs where they are stored.

    Args:
        resolved: names them.
        inputs: data and stored labels.
        teacher: the one teacher, where it was passed from Python.
        engine: on which they run.
        tell: hears which weights of a checkpoint were taken.

    Raises:
        UsageError: when one cannot be used.
    """
    if not resolved.stated.has_teacher:
        return TeacherSet()
    section, data = resolved.student_inputs.teacher, inputs.data
    if section.truth:
        if data.train.truth is None:
            raise UsageError(f"teacher.truth: data {data.name} does not know its true label distribution")
        if not isinstance(resolved.policy, PlainInputs) or inputs.pool is not None:
            raise UsageError(
                "teacher.truth: is known of the labelled training samples only; use no inputs= and no pool"
            )
        return TeacherSet(truth=data.train.truth)
    if inputs.store is not None:
        return TeacherSet(store=inputs.store)
    anchors = () if teacher is not None else load_anchors(section, data)
    networks = load_teachers(section, data, teacher=teacher, tell=tell)
    return change_teachers(
        TeacherSet(networks, anchors, files=_files(section)), section, data, engine, resolved.stated.seed
    )


def _files(section: TeacherSection) -> dict[str, Path]:
    """Return the modules that the teacher's run wrote beside its network; they go with its result, not with an epoch."""
    if not isinstance(section.path, str) or section.epoch is not None or not is_run(Path(section.path)):
        return {}
    folder = RunFolder(section.path)
    return {name: folder.read_weights(file) for name, file in module_files(folder.path).items()}


def change_teachers(teachers: TeacherSet, section: TeacherSection, data: Data, engine: Engine, seed: int) -> TeacherSet:
    """Return teachers with the posterior and the calibration that a section asks for.

    Args:
        teachers: as they were trained.
        section: asks for both.
        data: that they will run on.
        engine: on which they run.
        seed: of the posterior's samples.

    Raises:
        UsageError: for a posterior that cannot be made, or nothing to calibrate with.
    """
    if section.posterior is not None and teachers.anchors:
        raise UsageError("teacher.posterior: goes with one state of a teacher, not with teacher.anchors; choose one")
    networks, passes = sample_posterior(teachers.networks, section, data, engine, seed)
    teachers = replace(teachers, networks=networks, passes=passes)
    if section.calibrate is None:
        return teachers
    if section.posterior == "dropout":
        raise UsageError(
            "teacher.calibrate: a pass with dropout on has no calibration of its own; leave one of them out"
        )
    if data.task == "multilabel":
        raise UsageError("teacher.calibrate: is defined for one class per sample")
    if len(data.validation) == 0:
        raise UsageError(
            "teacher.calibrate: needs samples that were held out: data.validation=0.1, as when it was trained"
        )
    anchors = [_calibrated(each, section.calibrate, data, engine) for each in teachers.anchors]
    return replace(
        teachers,
        anchors=anchors,
        networks=[_calibrated(each, section.calibrate, data, engine) for each in teachers.networks],
    )


def _calibrated(network: nn.Module, by: str, data: Data, engine: Engine) -> Calibrated:
    """Return a network with the temperature that fits best on validation."""
    rows = _BATCH_SIZE * engine.processes.world_size
    logits = predict_split(engine.place(network), data.validation, data, engine.in_float32(), rows)
    labels = data.validation.labels
    by_nll = fit_temperature(logits, labels)
    temperature = grid_temperature(logits, labels) if by == "ece" else by_nll
    before, after = (expected_calibration_error(logits / each, labels) for each in (1.0, temperature))
    found = f"logits divided by {temperature:.3g}" + (f" (by NLL {by_nll:.3g})" if by == "ece" else "")
    note = f"{found}: ECE on {len(labels):,} validation samples {before:.3f} -> {after:.3f}"
    return engine.place(Calibrated(network, temperature, note))
