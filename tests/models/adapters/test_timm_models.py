from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from preceptor.errors import UsageError
from preceptor.extras import import_extra, import_torchvision
from preceptor.models import Adapted, DataSpec, load_weights, make, observe, save_weights

if find_spec("timm") is None:
    pytest.skip("needs the extra vision", allow_module_level=True)
import_torchvision(needed_by="tests")
timm = import_extra("timm", "vision", needed_by="tests")

DIGITS = DataSpec(10, (1, 8, 8), (0.3,), (0.4,))
IMAGES = DataSpec(10, (3, 32, 32), (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))
SMALL = {"embed_dim": 16, "depth": 2, "num_heads": 2, "img_size": 16, "patch_size": 4}


def adapted(name: str, samples: DataSpec, **options: object) -> Adapted:
    network = make(name, samples, options)
    assert isinstance(network, Adapted)
    return network


def test_outputs_and_channels_are_those_of_the_data_and_a_fixed_size_is_met() -> None:
    model = adapted("timm:vit_tiny_patch16_224", DIGITS, **SMALL).eval()
    inputs = torch.randn(2, 1, 8, 8)
    assert model(inputs).shape == (2, 10)
    assert model.note == "resized 8 -> 16"
    bare = timm.create_model("vit_tiny_patch16_224", num_classes=10, in_chans=1, **SMALL).eval()
    bare.load_state_dict(model.network.state_dict())
    resized = torch.nn.functional.interpolate(inputs, (16, 16), mode="bilinear", antialias=True)
    assert torch.allclose(model(inputs), bare(resized), atol=1e-6)


def test_a_network_of_any_size_takes_the_data_as_they_come_unless_told_otherwise() -> None:
    assert adapted("timm:resnet10t", IMAGES).note == ""
    assert adapted("timm:resnet10t", IMAGES, resolution=48).note == "resized 32 -> 48"
    own = adapted("timm:resnet10t", IMAGES, normalisation="own")
    assert own.note == "normalised by its own mean"
    assert adapted("timm:vit_tiny_patch16_224", IMAGES, **SMALL, dynamic_img_size=True).note == ""
    assert adapted("timm:vit_tiny_patch16_224", DIGITS, **SMALL, resolution=16).note == "resized 8 -> 16"


def test_pretrained_weights_come_with_their_normalisation_and_may_lose_it(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    torch.manual_seed(3)
    source = timm.create_model("resnet10t", num_classes=1000).eval()
    torch.save(source.state_dict(), file)
    here = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(file)}}
    model = adapted("timm:resnet10t", IMAGES, **here).eval()
    assert model.trained_classes == 1000
    assert model.note == (
        "normalised by its own mean; reads 32 pixels, trained on 176: model.resolution=N resizes; "
        "a new classifier of 10 outputs in place of 1000"
    )
    assert torch.equal(
        model.network.state_dict()["layer1.0.conv1.weight"], source.state_dict()["layer1.0.conv1.weight"]
    )
    pixels = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(each).reshape(1, 3, 1, 1) for each in (IMAGES.mean, IMAGES.std))
    own_mean, own_std = (torch.tensor(source.pretrained_cfg[key]).reshape(1, 3, 1, 1) for key in ("mean", "std"))
    pooled = observe(model, ["pooled"])((pixels - mean) / std).features["pooled"]
    expected = source.forward_head(source.forward_features((pixels - own_mean) / own_std), pre_logits=True)
    assert (pooled - expected).abs().max() < 1e-5 * expected.abs().max().clamp_min(1)
    assert "mean" not in adapted("timm:resnet10t", IMAGES, **here, normalisation="data").note
    grey = adapted("timm:resnet10t", DIGITS, **here)
    assert grey.note.startswith("1 channel repeated to 3, normalised by its own mean")
    assert adapted("timm:resnet10t", DIGITS, **here, in_chans=1).note.startswith("normalised by its own mean")
    same = adapted("timm:resnet10t", DataSpec(1000, (3, 32, 32)), **here)
    assert torch.equal(same.network.state_dict()["fc.weight"], source.state_dict()["fc.weight"])


def test_its_weights_are_files_of_timm(tmp_path: Path) -> None:
    model = adapted("timm:resnet10t", IMAGES)
    save_weights(model, tmp_path / "w.safetensors")
    assert (
        timm.create_model("resnet10t", num_classes=10, checkpoint_path=str(tmp_path / "w.safetensors")).num_classes
        == 10
    )
    other = timm.create_model("resnet10t", num_classes=10)
    torch.save(other.state_dict(), tmp_path / "w.pth")
    load_weights(model, tmp_path / "w.pth")
    assert torch.equal(model.network.state_dict()["fc.weight"], other.fc.weight)


def test_dotted_paths_are_those_of_timm_and_a_wrong_one_names_the_nearest() -> None:
    model = adapted("timm:resnet10t", IMAGES)
    features = observe(model, ["layer2.0.conv1", "fc:input"])(torch.randn(2, 3, 32, 32)).features
    assert features["layer2.0.conv1"].shape == (2, 128, 4, 4)
    with pytest.raises(UsageError, match=r"feature layer2.0.conv9: .*did you mean layer2.0.conv"):
        observe(model, ["layer2.0.conv9"])


@pytest.mark.parametrize(
    ("name", "samples", "options", "said"),
    [
        ("timm:resnet10tt", IMAGES, {}, "timm has no 'resnet10tt'; did you mean resnet10t"),
        ("timm:resnet10t", IMAGES, {"widht": 2}, "timm:resnet10t cannot be made with"),
        ("timm:resnet10t", IMAGES, {"normalisation": "mine"}, "model.normalisation: 'mine' is neither data nor own"),
        ("timm:resnet10t", IMAGES, {"resolution": 0}, "model.resolution: 0 is no number of pixels"),
        ("timm:resnet10t", DataSpec(3, (30,)), {}, "timm:resnet10t is for images, and the samples have shape (30,)"),
        ("timm:vit_tiny_patch16_224", DIGITS, {**SMALL, "resolution": 20}, "cannot read samples of shape (1, 8, 8)"),
        ("timm:", IMAGES, {}, "'timm:' names no network; there are timm:NAME"),
    ],
)
def test_what_cannot_be_is_refused(name: str, samples: DataSpec, options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        make(name, samples, options)


@pytest.mark.parametrize("prefix", ["timm:resnet10t", "torchvision:resnet18"])
def test_the_number_of_outputs_is_the_datas(prefix: str) -> None:
    assert adapted(prefix, IMAGES, num_classes=10)(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    for wrong in (0, 1000):
        with pytest.raises(
            UsageError, match=rf"^model\.num_classes: {wrong}, and the data have 10 classes; leave it out$"
        ):
            adapted(prefix, IMAGES, num_classes=wrong)


class Requests:
    """The hub's client where there is no network."""

    tried = 0

    def head(self, *_args: object, **_keys: object) -> object:
        Requests.tried += 1
        raise OSError("Name or service not known")


def test_without_a_network_missing_weights_are_said_after_one_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    constants, utils = (import_module(f"huggingface_hub.{name}") for name in ("constants", "utils"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(utils, "get_session", Requests)
    Requests.tried = 0
    with pytest.raises(
        UsageError, match=r"^model\.pretrained: the weights of timm:resnet10t are not on this machine, [^\n]*$"
    ):
        adapted("timm:resnet10t", IMAGES, pretrained=True)
    assert Requests.tried == 1
    assert "Retrying" not in capfd.readouterr().err
    assert constants.HF_HUB_OFFLINE is False


def test_of_torchvision_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object, **_keys: object) -> object:
        raise URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refused)
    with pytest.raises(
        UsageError, match=r"^model\.weights: those of torchvision:resnet18 are not on this machine, [^\n]*$"
    ):
        adapted("torchvision:resnet18", IMAGES, weights="DEFAULT")
