"""How good networks are as teachers, measured without distilling: `preceptor assess` and `preceptor.assess`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from preceptor.artifacts.compatibility import check_number
from preceptor.artifacts.create import AnyModel, reading_notes
from preceptor.artifacts.identify import is_run
from preceptor.artifacts.load import load_network
from preceptor.artifacts.run_folder import RunFolder
from preceptor.assessment import Fidelity, Profile, compare, fit_temperature, profile
from preceptor.config.sections import ModelSection, OnnxSection
from preceptor.data import Data, Split
from preceptor.errors import UsageError
from preceptor.runner.score import predict_split
from preceptor.training import Engine
from preceptor.types import ClassSelection

__all__ = ["Assessment", "Candidate", "assess_candidates", "load_candidate"]

_BATCH_SIZE = 256


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that may become a teacher.

    Attributes:
        name: in tables.
        network: returns logits.
        data_fingerprint: of the data it was trained on, where its run says so.
        notes: which weights of a checkpoint were taken.
    """

    name: str
    network: nn.Module
    data_fingerprint: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assessment:
    """The measurements of one network.

    Attributes:
        name: of the candidate.
        validation: on held-out training samples; choose a teacher by these. None without validation.
        test: on the test split.
        temperature: with the lowest validation NLL; None without validation.
        calibrated: test, with logits divided by the temperature; None without validation.
        fidelity: agreement with the reference on test; None without a reference.
        notes: caveats for reading the numbers.
    """

    name: str
    validation: Profile | None
    test: Profile
    temperature: float | None
    calibrated: Profile | None
    fidelity: Fidelity | None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values: each profile's numbers by name, and the bars of the reliability diagrams."""
        profiles = {"validation": self.validation, "test": self.test, "calibrated": self.calibrated}
        return {
            "name": self.name,
            "temperature": self.temperature,
            **{name: None if scores is None else scores.as_dict() for name, scores in profiles.items()},
            "fidelity": None if self.fidelity is None else asdict(self.fidelity),
            "bars": {
                name: [asdict(bar) for bar in scores.bars]
                for name, scores in profiles.items()
                if scores is not None and name != "validation"
            },
            "notes": list(self.notes),
        }


def load_candidate(
    path: str | Path,
    model: AnyModel | ModelSection | None,
    data: Data,
    *,
    weights_key: str | None = None,
    classes: ClassSelection = None,
    onnx: OnnxSection | None = None,
) -> Candidate:
    """Return the network of a run folder, an export or a weights file; arguments as for `load_network`.

    Raises:
        UsageError: when it is missing, damaged, unfinished, or a bare weights file without `model`.
    """
    place = Path(path)
    notes: list[str] = []
    network = load_network(
        place, model, data, key="model", weights_key=weights_key, tell=notes.append, classes=classes, onnx=onnx
    )
    if not is_run(place):
        return Candidate(str(place), network, notes=tuple(notes))
    record = RunFolder(place).read_record()
    if len(record.input_shape) != len(data.input_shape):
        raise UsageError(
            f"assess: {place} reads inputs of shape {record.input_shape}, data {data.name} has {data.input_shape}"
        )
    return Candidate(str(place), network, record.data_fingerprint)


def assess_candidates(
    candidates: Sequence[Candidate],
    data: Data,
    engine: Engine,
    *,
    against: Candidate | None = None,
    workers: int = 0,
) -> list[Assessment]:
    """Measure networks on the same data; the results are in the same order.

    Args:
        candidates: at least one.
        data: validation and test are used, training samples are not.
        engine: device and precision.
        against: a reference whose predictions each candidate's are compared with.
        workers: processes that read ahead.

    Raises:
        UsageError: without candidates, for one with another number of classes, or multi-label data.
    """
    if data.task == "multilabel":
        raise UsageError(
            f"assess: data {data.name} is multi-label, where confidence and temperature have no one meaning; use evaluate"
        )
    if not candidates:
        raise UsageError("assess: no network given; preceptor assess RUN_FOLDER ...")
    reference = None if against is None else _logits(against, data.test, data, engine, workers)
    return [_assess(candidate, data, engine, reference, workers) for candidate in candidates]


def _assess(candidate: Candidate, data: Data, engine: Engine, reference: Tensor | None, workers: int) -> Assessment:
    validation, temperature, calibrated = None, None, None
    notes = [*candidate.notes, *reading_notes(candidate.name, [candidate.network])]
    test_logits = _logits(candidate, data.test, data, engine, workers)
    if len(data.validation):
        logits = _logits(candidate, data.validation, data, engine, workers)
        validation = profile(logits, data.validation.labels, data.validation.truth)
        temperature = fit_temperature(logits, data.validation.labels)
        calibrated = profile(test_logits / temperature, data.test.labels, data.test.truth)
    if candidate.data_fingerprint not in {None, data.fingerprint}:
        notes.append(
            f"{candidate.name} was trained on other data or another split: validation may hold its training samples"
        )
    return Assessment(
        name=candidate.name,
        validation=validation,
        test=profile(test_logits, data.test.labels, data.test.truth),
        temperature=temperature,
        calibrated=calibrated,
        fidelity=None if reference is None else compare(test_logits, reference, data.test.labels),
        notes=tuple(notes),
    )


def _logits(candidate: Candidate, split: Split, data: Data, engine: Engine, workers: int) -> Tensor:
    rows = _BATCH_SIZE * engine.processes.world_size
    logits = predict_split(engine.place(candidate.network), split, data, engine, rows, workers=workers)
    check_number(f"assess: {candidate.name}", logits.shape[1], data)
    return logits
