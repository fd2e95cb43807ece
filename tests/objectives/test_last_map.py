from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from preceptor.errors import UsageError
from preceptor.models import create, feature_names, observe
from preceptor.objectives.base import BuildContext, Taps
from preceptor.objectives.last_map import LastMap, LastMaps, find_last_map, region_means
from preceptor.types import Batch, Outputs, Progress, Step, View
from vectors import GOLDEN


@pytest.mark.parametrize("number", [0, 1])
def test_regions_are_the_authors(number: int) -> None:
    with np.load(GOLDEN / "sdd_regions" / f"sdd_regions-{number}.npz", allow_pickle=False) as stored:
        maps, expected = torch.from_numpy(stored["map"]), torch.from_numpy(stored["regions"])
        found = region_means(maps, scales=json.loads(str(stored["scales"])))
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


def test_a_small_map_is_spread() -> None:
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    found = region_means(maps, scales=(1, 2, 4))[0, 0].tolist()
    assert found == [2.5, 1, 2, 3, 4, 1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1", "vgg8", "ShuffleV1", "convnet_s"])
def test_the_zoo_has_it(name: str) -> None:
    torch.manual_seed(0)
    network = create(name, num_classes=5).eval()
    with torch.no_grad():
        outputs = observe(network, feature_names(network, preactivation=True))(torch.randn(2, 3, 32, 32))
    found = find_last_map(outputs, "student", "sdd")
    torch.testing.assert_close(found.read(outputs).mean((2, 3)), outputs.features["pooled"])
    assert found.is_rectified == (name == "wrn_16_1")


def test_errors() -> None:
    features = {"block1": torch.ones(2, 3, 4, 4), "pooled": torch.zeros(2, 3)}
    with pytest.raises(
        UsageError, match=r"sdd needs a teacher whose classifier reads the mean of its last map.*method\.pairs="
    ):
        find_last_map(Outputs(torch.zeros(2, 5), features), "teacher", "sdd")
    with pytest.raises(UsageError, match="method sdd needs feature pooled of the teacher, which offers none"):
        find_last_map(Outputs(torch.zeros(2, 5)), "teacher", "sdd")
    with pytest.raises(ValueError, match=r"scales: \[1, 4\], expected 1; 1, 2; or 1, 2, 4"):
        region_means(torch.zeros(1, 1, 4, 4), scales=(1, 4))
    assert LastMap("block1").read(Outputs(torch.zeros(2, 5), features)).shape == (2, 3, 4, 4)


def test_layers_before_the_pooling_are_named() -> None:
    """MobileNetV2 and ShuffleV2 pool what a further convolution makes of their last block."""
    network = create("ShuffleV2", num_classes=5).eval()
    with torch.no_grad():
        outputs = observe(network, ["relu2", "pooled"])(torch.randn(2, 3, 32, 32))
    step = Step(
        Batch(torch.zeros(2, 1), None, torch.arange(2), View("none", 0, 1)),
        outputs,
        outputs,
        network,
        Progress(1, 1, 0.0),
    )
    chosen = LastMaps("sdd", {"relu2": "relu2"})
    chosen.find(BuildContext(2, 5, outputs, outputs, network, network))
    assert chosen.taps({}, {}) == Taps(("relu2",), ("relu2",))
    for maps in chosen.maps(step):
        torch.testing.assert_close(maps.mean((2, 3)), outputs.features["pooled"])
