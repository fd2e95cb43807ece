from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import preceptor
from preceptor.errors import UsageError
from preceptor.models import create, load_weights
from preceptor.training import choose_engine
from preceptor.training.averaging import Average
from preceptor.training.progress import TrainProgress
from preceptor.training.settings import Averaging
from preceptor.types import Batch, View

SMALL = {"name": "digits", "limit": 200, "test_limit": 50}
ENGINE = choose_engine("cpu")
EPOCHS, BATCHES = 4, 3


def weights(count: int) -> list[torch.Tensor]:
    return [torch.randn(2, 3, generator=torch.Generator().manual_seed(seed)) for seed in range(count)]


def positions() -> list[TrainProgress]:
    return [TrainProgress(epoch, batch) for epoch in range(1, EPOCHS + 1) for batch in range(1, BATCHES + 1)]


def run(average: Average, network: nn.Linear, first: int = 0) -> None:
    """Walk the network through known weights, one a step."""
    for position, weight in list(zip(positions(), weights(EPOCHS * BATCHES), strict=True))[first:]:
        with torch.no_grad():
            network.weight.copy_(weight)
        average.take(position)


def batches(inputs: torch.Tensor, *sizes: int) -> list[Batch]:
    none = torch.zeros(0, dtype=torch.long)
    return [Batch(rows, None, none, View("none", 0, 1)) for rows in inputs.split(list(sizes))]


def averaged(averaging: Averaging) -> torch.Tensor:
    network = nn.Linear(3, 2)
    average = Average(averaging, network, EPOCHS, BATCHES)
    run(average, network)
    average.apply([], ENGINE)
    return network.weight.detach()


@pytest.mark.parametrize(("start", "first"), [(0.0, 1), (0.5, 2), (2, 2), (1, 1), (4, 4)])
def test_swa_is_the_mean_of_the_weights_at_the_ends_of_epochs(start: float, first: int) -> None:
    ends = weights(EPOCHS * BATCHES)[BATCHES - 1 :: BATCHES][first - 1 :]
    torch.testing.assert_close(averaged(Averaging(name="swa", start=start)), torch.stack(ends).mean(0))


def test_ema_is_the_decaying_mean_of_the_weights_after_steps() -> None:
    first, *others = weights(EPOCHS * BATCHES)[BATCHES:]
    for decay in (0.5, 0.999):
        expected = first
        for count, weight in enumerate(others, start=1):
            kept = min(decay, (1 + count) / (10 + count))
            expected = kept * expected + (1 - kept) * weight
        torch.testing.assert_close(averaged(Averaging(name="ema", start=2, decay=decay)), expected)


@pytest.mark.parametrize("start", [1, 0.625])
def test_the_ema_of_a_short_run_is_as_good_as_its_last_weights(tmp_path: Path, start: float) -> None:
    result = preceptor.teach(
        data="digits",
        model="mlp",
        epochs=3,
        averaging={"name": "ema", "start": start},
        engine="plain",
        out=tmp_path / "run",
        progress=False,
    )
    plain = result.record.history[-1]["validation"]
    assert result.record.validation["accuracy"] > plain["accuracy"] - 0.05


def test_without_an_average_the_weights_are_the_last_ones() -> None:
    for averaging in (Averaging(), Averaging(name="swa", start=EPOCHS + 1)):
        assert torch.equal(averaged(averaging), weights(EPOCHS * BATCHES)[-1])


@pytest.mark.parametrize("averaging", [Averaging(name="swa", start=1), Averaging(name="ema", start=1, decay=0.9)])
@pytest.mark.parametrize("steps", [0, 5, 6])
def test_it_continues_from_its_state(averaging: Averaging, steps: int) -> None:
    one = nn.Linear(3, 2)
    before = Average(averaging, one, EPOCHS, BATCHES)
    for position, weight in list(zip(positions(), weights(EPOCHS * BATCHES), strict=True))[:steps]:
        one.weight.data.copy_(weight)
        before.take(position)
    two = nn.Linear(3, 2)
    after = Average(averaging, two, EPOCHS, BATCHES)
    after.load_state_dict(before.state_dict())
    run(after, two, first=steps)
    after.apply([], ENGINE)
    assert torch.equal(two.weight, averaged(averaging))


def test_the_state_of_another_network_does_not_fit() -> None:
    network = nn.Linear(3, 2)
    average = Average(Averaging(name="swa", start=1), network, EPOCHS, BATCHES)
    run(average, network)
    state = average.state_dict()
    with pytest.raises(ValueError, match="the average is of other weights"):
        Average(Averaging(name="swa", start=1), nn.Linear(3, 4), EPOCHS, BATCHES).load_state_dict(state)


def test_batch_norm_statistics_are_exactly_those_of_the_data() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 2))
    network(torch.randn(9, 5))
    average = Average(Averaging(name="swa", start=1), network, 1, 1)
    average.take(TrainProgress(1, 1))
    inputs = 3 * torch.randn(20, 5) + 2
    norm = network[0]
    assert isinstance(norm, nn.BatchNorm1d)
    network.eval()
    average.apply(batches(inputs, 20), ENGINE)
    torch.testing.assert_close(norm.running_mean, inputs.mean(0))
    torch.testing.assert_close(norm.running_var, inputs.var(0))
    average.apply(batches(inputs, 8, 8, 4), ENGINE)  # a short last batch counts by its rows
    torch.testing.assert_close(norm.running_mean, inputs.mean(0))
    variances = torch.stack([rows.var(0) for rows in inputs.split([8, 8, 4])])
    torch.testing.assert_close(norm.running_var, torch.tensor([0.4, 0.4, 0.2]) @ variances)
    assert (norm.momentum, network.training) == (0.1, False)


def test_the_result_of_a_run_is_the_averaged_network(tmp_path: Path) -> None:
    result = preceptor.teach(
        data=SMALL,
        model="convnet_s",
        epochs=6,
        averaging={"name": "swa", "start": 4},
        keep_every=1,
        out=tmp_path / "run",
        progress=False,
    )
    kept = [create("convnet_s", num_classes=10, input_shape=(1, 8, 8)) for _ in range(3)]
    for epoch, network in enumerate(kept, start=4):
        load_weights(network, tmp_path / "run" / "checkpoint" / f"epoch_{epoch:04d}.safetensors")
    for name, value in result.model.named_parameters():
        mean = torch.stack([network.get_parameter(name) for network in kept]).mean(0)
        torch.testing.assert_close(value, mean)
    assert preceptor.evaluate(result.path) == result.metrics
    assert result.record.validation != result.record.history[-1]["validation"]
    plain = preceptor.teach(data=SMALL, model="convnet_s", epochs=6, out=tmp_path / "plain", progress=False)
    assert plain.record.validation == plain.record.history[-1]["validation"]
    assert plain.record.history[-1]["train"] == result.record.history[-1]["train"]  # it only watches the course


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"stop_at": "best_val_nll"},
            r"stop_at: best_val_nll cannot be used with averaging=swa, whose result is an av",
        ),
        ({"stop_at": 3}, r"averaging\.start: epoch 4 comes after the last one, 3"),
        ({"epochs": 2, "averaging": {"name": "ema", "start": 3}}, r"averaging\.start: epoch 3 comes after the last"),
        ({"averaging": "sma"}, r"averaging\.name: input should be 'none', 'swa' or 'ema', got 'sma'"),
    ],
)
def test_what_cannot_be_averaged_is_refused(tmp_path: Path, keys: dict[str, object], message: str) -> None:
    settings: dict[str, object] = {"epochs": 6, "averaging": "swa", "out": tmp_path / "run", "progress": False, **keys}
    with pytest.raises(UsageError, match=message):
        preceptor.teach(data=SMALL, model="convnet_s", **settings)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_an_earlier_end_by_number_can_be_averaged_up_to(tmp_path: Path) -> None:
    result = preceptor.teach(
        data=SMALL, model="convnet_s", epochs=4, stop_at=3, averaging="swa", out=tmp_path / "run", progress=False
    )
    assert result.record.selected_epoch == 3
