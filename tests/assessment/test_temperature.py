from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preceptor.assessment import expected_calibration_error, fit_temperature, grid_temperature
from preceptor.assessment.scores import accuracy, nll
from vectors import GOLDEN


def drawn(scale: float, samples: int = 20_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits that are `scale` times too large for the labels drawn from them."""
    random = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(samples, 5, generator=random)
    labels = torch.multinomial(logits.softmax(1), 1, generator=random)[:, 0]
    return scale * logits, labels


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5, 40.0])
def test_a_known_factor_is_recovered(scale: float) -> None:
    logits, labels = drawn(scale)
    assert fit_temperature(logits, labels) == pytest.approx(scale, rel=0.02)


def test_the_nll_is_stationary_there() -> None:
    logits, labels = drawn(2.5)
    temperature = fit_temperature(logits, labels)
    best = nll(logits / temperature, labels)
    for factor in (0.99, 1.01):
        assert nll(logits / (factor * temperature), labels) > best


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
def test_it_never_harms_and_never_changes_a_choice(seed: int, scale: float) -> None:
    random = torch.Generator().manual_seed(seed)
    logits, labels = scale * torch.randn(12, 3, generator=random), torch.randint(0, 3, (12,), generator=random)
    temperature = fit_temperature(logits, labels)
    assert nll(logits.double() / temperature, labels) <= nll(logits, labels) + 1e-12
    assert accuracy(logits / temperature, labels) == accuracy(logits, labels)


def test_all_right_goes_to_the_lower_end_and_all_wrong_to_the_upper() -> None:
    logits = 3 * torch.eye(4)
    assert fit_temperature(logits, torch.arange(4)) < 0.2
    assert fit_temperature(logits, torch.tensor([1, 2, 3, 0])) == pytest.approx(1000, rel=1e-3)


def test_errors() -> None:
    with pytest.raises(ValueError, match="no samples to fit a temperature to"):
        fit_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))


@pytest.mark.parametrize("number", [0, 1])
def test_golden_grid(number: int) -> None:
    with np.load(GOLDEN / "ece_temperature" / f"ece_temperature-{number}.npz", allow_pickle=False) as content:
        stored = {name: content[name] for name in content.files}
    logits, labels, bins = torch.from_numpy(stored["logits"]), torch.from_numpy(stored["labels"]), int(stored["bins"])
    assert grid_temperature(logits, labels, bins=bins) == pytest.approx(float(stored["temperature_ece"]))
    assert grid_temperature(logits, labels, by="nll") == pytest.approx(float(stored["temperature_nll"]))
    assert expected_calibration_error(logits, labels, bins=bins) == pytest.approx(float(stored["ece_before"]), rel=1e-5)


def test_the_grid_recovers_a_known_factor_and_needs_samples() -> None:
    logits, labels = drawn(2.5)
    assert grid_temperature(logits, labels, by="nll") == pytest.approx(2.5, abs=0.11)
    with pytest.raises(ValueError, match="logits: no samples to fit a temperature to"):
        grid_temperature(logits[:0], labels[:0])
