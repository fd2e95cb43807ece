"""The features that a forward pass shows, against what the libraries state of their own networks."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.extras import import_extra, import_torchvision
from preceptor.models import DataSpec, feature_names, make, observe
from preceptor.models.features.stages import find_stages

if find_spec("timm") is None:
    pytest.skip("needs the extra vision", allow_module_level=True)
import_torchvision(needed_by="tests")
timm = import_extra("timm", "vision", needed_by="tests")
IMAGES = DataSpec(10, (3, 32, 32), (0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize("name", ["resnet10t", "resnet26t", "efficientnet_b0", "regnetx_002", "convnext_atto"])
def test_blocks_are_the_modules_that_timm_states(name: str) -> None:
    network = timm.create_model(name, num_classes=10)
    found = find_stages(network, torch.randn(1, 3, 64, 64), 10)
    stated = [row["module"] for row in network.feature_info]
    blocks = [place for tap, place in found.feature_paths.items() if tap.startswith("block")]
    assert blocks == [place for place in stated if place in blocks]
    assert len(blocks) >= len(stated) - 1  # the first that it states may be the stem's
    assert blocks[-1] == stated[-1]
    shapes = [tuple(each.shape[1:]) for each in observe(network, blocks)(torch.randn(1, 3, 64, 64)).features.values()]
    by_place = {row["module"]: (row["num_chs"], 64 // row["reduction"]) for row in network.feature_info}
    assert [(channels, side) for channels, side, _ in shapes] == [by_place[place] for place in blocks]


def test_token_layers_are_laid_out_and_registers_dropped() -> None:
    small = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 8, "num_heads": 2, "reg_tokens": 5}
    model = make("timm:vit_tiny_patch16_224", IMAGES, small).eval()
    network = model.network
    assert isinstance(network, nn.Module)
    assert feature_names(model) == ("stem", "block1", "block2", "block3", "block4", "pooled")
    inputs = torch.randn(2, 3, 32, 32)
    found = observe(model)(inputs).features
    tokens = observe(model, ["blocks.1", "blocks.3", "blocks.5", "blocks.7"])(inputs).features
    for (_, laid), (_, row) in zip(list(found.items())[1:5], tokens.items(), strict=True):
        assert row.shape == (2, 22, 16)  # 1 class token, 5 registers, 16 patches: 22 > 4 x 4
        for place in range(16):
            assert torch.equal(laid[:, :, place // 4, place % 4], row[:, 6 + place])
    assert found["pooled"].shape == (2, 16)


def test_channels_last_maps_are_turned() -> None:
    model = make("torchvision:swin_t", DataSpec(10, (3, 64, 64)))
    shapes = {name: tuple(each.shape[1:]) for name, each in observe(model)(torch.randn(1, 3, 64, 64)).features.items()}
    assert shapes == {
        "stem": (96, 16, 16),
        "block1": (96, 16, 16),
        "block2": (192, 8, 8),
        "block3": (384, 4, 4),
        "block4": (768, 2, 2),
        "pooled": (768,),
    }


def test_torchvision_resnet_stem_blocks_and_maps_before_the_last_relu() -> None:
    model = make("torchvision:resnet18", IMAGES).eval()
    names = feature_names(model, preactivation=True)
    blocks = [f"block{k}" for k in (1, 2, 3, 4)]
    assert names == ("stem", *blocks, "pooled", *(f"{name}_preact" for name in blocks))
    found = observe(model, names)(torch.randn(2, 3, 32, 32)).features
    for name in blocks:
        before = found[f"{name}_preact"]
        assert (before < 0).any()
        assert torch.equal(before.relu(), found[name])  # although its ReLU works in place


def test_a_linear_bottleneck_is_its_own_map_before_activation() -> None:
    model = make("torchvision:mobilenet_v2", IMAGES)
    found = observe(model, ["block2", "block2_preact"])(torch.randn(2, 3, 32, 32)).features
    assert torch.equal(found["block2"], found["block2_preact"])
    assert (found["block2"] < 0).any()


def test_pooled_of_a_convolutional_classifier_is_averaged() -> None:
    model = make("torchvision:squeezenet1_1", IMAGES).eval()
    outputs = observe(model, ["pooled", "classifier.1:input"])(torch.randn(2, 3, 32, 32))
    assert torch.allclose(outputs.features["pooled"], outputs.features["classifier.1:input"].mean((2, 3)))


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(8, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.second(self.first(inputs)).mean((2, 3)))
        return logits


def test_a_network_by_hand() -> None:
    found = find_stages(Plain(), torch.randn(1, 3, 8, 8), 5)
    assert found.feature_paths == {"stem": "first", "block1": "second", "pooled": "head:input"}
    assert found.preactivation_paths == {"block1_preact": "second.3:input"}


def test_layers_at_one_resolution_are_taken_evenly() -> None:
    found = find_stages(timm.create_model("convmixer_768_32", num_classes=10), torch.randn(1, 3, 32, 32), 10)
    blocks = {name: place for name, place in found.feature_paths.items() if name.startswith("block")}
    assert list(blocks) == ["block1", "block2", "block3", "block4"]
    assert [place.split(".")[1] for place in blocks.values()] == ["7", "15", "23", "31"]


def test_it_leaves_mode_hooks_and_random_numbers_as_they_were() -> None:
    network = Plain().train()
    before = torch.get_rng_state()
    find_stages(network, torch.ones(1, 3, 8, 8), 5)
    assert network.training
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module._forward_hooks for module in network.modules())


def test_vectors_have_a_pooled_feature_only() -> None:
    network = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    assert find_stages(network, torch.randn(1, 6), 3).feature_paths == {"pooled": "2:input"}


def test_what_gives_no_logits_is_refused() -> None:
    with pytest.raises(UsageError, match=r"Conv2d returned a tensor .*, expected logits"):
        find_stages(nn.Conv2d(3, 5, 1), torch.randn(1, 3, 4, 4), 5)
