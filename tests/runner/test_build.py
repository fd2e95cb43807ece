from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from preceptor.artifacts.fingerprints import fingerprint
from preceptor.config.resolve import ResolvedRecipe, resolve
from preceptor.config.sections import DataSection, DistillRecipe, ModelSection, ObjectiveSection, TeachRecipe
from preceptor.data import Data, load
from preceptor.errors import UsageError
from preceptor.models import create
from preceptor.runner.build import RunComponents, build
from preceptor.runner.load import LoadedInputs
from preceptor.runner.teachers import TeacherSet, find_teachers
from preceptor.training import EnsembleTeacher, LiveTeacher, OracleTeacher, SequentialTeacher
from small_training import ENGINE

SECTION = DataSection(name="digits", limit=100, test_limit=50)


@pytest.fixture(scope="module")
def data() -> Data:
    return load("digits", limit=100, test_limit=50)


def network(name: str = "convnet_s") -> nn.Module:
    return create(name, num_classes=10, input_shape=(1, 8, 8))


def distil(data: Data, method: str = "kd", **fields: Any) -> ResolvedRecipe:
    values = {"data": SECTION, "model": ModelSection(name="convnet_s"), "method": ObjectiveSection(name=method)}
    return resolve(DistillRecipe.model_validate({**values, "epochs": 6, "batch_size": 16, **fields}), data)


def built(data: Data, resolved: ResolvedRecipe, teachers: TeacherSet) -> RunComponents:
    return build(resolved, LoadedInputs(data, None, None), network(), teachers, ENGINE)


def test_a_teacher_in_training_has_none(data: Data) -> None:
    recipe = TeachRecipe(data=SECTION, model=ModelSection(name="convnet_s"), epochs=1, batch_size=16)
    resolved, inputs = resolve(recipe, data), LoadedInputs(data, None, None)
    teachers = find_teachers(resolved, inputs, None, ENGINE)
    assert teachers == TeacherSet()
    assert teachers.fingerprint is None
    assert built(data, resolved, teachers).teacher is None


def test_the_source_follows_the_teachers(data: Data) -> None:
    resolved = distil(data)
    one, two = network(), network("convnet_m")
    assert isinstance(built(data, resolved, TeacherSet([one])).teacher, LiveTeacher)
    assert isinstance(built(data, resolved, TeacherSet([one, two])).teacher, EnsembleTeacher)
    assert isinstance(built(data, resolved, TeacherSet([one], anchors=[two])).teacher, SequentialTeacher)
    truth = torch.full((len(data.train), 10), 0.1)
    assert isinstance(built(data, resolved, TeacherSet(truth=truth)).teacher, OracleTeacher)
    assert TeacherSet([one], anchors=[two]).fingerprint == f"{fingerprint(two)}, {fingerprint(one)}"


def test_a_method_has_the_features_it_taps_and_its_connectors_are_trained(data: Data) -> None:
    components = built(data, distil(data, "fitnet"), TeacherSet([network("convnet_m")]))
    assert components.teacher is not None
    names = [name for name, _ in components.learner.named_parameters()]
    assert any(name.startswith("objective.") for name in names)
    assert any(name.startswith("network.") for name in names)


def test_the_networks_are_as_they_were_before(data: Data) -> None:
    student, teacher = network(), network("convnet_m")
    before = [{name: value.clone() for name, value in net.state_dict().items()} for net in (student, teacher)]
    build(distil(data, "at"), LoadedInputs(data, None, None), student, TeacherSet([teacher]), ENGINE)
    for state, net in zip(before, (student, teacher), strict=True):
        assert all(torch.equal(value, net.state_dict()[name]) for name, value in state.items())
    assert student.training


def test_what_compares_rows_within_a_pass_is_noted(data: Data) -> None:
    notes = built(data, distil(data, "rkd", accumulate=2), TeacherSet([network()])).notes
    assert any("rows are compared within one of 2 passes" in note for note in notes)
    assert not any("passes" in note for note in built(data, distil(data, "rkd"), TeacherSet([network()])).notes)


def test_what_cannot_be_built(data: Data) -> None:
    resolved = distil(data)
    other = create("convnet_s", num_classes=7, input_shape=(1, 8, 8))
    with pytest.raises(UsageError, match="teacher has 7 classes, data digits has 10"):
        built(data, resolved, TeacherSet([other]))
    switches = distil(data, teacher={"switch_epochs": [3, 2]})
    with pytest.raises(UsageError, match=r"teacher\.switch_epochs: \[3, 2\] must be 1 rising epochs"):
        built(data, switches, TeacherSet([network()], anchors=[network()]))
    truth = distil(data, teacher={"truth": True})
    with pytest.raises(UsageError, match="data digits does not know its true label distribution"):
        find_teachers(truth, LoadedInputs(data, None, None), None, ENGINE)
