from __future__ import annotations

import numpy as np
import pytest
import torch

from preceptor.models import Swag
from vectors import GOLDEN


@pytest.mark.parametrize("number", [0, 1])
def test_golden(number: int) -> None:
    with np.load(GOLDEN / "swag" / f"swag-{number}.npz", allow_pickle=False) as content:
        stored = {
            name: torch.from_numpy(content[name]).double() for name in content.files if content[name].dtype.kind in "fi"
        }
    found = Swag.of([*stored["parameters"]], rank=int(stored["rank"]))
    torch.testing.assert_close(found.mean, stored["mean"])
    torch.testing.assert_close(found.square_mean, stored["square_mean"])
    torch.testing.assert_close(found.deviations, stored["deviations"])
    sample = found.sample(
        stored["noise_diagonal"], stored["noise_low_rank"], scale=float(stored["scale"]), rank=int(stored["rank"])
    )
    torch.testing.assert_close(sample, stored["sample"], rtol=1e-4, atol=1e-6)


def test_its_samples_have_the_mean_and_the_spread_of_what_was_collected() -> None:
    random = torch.Generator().manual_seed(0)
    collected = [torch.randn(50, generator=random) * 2 + 5 for _ in range(200)]
    found = Swag.of(collected, rank=200)
    draws = torch.stack(
        [found.sample(torch.randn(50, generator=random), torch.randn(200, generator=random)) for _ in range(200)]
    )
    assert draws.mean().item() == pytest.approx(5, abs=0.1)
    assert draws.std(0).mean().item() == pytest.approx(2, rel=0.1)


def test_one_state_is_no_gaussian() -> None:
    with pytest.raises(ValueError, match="collected: 1 weights; a Gaussian needs at least two"):
        Swag.of([torch.zeros(2)])
