from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.extras import import_torchvision
from preceptor.models import Adapted, DataSpec, make

if find_spec("torchvision") is None:
    pytest.skip("needs the extra vision", allow_module_level=True)
models = import_torchvision(needed_by="tests").models

DIGITS = DataSpec(10, (1, 8, 8), (0.3,), (0.4,))
IMAGES = DataSpec(10, (3, 32, 32), (0.5,) * 3, (0.25,) * 3)


def adapted(name: str, samples: DataSpec, **options: object) -> Adapted:
    network = make(name, samples, options)
    assert isinstance(network, Adapted)
    return network


def test_outputs_are_those_of_the_data_and_a_grey_channel_is_repeated() -> None:
    model = adapted("torchvision:squeezenet1_1", DIGITS, resolution=32).eval()
    assert model(torch.randn(2, 1, 8, 8)).shape == (2, 10)
    assert model.note == "1 channel repeated to 3, resized 8 -> 32"


def test_a_vision_transformer_has_one_size() -> None:
    assert adapted("torchvision:vit_b_16", IMAGES, image_size=48).note == "resized 32 -> 48"


def test_weights_come_with_their_normalisation_and_a_new_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name, file, layer in (
        ("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth", "classifier.1.weight"),
        ("shufflenet_v2_x0_5", "shufflenetv2_x0.5-f707e7126e.pth", "fc.weight"),
    ):
        source = models.get_model(name)
        (tmp_path / "hub" / "checkpoints").mkdir(parents=True, exist_ok=True)
        torch.save(source.state_dict(), tmp_path / "hub" / "checkpoints" / file)
        model = adapted(f"torchvision:{name}", IMAGES, weights="DEFAULT").eval()
        state, expected = model.network.state_dict(), source.state_dict()
        assert model(torch.randn(2, 3, 32, 32)).shape == (2, 10)
        assert state[layer].shape[0] == 10
        assert all(torch.equal(state[key], expected[key]) for key in expected if not key.startswith(layer[:-7]))
        assert model.note.startswith("normalised by its own mean; reads 32 pixels, trained on 224")
        assert model.note.endswith("a new classifier of 10 outputs in place of 1000")
        unchanged = adapted(f"torchvision:{name}", DataSpec(1000, (3, 32, 32)), weights="IMAGENET1K_V1")
        assert torch.equal(unchanged.network.state_dict()[layer], expected[layer])
    # a run's network, whose weights come from its folder, needs no other ones
    (tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth").unlink()
    filled = make("torchvision:squeezenet1_1", IMAGES, {"weights": "DEFAULT"}, loads_weights=True)
    assert isinstance(filled, Adapted)
    assert filled.note == "normalised by its own mean"


@pytest.mark.parametrize(
    ("name", "samples", "options", "said"),
    [
        ("torchvision:resnet19", IMAGES, {}, "torchvision has no 'resnet19'; did you mean resnet18"),
        ("torchvision:resnet18", IMAGES, {"weights": "BEST"}, "has no BEST; it has IMAGENET1K_V1"),
        ("torchvision:resnet18", IMAGES, {"depth": 3}, "torchvision:resnet18 cannot be made with depth=3"),
        ("torchvision:resnet18", DataSpec(3, (4, 8, 8)), {}, "reads 3 channels, and the samples have 4"),
        ("torchvision:resnet18", IMAGES, {"normalisation": "own"}, "torchvision:resnet18 states no mean of its own"),
        ("torchvision:inception_v3", IMAGES, {"init_weights": False}, "cannot read samples of shape (3, 32, 32)"),
    ],
)
def test_what_cannot_be_is_refused(name: str, samples: DataSpec, options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        make(name, samples, options)
