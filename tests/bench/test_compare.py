"""The comparison really runs: every variant in its own process, on networks small enough for a test."""

from __future__ import annotations

from dataclasses import replace

import pytest

from preceptor.bench import Job, compare
from preceptor.bench.ours import flops_per_image
from preceptor.errors import RunError

SMALL = Job("convnet_s", "convnet_s", batch_size=16, num_classes=10, steps=3, rounds=3, threads=1)


def test_every_variant_is_measured() -> None:
    heard: list[str] = []
    result = compare(replace(SMALL, variants=("baseline", "plain", "auto", "stored"), views=2), heard.append)
    assert list(result.measured) == ["baseline", "plain", "auto", "stored"]
    usual = result.measured["baseline"]
    assert usual.ratio == 1.0
    for variant, measured in result.measured.items():
        assert len(measured.rounds) == 3
        assert measured.images_per_second == sorted(measured.rounds)[1]
        ratios = [mine / theirs for mine, theirs in zip(measured.rounds, usual.rounds, strict=True)]
        assert measured.ratio == pytest.approx(sorted(ratios)[1])
        assert 100 < measured.peak_mib < 10_000
        teacher, student = flops_per_image(SMALL)
        flops = student + (0 if variant == "stored" else teacher)
        assert measured.ceiling_share == pytest.approx(measured.images_per_second * flops / result.ceiling_flops)
    assert usual.phases == {}
    assert set(result.measured["auto"].phases) == {
        *("data", "teacher", "student forward", "student backward", "optimiser", "evaluation")
    }
    assert heard[:4] == [f"preparing {variant}" for variant in result.measured]
    assert result.as_dict()["job"]["views"] == 2


def test_a_variant_that_fails_is_one_line() -> None:
    with pytest.raises(RunError, match=r"bench: auto stopped: .*/nowhere") as caught:
        compare(replace(SMALL, variants=("auto",), root="/nowhere"))
    assert "\n" not in str(caught.value)
