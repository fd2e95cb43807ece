"""The comparison really runs: every variant in its own process, on networks small enough for a test."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from preceptor.bench import VARIANTS, Job, compare
from preceptor.bench.baseline import baseline_steps
from preceptor.bench.job import images
from preceptor.bench.ours import flops_per_image
from preceptor.cli import main
from preceptor.errors import RunError
from preceptor.models import create
from preceptor.training import forward_flops

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


def test_a_training_step_is_counted_as_three_passes() -> None:
    network = create("convnet_s", num_classes=10, input_shape=(3, 32, 32))
    once = forward_flops(network, torch.zeros(2, 3, 32, 32))
    assert flops_per_image(SMALL) == (once, 3 * once)


def test_the_usual_loop_learns() -> None:
    torch.manual_seed(0)
    steps = baseline_steps(replace(SMALL, batch_size=64), torch.device("cpu"))
    losses = [next(steps) for _ in range(60)]
    steps.close()
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_all_variants_see_full_batches_of_the_same_images() -> None:
    split, normalisation = images(replace(SMALL, batch_size=48))
    assert len(split) % 48 == 0
    assert len(split) >= 4096
    assert split.values.shape[1:] == (3, 32, 32)
    assert split.values.dtype == torch.uint8
    assert int(split.labels.max()) == 9
    assert images(replace(SMALL, batch_size=48))[0].values.equal(split.values)
    assert (len(normalisation.mean), len(normalisation.std)) == (3, 3)


def test_a_variant_that_fails_is_one_line() -> None:
    with pytest.raises(RunError, match=r"bench: auto stopped: .*/nowhere") as caught:
        compare(replace(SMALL, variants=("auto",), root="/nowhere"))
    assert "\n" not in str(caught.value)


def test_the_command_line_prints_both_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "convnet_s", "convnet_s", "--batch-size", "16", "--classes", "10", "--rounds", "1"]) == 0
    out = capsys.readouterr().out
    for variant in ("baseline", "auto", "live", "stored"):
        assert f"\n{variant} " in out
        assert f"{variant}: {VARIANTS[variant][:20]}" in out
    assert "1.00x" in out
    assert "of ceiling" in out
    assert "evaluation of 1,000 for every 50,000" in out


def test_an_unknown_network_is_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "resnet56x"]) == 2
    assert "resnet56x" in capsys.readouterr().err
