from __future__ import annotations

import pytest
import torch

from preceptor.config.sections import DataSection, DistillRecipe, ModelSection, TeachRecipe
from preceptor.data import Data, Stream, from_objects, load
from preceptor.distributed import Processes
from preceptor.errors import UsageError
from preceptor.objectives.distill.crd import CRD
from preceptor.objectives.teacher import CrossEntropy
from preceptor.objectives.weighted import Sum
from preceptor.runner.load import NO_OBJECTS, LoadedInputs, PythonObjects, check_rows, load_inputs

DIGITS = DataSection(name="digits", limit=100, test_limit=50)
MODEL = ModelSection(name="mlp")
PLAIN = Sum(cross_entropy=(1.0, CrossEntropy()))


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", limit=60, test_limit=50)


@pytest.fixture(scope="module")
def stream(digits: Data) -> LoadedInputs:
    samples = [(torch.zeros(4), row % 2) for row in range(20)]
    splits = {"train": Stream(samples, samples_per_epoch=20), "test": (torch.zeros(10, 4), torch.arange(10) % 2)}
    return LoadedInputs(from_objects(splits, validation=0.0), None, None)


def test_objects_take_the_place_of_names(digits: Data) -> None:
    recipe = TeachRecipe(data=DIGITS, model=MODEL)
    assert load_inputs(recipe, PythonObjects(data=digits)).data is digits
    loaded = load_inputs(recipe, NO_OBJECTS)
    assert len(loaded.data.train) == 100
    assert (loaded.pool, loaded.store) == (None, None)


def test_a_pool_is_the_datas_own_or_other_data_and_a_students_only(digits: Data) -> None:
    partly = DIGITS.model_copy(update={"labelled_fraction": 0.5})
    own = load_inputs(DistillRecipe(data=partly, model=MODEL), NO_OBJECTS)
    assert own.pool is own.data.pool is not None
    other = load_inputs(DistillRecipe(data=DIGITS, model=MODEL), PythonObjects(unlabelled=digits))
    assert other.pool is digits.train
    assert load_inputs(TeachRecipe(data=partly, model=MODEL), NO_OBJECTS).pool is None


def test_pools_that_do_not_fit(digits: Data, stream: LoadedInputs) -> None:
    recipe = DistillRecipe(data=DIGITS, model=MODEL)
    partly = DIGITS.model_copy(update={"labelled_fraction": 0.5})
    with pytest.raises(UsageError, match=r"data\.labelled_fraction makes a pool already"):
        load_inputs(recipe.model_copy(update={"data": partly}), PythonObjects(unlabelled=digits))
    with pytest.raises(UsageError, match="a stream cannot be the samples beside the data"):
        load_inputs(recipe, PythonObjects(unlabelled=stream.data))
    with pytest.raises(
        UsageError, match=r"gaussian has torch.float32 inputs of shape .* has torch.uint8 of \(1, 8, 8\)"
    ):
        load_inputs(recipe.model_copy(update={"unlabelled": DataSection(name="gaussian")}), NO_OBJECTS)


def test_a_stream_has_no_rows_for_banks_pools_and_several_processes(stream: LoadedInputs, digits: Data) -> None:
    check_rows(stream, PLAIN, Processes())
    with pytest.raises(UsageError, match="data: crd needs samples that can be told apart"):
        check_rows(stream, Sum(crd=(1.0, CRD())), Processes())
    with pytest.raises(UsageError, match="data: 2 processes that share each batch need"):
        check_rows(stream, PLAIN, Processes(0, 2))
    with pytest.raises(UsageError, match="unlabelled: a pool beside the data needs"):
        check_rows(LoadedInputs(stream.data, digits.train, None), PLAIN, Processes())
    check_rows(LoadedInputs(digits, digits.train, None), Sum(crd=(1.0, CRD())), Processes(0, 2))
