"""What holds for every objective in the registries; a new one is held to it by its registry line alone."""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import preceptor.objectives
from preceptor.data.augment.extra_views import EXTRA_VIEWS
from preceptor.errors import UsageError
from preceptor.models import observe
from preceptor.models.zoo.small import ConvNet
from preceptor.objectives.base import BuildContext, FeatureShapes, Objective, Taps
from preceptor.objectives.distill import METHODS
from preceptor.objectives.entry import Entry
from preceptor.objectives.teacher import OBJECTIVES, SUMS
from preceptor.objectives.weighted import Sum
from preceptor.types import Batch, Outputs, Progress, Step, View
from started import run

PACKAGES = {"teacher": OBJECTIVES, "distill": METHODS}
ENTRIES = [
    pytest.param(package, key, entry, id=key) for package, entries in PACKAGES.items() for key, entry in entries.items()
]
every = pytest.mark.parametrize(("package", "key", "entry"), ENTRIES)
BATCH, CLASSES = 6, 5
LONG = {"sskd": 216, "lipschitz": 152, "crd": 171}  # two losses in one; two banks
NOT_OF_TWO_CLASSES = {"ldrld"}  # pairs of classes and, beside them, others
EQUAL_CHANNELS = {"fsp", "kdsvd"}  # they compare maps channel by channel
SOURCE = Path(preceptor.objectives.__file__).parent
TESTS = Path(__file__).parents[1] / "objectives"


def outputs(seed: int, channels: int, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> Outputs:
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return (scale * torch.randn(*shape, generator=random)).to(dtype).requires_grad_()

    def draw_outputs() -> tuple[Tensor, dict[str, Tensor]]:
        maps = {f"block{k}": draw(BATCH, channels * k, 9 - 2 * k, 8 - k) for k in (1, 2, 3)}
        before = {f"{name}_preact": draw(*value.shape) for name, value in maps.items()}
        pooled = maps["block3"].detach().mean((2, 3)).requires_grad_()
        features = {"stem": draw(BATCH, channels, 8, 8), **maps, **before, "pooled": pooled}
        return draw(BATCH, CLASSES), features

    views = {name: Outputs(*draw_outputs()) for name in EXTRA_VIEWS}
    return Outputs(*draw_outputs(), views, tuple(Outputs(*draw_outputs()) for _ in range(2)))


def network(channels: int, classes: int = CLASSES) -> ConvNet:
    """A network whose widths are those of `outputs`."""
    return ConvNet([channels, 2 * channels, 3 * channels], 1, num_classes=classes, in_channels=3)


def make_step(package: str, key: str = "", dtype: torch.dtype = torch.float32, scale: float = 1.0) -> Step:
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    batch = Batch(torch.zeros(BATCH, 3, 8, 8), labels, torch.arange(BATCH), View("none", 0, 2))
    teacher = outputs(1, 2 if key in EQUAL_CHANNELS else 3, dtype, scale) if package == "distill" else None
    torch.manual_seed(0)
    return Step(batch, outputs(0, 2, dtype, scale), teacher, network(2), Progress(2, 10, 0.1))


def offer(out: Outputs | None) -> FeatureShapes:
    return {} if out is None else {name: tuple(value.shape[1:]) for name, value in out.features.items()}


def prepare(objective: Objective, step: Step) -> Step:
    """Wrap, tap, build and calibrate as a run does; return the step with the features of the network that is then trained."""
    student_outputs, teacher_outputs = _float(step.student), step.teacher and _float(step.teacher)
    assert step.batch.labels is not None
    classes = step.student.logits.shape[1]
    context = BuildContext(
        num_samples=len(step.batch.index),
        num_classes=classes,
        student=student_outputs,
        teacher=teacher_outputs,
        model=step.model,
        teacher_model=None
        if teacher_outputs is None
        else network(teacher_outputs.features["pooled"].shape[1] // 3, classes),
        labels=step.batch.labels,
        batch_size=len(step.batch.index),
        inputs=step.batch.inputs[:2],
        new_network=lambda name: network(2, classes),
    )
    model = objective.wrap_student(step.model, context)
    if model is not step.model:
        with torch.no_grad():
            new = observe(model.eval())(step.batch.inputs).features
        fresh = {n: torch.randn_like(v).to(step.student.logits.dtype).requires_grad_() for n, v in new.items()}
        features = {**{n: v for n, v in fresh.items() if n not in step.student.features}, **step.student.features}
        step = replace(step, model=model, student=replace(step.student, features=features))
        context = replace(context, student=_float(step.student), model=model)
    objective.taps(offer(step.student), offer(step.teacher))
    objective.build(context)
    objective.calibrate([step])
    return step


def make(entry: Entry, step: Step, *, has_past: bool = True) -> tuple[Objective, Step]:
    torch.manual_seed(0)
    objective = entry.objective()
    step = prepare(objective, step)
    if not has_past:
        return objective.eval(), step
    past, teacher_outputs = outputs(7, 2), step.teacher and _float(step.teacher)
    past = replace(past, features={**step.student.features, **past.features})
    objective.loss(
        replace(step, progress=Progress(1, 10, 0.0), student=_float(past), teacher=teacher_outputs)
    )  # so that memory banks have a past
    return objective.eval(), step


def leaves(out: Outputs | None) -> list[Tensor]:
    if out is None:
        return []
    extra_views = [tensor for inner in (*out.views.values(), *out.members) for tensor in leaves(inner)]
    return [out.logits, *out.features.values(), *extra_views]


@every
def test_a_finite_float32_scalar_whose_gradient_reaches_the_student_alone(package: str, key: str, entry: Entry) -> None:
    objective, step = make(entry, make_step(package, key))
    value = objective.loss(step)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    value.backward()
    reached = [t.grad for t in [*leaves(step.student), *step.model.parameters()] if t.grad is not None]
    assert any(gradient.abs().sum() > 0 for gradient in reached)
    assert all(tensor.grad is None for tensor in leaves(step.teacher))


@pytest.mark.parametrize("key", METHODS)
def test_zero_where_student_and_teacher_are_equal(key: str) -> None:
    """Unless the docstring of its function says that it is "not 0 at equality", or a connector stands between."""
    step = make_step("distill", key)
    same = replace(step, teacher=replace(step.student, members=(step.student, step.student)))
    function = importlib.import_module(METHODS[key].objective.__module__).__dict__[f"{key}_loss"]
    objective, same = make(METHODS[key], same)
    if not _needs_labels(METHODS[key], key):
        same = replace(same, batch=replace(same.batch, labels=None))
    is_zero = abs(objective.loss(same).item()) < 1e-4
    connected = any(True for _ in objective.parameters()) or same.model is not step.model
    assert connected or is_zero == ("not 0 at equality" not in function.__doc__)


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs_are_computed_in_float32(
    package: str, key: str, entry: Entry, dtype: torch.dtype
) -> None:
    step = make_step(package, key, dtype)
    objective, step = make(entry, step)
    exact = replace(step, student=_float(step.student), teacher=step.teacher and _float(step.teacher))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = copy.deepcopy(objective).loss(step)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(objective.loss(exact).item(), rel=0.02, abs=1e-5)


@every
@pytest.mark.parametrize("scale", [0.0, 500.0, 1e4])
def test_zero_and_extreme_inputs_stay_finite_in_value_and_gradient(
    package: str, key: str, entry: Entry, scale: float
) -> None:
    objective, step = make(entry, make_step(package, key, scale=scale))
    value = objective.loss(step)
    value.backward()
    assert torch.isfinite(value)
    for tensor in [*leaves(step.student), *step.model.parameters()]:
        assert tensor.grad is None or torch.isfinite(tensor.grad).all()


@every
def test_the_state_makes_a_round_trip(package: str, key: str, entry: Entry) -> None:
    one, step = make(entry, make_step(package, key))
    two, _ = make(entry, make_step(package, key))
    for parameter in one.parameters():
        nn.init.normal_(parameter)
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.loss(step), two.loss(step))


@every
def test_the_order_of_the_batch_does_not_matter(package: str, key: str, entry: Entry) -> None:
    objective, step = make(entry, make_step(package, key))
    function = importlib.import_module(entry.objective.__module__).__dict__[f"{key}_loss"]
    if "depends on the order of the batch" in function.__doc__:
        pytest.skip("it depends on the order of the batch, and says so")
    order = torch.tensor([3, 0, 5, 1, 4, 2])

    def turned(out: Outputs) -> Outputs:
        return _each(out, lambda value: value[order])

    labels = step.batch.labels
    assert labels is not None
    batch = replace(step.batch, labels=labels[order], index=step.batch.index[order])
    shuffled = replace(step, batch=batch, student=turned(step.student), teacher=step.teacher and turned(step.teacher))
    value = copy.deepcopy(objective).loss(shuffled)
    torch.testing.assert_close(value, objective.loss(step), rtol=1e-4, atol=1e-6)


@every
def test_what_compares_rows_says_so(package: str, key: str, entry: Entry) -> None:
    """The mean loss of two halves equals that of the full batch, unless the objective compares rows.

    Both are tried without a past and with one: crd compares rows in its first step only, and confidence_ranking has nothing to
    say before it. The same holds for what trains in a stage of its own.
    """
    cases: dict[str, list[tuple[bool, bool]]] = {}
    for has_past in (False, True):
        objective, step = make(entry, make_step(package, key), has_past=has_past)
        stage = objective.pretraining()
        for each in (objective, *([] if stage is None else [stage.objective.eval()])):
            full_loss = copy.deepcopy(each).loss(step)
            halves = [copy.deepcopy(each).loss(step.rows(*rows)) for rows in ((0, BATCH // 2), (BATCH // 2, BATCH))]
            differs = not torch.allclose(torch.stack(halves).mean(), full_loss, rtol=1e-4, atol=1e-6)
            cases.setdefault(type(each).__name__, []).append((each.compares_rows, differs))
    for name, outcomes in cases.items():
        assert all(is_declared or not differs for is_declared, differs in outcomes), (
            f"{name}: compares rows, undeclared"
        )
        assert any(is_declared == differs for is_declared, differs in outcomes), (
            f"{name}: compares no rows, and declares it"
        )


@every
def test_two_classes_and_a_batch_of_one_work(package: str, key: str, entry: Entry) -> None:
    step = make_step(package, key)

    def cut(out: Outputs, rows: int) -> Outputs:
        less = _each(out, lambda value: value[:rows])
        few = [replace(inner, logits=inner.logits[:, :2]) for inner in (less, *less.views.values(), *less.members)]
        views, members = few[1 : 1 + len(less.views)], few[1 + len(less.views) :]
        return replace(few[0], views=dict(zip(less.views, views, strict=True)), members=tuple(members))

    for rows in (1, 6):
        labels = torch.zeros(rows, dtype=torch.long)
        batch = replace(step.batch, inputs=step.batch.inputs[:rows], labels=labels, index=torch.arange(rows))
        student, teacher = cut(step.student, rows), step.teacher and cut(step.teacher, rows)
        objective = entry.objective()
        if key in NOT_OF_TWO_CLASSES:
            with pytest.raises(UsageError, match=f"^method {key} .* the data has 2$"):
                prepare(objective, replace(step, batch=batch, student=student, teacher=teacher, model=network(2, 2)))
            continue
        small = prepare(objective, replace(step, batch=batch, student=student, teacher=teacher, model=network(2, 2)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert torch.isfinite(objective.eval().loss(small))


def printed(script: str, folder: Path) -> Any:
    """Return what a script prints in a process of its own without run-time type checks."""
    file = folder / "script.py"
    file.write_text(script)
    return json.loads(run([str(file)], check=True).stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong by key; run-time type checks are not compiled."""
    script = f"""
import copy, json, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(TESTS.parent)!r}]
import torch
from test_contract import PACKAGES, make, make_step
wrong = {{}}
for package, entries in PACKAGES.items():
    for key, entry in entries.items():
        objective, step = make(entry, make_step(package, key))
        plain = copy.deepcopy(objective).loss(step)
        try:
            torch.testing.assert_close(torch.compile(objective.loss, backend="eager")(step), plain)
        except Exception as error:
            wrong[key] = repr(error)
print(json.dumps(wrong))
"""
    wrong: dict[str, str] = printed(script, tmp_path_factory.mktemp("compiled"))
    return wrong


@every
def test_compiled_is_the_same(package: str, key: str, entry: Entry, compiled: dict[str, str]) -> None:
    assert key not in compiled, compiled[key]


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What each objective says of wrong tensors, by key and wrong argument, as users have it: without run-time type checks."""
    script = f"""
import inspect, json, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(TESTS.parent)!r}]
import torch
from test_contract import PACKAGES, make, make_step
messages = {{}}
for package, entries in PACKAGES.items():
    for key, entry in entries.items():
        objective, step = make(entry, make_step(package, key))
        takes = inspect.signature(objective.forward).parameters
        logits, labels = step.student.logits.detach(), step.batch.labels
        maps = list(step.student.features.values())[:2]
        right = dict(logits=logits, student_logits=logits, teacher_logits=logits, labels=labels, index=step.batch.index, epoch=2)
        right["sample_logits"] = logits[None]
        regions = logits[:, :, None]
        right |= dict(student_maps=maps, teacher_maps=maps, student_regions=regions, teacher_regions=regions)
        sides = dict(student=step.student, teacher=step.teacher)
        right |= {{f"{{who}}_embedding": out.features["pooled"].detach() for who, out in sides.items() if out}}
        if key == "ensemble":
            right["teacher_logits"] = [logits, logits]
        wrong = []
        if "student_logits" in takes:
            wrong += [("student_logits", "shape", logits[:, :3]), ("student_logits", "kind", logits.long())]
        if "labels" in takes and takes["labels"].default is inspect.Parameter.empty:
            columns = torch.nn.functional.one_hot(labels, logits.shape[1])
            wrong += [("labels", "floats", labels.float()), ("labels", "columns", columns), ("labels", "few", labels[:2])]
        if "student_maps" in takes and key != "semckd":
            wrong += [("student_maps", "bare", maps[0]), ("student_maps", "vectors", [logits, logits])]
        for name, what, value in wrong:
            arguments = {{each: right[each] for each in takes if each in right}} | {{name: value}}
            try:
                objective(**arguments)
            except ValueError as error:
                messages.setdefault(key, {{}})[name + " " + what] = str(error)
            except Exception as error:
                messages.setdefault(key, {{}})[name + " " + what] = repr(error)
            else:
                messages.setdefault(key, {{}})[name + " " + what] = "nothing"
print(json.dumps(messages))
"""
    messages: dict[str, dict[str, str]] = printed(script, tmp_path_factory.mktemp("refused"))
    return messages


@every
def test_wrong_tensors_are_refused_by_name(
    package: str, key: str, entry: Entry, refused: dict[str, dict[str, str]]
) -> None:
    """Logits of other classes or of integers, labels that are no classes, a map where a list of them is due."""
    takes = set(inspect.signature(entry.objective.forward).parameters)
    if key not in refused:
        assert key == "semckd" or not takes & {"student_logits", "student_maps"}
        pytest.skip("it takes neither logits of two networks, nor labels, nor lists of maps")
    for wrong, message in refused[key].items():
        assert message.startswith(wrong.split()[0]), f"{wrong}: {message}"
        assert wrong != "student_logits shape" or f"shapes ({BATCH}, 3) and ({BATCH}, {CLASSES})" in message


@every
def test_double_precision_is_kept(package: str, key: str, entry: Entry) -> None:
    objective, step = make(entry, make_step(package, key))
    exact = copy.deepcopy(objective).loss(step)
    objective = objective.double()
    student, teacher = _as(step.student, torch.float64), step.teacher and _as(step.teacher, torch.float64)
    value = objective.loss(replace(step, student=student, teacher=teacher, model=step.model.double()))
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(exact.item(), rel=1e-4, abs=1e-6)


@every
def test_rows_without_labels_are_learnt_from_or_left_out(package: str, key: str, entry: Entry) -> None:
    objective, step = make(entry, make_step(package, key))
    full_loss = copy.deepcopy(objective).loss(step)
    bare = replace(step, batch=replace(step.batch, labels=None))
    assert step.batch.labels is not None
    partly = replace(step, batch=replace(step.batch, labels=step.batch.labels[:4]))
    if objective.needs_labels:
        with pytest.raises(UsageError, match="needs labels, and 6 of 6 rows have none"):
            objective.loss(bare)
        assert Sum(it=(1.0, copy.deepcopy(objective))).terms(bare) == {}
        first = copy.deepcopy(objective).loss(partly.rows(0, 4))
        assert torch.equal(Sum(it=(1.0, objective)).terms(partly)["it"], first)
        return
    for unlabelled in (bare, partly):
        loss = copy.deepcopy(objective).loss(unlabelled)
        assert torch.isfinite(loss)
        says = (inspect.getdoc(entry.objective) or "") + (inspect.getdoc(objective.loss) or "")
        assert "without" in says or torch.equal(loss, full_loss)  # unused, or documented


@every
def test_inputs_beyond_the_samples_are_learnt_from_or_left_out(package: str, key: str, entry: Entry) -> None:
    objective, step = make(entry, make_step(package, key))
    beyond = replace(step, batch=replace(step.batch, labels=None, index=step.batch.index[:0]))
    before = copy.deepcopy(objective.state_dict())
    terms = Sum(it=(1.0, objective)).terms(beyond)
    assert ("it" in terms) == (not objective.needs_samples and not objective.needs_labels)
    if objective.needs_samples:
        assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())
    elif "it" in terms:
        assert torch.isfinite(terms["it"])


@pytest.mark.parametrize("key", METHODS)
def test_a_method_without_a_teacher_says_so(key: str) -> None:
    objective, step = make(METHODS[key], make_step("distill", key))
    with pytest.raises(UsageError, match="learns from a teacher, and the run has none"):
        objective.loss(replace(step, teacher=None))


@pytest.mark.parametrize("key", METHODS)
def test_a_network_without_features_is_enough_or_the_method_says_what_it_needs(key: str) -> None:
    objective = METHODS[key].objective()
    offered = offer(prepare(objective, make_step("distill", key)).student)
    if objective.taps(offered, offered) == Taps():
        assert objective.taps({}, {}) == Taps()
    else:
        if objective.taps(offered, offered).student:
            with pytest.raises(UsageError, match=f"method {key} needs feature.* student.* offers none"):
                objective.taps({}, offered)
        if not objective.taps(offered, offered).teacher:
            assert objective.taps(offered, {}) == objective.taps(offered, offered)
            return
        with pytest.raises(UsageError, match=f"method {key} needs feature.* teacher.* offers none"):
            objective.taps(offered, {})


def test_sums_and_companions_name_what_there_is() -> None:
    named = [*SUMS.values(), *(entry.companions for entry in METHODS.values())]
    assert {name for weights in named for name in weights} <= {*OBJECTIVES, "kd"}
    assert not set(SUMS) & {*OBJECTIVES, *METHODS}
    for weights in named:
        clocks = [Progress(epoch, 10, (epoch - 1) / 10) for epoch in range(1, 11)]
        assert all(
            isinstance(weight, float) or 0 <= weight(progress) <= 3
            for weight in weights.values()
            for progress in clocks
        )


@every
def test_names_agree_everywhere(package: str, key: str, entry: Entry) -> None:
    module = importlib.import_module(f"preceptor.objectives.{package}.{key}")
    name = entry.objective.__name__
    assert name.lower() == key.replace("_", "")
    assert set(module.__all__) >= {name, f"{key}_loss"}
    assert (TESTS / package / f"test_{key}.py").exists()
    text = (SOURCE / package / f"{key}.py").read_text()
    assert len(text.splitlines()) <= LONG.get(key, 150)
    assert "Source:" in (module.__doc__ or "")
    function = getattr(module, f"{key}_loss")
    assert "Returns:" in function.__doc__
    assert ">>>" in function.__doc__
    for hyperparameter in inspect.signature(entry.objective).parameters.values():
        assert (
            hyperparameter.kind in {hyperparameter.VAR_POSITIONAL, hyperparameter.VAR_KEYWORD}
            or hyperparameter.default is not hyperparameter.empty
        )


@every
def test_every_file_has_a_registry_line(package: str, key: str, entry: Entry) -> None:
    files = {path.stem for path in (SOURCE / package).glob("*.py")} - {"__init__"}
    assert files == set(PACKAGES[package])


def _needs_labels(entry: Entry, key: str) -> bool:
    function = importlib.import_module(entry.objective.__module__).__dict__[f"{key}_loss"]
    own, method = (inspect.signature(of).parameters.get("labels") for of in (function, entry.objective.forward))
    return own is not None or (method is not None and key not in METHODS)


def _float(out: Outputs) -> Outputs:
    return _as(out, torch.float32)


def _as(out: Outputs, dtype: torch.dtype) -> Outputs:
    return _each(out, lambda value: value.detach().to(dtype))


def _each(out: Outputs, change: Callable[[Tensor], Tensor]) -> Outputs:
    return Outputs(
        change(out.logits),
        {name: change(value) for name, value in out.features.items()},
        {name: _each(view, change) for name, view in out.views.items()},
        tuple(_each(member, change) for member in out.members),
    )
