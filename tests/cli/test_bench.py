"""`preceptor bench` really runs: every variant in its own process, on networks small enough for a test."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest

from preceptor.bench import VARIANTS, Comparison, Job, compare
from preceptor.bench.ours import flops_per_image
from preceptor.cli import main


def test_every_variant_is_measured_and_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[str] = []
    results: list[Comparison] = []

    def compared(job: Job, report: Callable[[str], None]) -> Comparison:
        def hear(line: str) -> None:
            heard.append(line)
            report(line)

        results.append(compare(job, hear))
        return results[0]

    monkeypatch.setattr(importlib.import_module("preceptor.cli.bench"), "compare", compared)
    monkeypatch.setattr(importlib.import_module("preceptor.bench.compare"), "_ROUND_SECONDS", 0.1)
    monkeypatch.setattr(importlib.import_module("preceptor.bench.compare"), "_PHASE_STEPS", 2)
    assert main(["bench", "convnet_s", "convnet_s", "--batch-size", "16", "--classes", "10", "--rounds", "3"]) == 0

    (result,) = results
    variants = ["baseline", "auto", "live", "stored"]
    assert list(result.measured) == variants
    assert heard[:4] == [f"preparing {variant}" for variant in variants]
    assert result.as_dict()["job"]["batch_size"] == 16
    usual = result.measured["baseline"]
    assert usual.ratio == 1.0
    assert usual.phases == {}
    for variant, measured in result.measured.items():
        assert len(measured.rounds) == 3
        assert measured.images_per_second == sorted(measured.rounds)[1]
        ratios = [mine / theirs for mine, theirs in zip(measured.rounds, usual.rounds, strict=True)]
        assert measured.ratio == pytest.approx(sorted(ratios)[1])
        assert 100 < measured.peak_mib < 10_000
        teacher, student = flops_per_image(result.job)
        flops = student + (0 if variant == "stored" else teacher)
        assert measured.ceiling_share == pytest.approx(measured.images_per_second * flops / result.ceiling_flops)
        if variant != "baseline":
            assert set(measured.phases) == {
                *("data", "teacher", "student forward", "student backward", "optimiser", "evaluation")
            }

    out = capsys.readouterr().out
    for variant in variants:
        assert f"\n{variant} " in out
        assert f"{variant}: {VARIANTS[variant][:20]}" in out
    assert "1.00x" in out
    assert "of ceiling" in out
    assert "evaluation of 1,000 for every 50,000" in out


def test_an_unknown_network_is_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "resnet56x"]) == 2
    assert "resnet56x" in capsys.readouterr().err
