"""A new network for some data, by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from preceptor.artifacts.create import (
    check_names,
    check_size,
    data_spec,
    make_network,
    model_section,
    reading_notes,
    resolved_section,
)
from preceptor.config.sections import DataSection, ModelSection
from preceptor.data import Data, from_objects, load
from preceptor.errors import UsageError
from preceptor.models import Adapted, DataSpec, save_weights
from preceptor.models.adapters.adapted import adapt


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", limit=50, test_limit=20)


def test_images_are_described_by_shape_and_normalisation(digits: Data) -> None:
    spec = data_spec(digits)
    assert spec == DataSpec(10, (1, 8, 8), digits.normalisation.mean, digits.normalisation.std)
    assert spec.example is None


def test_vectors_come_with_an_example_as_the_network_reads_it() -> None:
    data = from_objects((torch.randn(30, 4), torch.arange(30) % 3))
    example = data_spec(data).example
    assert example is not None
    assert torch.equal(example, data.normalisation(data.train.inputs(torch.tensor([0])))[0])


def test_a_network_has_an_output_per_class_or_the_log_odds_of_two() -> None:
    section = ModelSection.model_validate({"name": "mlp", "widths": [4]})
    assert make_network(section, DataSpec(3, (5,)))(torch.zeros(2, 5)).shape == (2, 3)
    odds = section.model_copy(update={"logits": 1})
    assert make_network(odds, DataSpec(2, (5,)))(torch.zeros(2, 5)).shape == (2, 1)
    with pytest.raises(UsageError, match=r"^model\.logits: 1 for 3 classes; one per class, or 1 for two classes$"):
        make_network(odds, DataSpec(3, (5,)))


def test_a_network_from_python_has_no_name_to_make_it_from() -> None:
    with pytest.raises(
        UsageError, match=r"^model: python:m\.Net was passed as a Python object .* PKG\.MODULE:FACTORY$"
    ):
        make_network(ModelSection(name="python:m.Net"), DataSpec(3, (5,)))


def test_a_name_is_short_for_a_section() -> None:
    section = ModelSection(name="mlp")
    assert model_section("mlp") == model_section({"name": "mlp"}) == section
    assert model_section(section) is section


def test_a_resolved_section_makes_the_network_again(digits: Data) -> None:
    section = ModelSection.model_validate({"name": "mlp", "widths": [6]})
    network = make_network(section, data_spec(digits))
    again = make_network(ModelSection(**resolved_section(section, network)), data_spec(digits))
    assert {name: each.shape for name, each in again.state_dict().items()} == {
        name: each.shape for name, each in network.state_dict().items()
    }


@pytest.mark.parametrize(
    ("widths", "problem"),
    [
        ((10**12,), "has widths=.* and its weights are"),
        ((2_000, 2_000), "has 4,152,010 parameters, and its weights are"),
    ],
)
def test_a_network_is_no_larger_than_the_file_that_names_it(
    digits: Data, tmp_path: Path, widths: tuple[int, ...], problem: str
) -> None:
    network = make_network(ModelSection.model_validate({"name": "mlp", "widths": (8,)}), data_spec(digits))
    save_weights(network, tmp_path / "weights.safetensors")
    weights, spec = tmp_path / "weights.safetensors", data_spec(digits)
    state = torch.get_rng_state()
    check_size("teacher", ModelSection.model_validate({"name": "mlp", "widths": (8,)}), spec, weights)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(UsageError, match=f"teacher: its network {problem}"):
        check_size("teacher", ModelSection.model_validate({"name": "mlp", "widths": widths}), spec, weights)


def test_conversions_of_the_inputs_are_noted() -> None:
    small, large = DataSpec(3, (1, 8, 8), (0.5,), (0.2,)), DataSpec(3, (1, 16, 16), (0.5,), (0.2,))
    plain = make_network(ModelSection(name="convnet_s"), small)
    adapted = adapt(plain, small, large)
    assert isinstance(adapted, Adapted)
    assert reading_notes("teacher", [plain]) == []
    assert reading_notes("teacher", [adapted]) == [f"teacher: {adapted.note}"]
    assert reading_notes("teacher", [plain, adapted]) == [f"teacher 2: {adapted.note}"]


def test_the_names_in_a_recipe_are_checked() -> None:
    data, model = DataSection(name="digits"), ModelSection(name="mlp")
    check_names(data, model)
    check_names(data, None)
    with pytest.raises(UsageError, match=r"model: unknown name 'mpl'"):
        check_names(data, ModelSection(name="mpl"))
    with pytest.raises(UsageError, match=r"data: unknown name 'digit'"):
        check_names(DataSection(name="digit"), model)
