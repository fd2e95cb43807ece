"""The parts of a run put together: both networks tapped, the objective built from what a dry forward pass shows."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from preceptor.artifacts.compatibility import check_number
from preceptor.artifacts.create import reading_notes
from preceptor.artifacts.provenance import fingerprint
from preceptor.artifacts.teachers import load_anchors, load_teachers
from preceptor.config.sections import DistillRecipe, Recipe
from preceptor.data import Data, Split, plain_batches
from preceptor.errors import UsageError
from preceptor.labels import LabelStore
from preceptor.models import feature_names, observe
from preceptor.objectives.base import BuildContext, FeatureShapes
from preceptor.objectives.distill import METHODS
from preceptor.objectives.teacher import OBJECTIVES
from preceptor.objectives.weighted import Sum
from preceptor.training import (
    Engine,
    EnsembleTeacher,
    Learner,
    LiveTeacher,
    OracleTeacher,
    SequentialTeacher,
    StoredTeacher,
    TeacherSource,
    forward_flops,
    together,
)
from preceptor.types import Outputs

__all__ = ["RunComponents", "TeacherSet", "assemble", "find_teachers"]


@dataclass(frozen=True, slots=True)
class TeacherSet:
    """Who is asked in a run.

    Attributes:
        networks: the teachers, all asked about every batch; none when a teacher is being trained.
        anchors: earlier states of the one teacher, asked before it.
        truth: the true label distribution [samples, classes] instead of a network.
        store: what the teachers said, instead of asking them.
    """

    networks: Sequence[nn.Module] = ()
    anchors: Sequence[nn.Module] = ()
    truth: Tensor | None = None
    store: LabelStore | None = None

    @property
    def fingerprints(self) -> list[str]:
        """Of all the networks' weights and statistics."""
        if self.store is not None:
            return list(self.store.manifest.source.teachers)
        return [fingerprint(network) for network in (*self.anchors, *self.networks)]


@dataclass(frozen=True, slots=True)
class RunComponents:
    """What is trained, where its teacher's answers come from, and the engine both run on."""

    learner: Learner
    source: TeacherSource | None
    engine: Engine
    notes: tuple[str, ...]


def find_teachers(recipe: Recipe, given: nn.Module | None, store: LabelStore | None, data: Data) -> TeacherSet:
    """Return the teachers of a recipe: what they said, where that is stored.

    Raises:
        UsageError: when one cannot be used.
    """
    if not isinstance(recipe, DistillRecipe):
        return TeacherSet()
    if recipe.teacher.truth:
        if data.train.truth is None:
            raise UsageError(f"teacher.truth: data {data.name} does not know its true label distribution")
        if recipe.inputs.name != "real" or recipe.unlabelled is not None or data.pool is not None:
            raise UsageError(
                "teacher.truth: is known of the labelled training samples only; use no inputs= and no pool"
            )
        return TeacherSet(truth=data.train.truth)
    if store is not None:
        return TeacherSet(store=store)
    anchors = () if given is not None else load_anchors(recipe.teacher, data)
    return TeacherSet(load_teachers(recipe.teacher, data, given=given), anchors)


def _check_multilabel(objective: Sum) -> None:
    """Check that every term means something where several classes can be present at once."""
    for name, term in objective.named_terms():
        if term.multilabel is None:
            known = ", ".join(key for key, entry in {**OBJECTIVES, **METHODS}.items() if entry.objective.multilabel)
            raise UsageError(f"{name}: is not made for multi-label data; there are {known}")


def _check_logits_only(objective: Sum, store: LabelStore, before: BuildContext) -> None:
    """Check that an objective asks a teacher for nothing but its logits.

    Raises:
        UsageError: when it asks for more.
    """
    live = f"labels {store.folder} hold logits only, and this method needs the teacher itself: teacher=RUN, no labels"
    if objective.views():
        raise UsageError(f"{live} (further views: {', '.join(objective.views())})")
    try:
        wanted = objective.taps(_offer(before.student), {}).teacher
    except UsageError as error:
        raise UsageError(f"{live} ({error})") from error
    if wanted:
        raise UsageError(f"{live} (features: {', '.join(wanted)})")


def assemble(
    model: nn.Module,
    objective: Sum,
    staff: TeacherSet,
    recipe: Recipe,
    data: Data,
    engine: Engine,
    *,
    pool: Split | None,
    rows: int,
) -> RunComponents:
    """Return the learner and its teacher source.

    Args:
        model: is trained.
        objective: of the run.
        staff: who is asked.
        recipe: resolved.
        data: whose training split is shown.
        engine: not yet decided where that depends on the work.
        pool: samples without labels, or None.
        rows: of a full batch as all processes see it together, without further views.

    Raises:
        UsageError: for class counts that differ, a term that the task has no use for, or features that the objective cannot
            work with.
    """
    if data.task == "multilabel":
        _check_multilabel(objective)
    sample = next(plain_batches(data.train, data.normalisation, 2, engine.device)).inputs

    def setting(student: nn.Module, names: Sequence[str] | None, teacher_names: Sequence[str] | None) -> BuildContext:
        answers = [_dry(teacher, teacher_names, sample, engine, "teacher") for teacher in staff.networks]
        return BuildContext(
            num_samples=len(data.train) + (0 if pool is None else len(pool)),
            num_classes=data.num_classes,
            student=_dry(student, names, sample, engine, "student"),
            teacher=_first_answers(answers, staff, data, engine),
            model=student,
            teacher_model=staff.networks[0] if staff.networks else None,
            labels=data.train.labels,
            batch_size=max(min(recipe.batch_size or 1, len(data.train)) // recipe.accumulate, 1),
            task=data.task,
        )

    before = setting(model, None, None)
    _check_classes(before, data)
    student = objective.wrap_student(model, before)
    if student is not model:
        before = setting(student, None, None)
    if engine.compiles is None:
        engine = engine.decide(_work(student, staff, recipe, data, sample))
    if staff.store is not None:
        _check_logits_only(objective, staff.store, before)
    taps = objective.taps(_offer(before.student), _offer(before.teacher))
    objective.build(setting(student, taps.student, taps.teacher))
    rows = len(range(engine.processes.rank, rows, engine.processes.count))  # of this process
    rows = -(-rows // recipe.accumulate) * (1 + len(objective.views()))
    plain = copy.deepcopy(student).cpu() if engine.sharding == "all" else None
    network = engine.place(observe(student, taps.student))
    learner = engine.place(Learner(network, objective, engine.accelerate(network, rows), plain))
    engine.shard(student, "student")
    read = (*reading_notes("model", [model]), *reading_notes("teacher", staff.networks))
    notes = (*read, *objective.notes(), *_seen_in_parts(objective, recipe.accumulate))
    return RunComponents(learner, _source(staff, taps.teacher, recipe, data, engine, rows), engine, notes)


def _seen_in_parts(objective: Sum, passes: int) -> tuple[str, ...]:
    """Return a line on the terms that compare rows, where a batch is split into several passes."""
    comparing = [name for name, term in objective.named_terms() if name in objective.running and term.compares_rows]
    if passes == 1 or not comparing:
        return ()
    return (
        f"accumulate: rows are compared within one of {passes} passes, not over the batch ({', '.join(comparing)})",
    )


def _work(student: nn.Module, staff: TeacherSet, recipe: Recipe, data: Data, sample: Tensor) -> float:
    """Return the floating-point operations of the run: a step costs the student three forward passes, a teacher one."""
    assert recipe.epochs is not None
    teachers = sum(forward_flops(network, sample) for network in staff.networks)
    return (3 * forward_flops(student, sample) + teachers) * len(data.train) * recipe.epochs


def _source(
    staff: TeacherSet, names: Sequence[str], recipe: Recipe, data: Data, engine: Engine, rows: int
) -> TeacherSource | None:
    if staff.truth is not None:
        return OracleTeacher(staff.truth, engine)
    if staff.store is not None:
        return StoredTeacher(staff.store, engine)
    live = [LiveTeacher(observe(network, names), engine, rows) for network in staff.networks]
    if not staff.anchors:
        return None if not live else live[0] if len(live) == 1 else EnsembleTeacher(live, data.task)
    route = [*(LiveTeacher(observe(network, names), engine, rows) for network in staff.anchors), *live]
    assert isinstance(recipe, DistillRecipe)
    assert recipe.epochs is not None
    switches = recipe.teacher.switch_epochs
    if switches is None:
        switches = tuple(1 + round(recipe.epochs * k / len(route)) for k in range(1, len(route)))
    if len(switches) != len(route) - 1 or list(switches) != sorted(switches):
        raise UsageError(
            f"teacher.switch_epochs: {list(switches)} must be {len(route) - 1} rising epochs, one for each change "
            f"between {len(staff.anchors)} anchors and the teacher"
        )
    return SequentialTeacher(route, switches)


def _dry(network: nn.Module, names: Sequence[str] | None, sample: Tensor, engine: Engine, who: str) -> Outputs:
    """Return what a network says of the sample, in eval mode; None as names: with every feature that it offers."""
    try:
        observed = observe(network, feature_names(network, preactivation=True) if names is None else names)
    except UsageError as error:
        raise UsageError(f"{who}'s {error}") from error  # which names a feature
    was_training = network.training
    engine.place(observed).eval()
    with torch.no_grad(), engine.autocast():
        outputs: Outputs = observed(sample)
    observed.release().train(was_training)
    return outputs


def _first_answers(answers: Sequence[Outputs], staff: TeacherSet, data: Data, engine: Engine) -> Outputs | None:
    if staff.truth is not None:
        return Outputs(staff.truth[:2].float().to(engine.device))
    if staff.store is not None:
        return Outputs(staff.store.logits(1, torch.tensor([0, 1])).to(engine.device))
    return None if not answers else answers[0] if len(answers) == 1 else together(answers, data.task)


def _offer(outputs: Outputs | None) -> FeatureShapes:
    return {} if outputs is None else {name: tuple(value.shape[1:]) for name, value in outputs.features.items()}


def _check_classes(setting: BuildContext, data: Data) -> None:
    for role, outputs in (("model", setting.student), ("teacher", setting.teacher)):
        for answer in () if outputs is None else (outputs, *outputs.members):
            check_number(role, answer.logits.shape[1], data)
