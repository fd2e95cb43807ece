from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from preceptor.errors import UsageError
from preceptor.extras import import_extra, import_torchvision
from preceptor.models import Adapted, DataSpec, feature_names, load_weights, make, observe, save_weights

if find_spec("transformers") is None:
    pytest.skip("needs the extra hf", allow_module_level=True)
if find_spec("torchvision") is not None:
    import_torchvision(needed_by="tests")
transformers = import_extra("transformers", "hf", needed_by="tests")

DIGITS = DataSpec(10, (1, 8, 8), (0.3,), (0.4,))
VIT = {
    **{"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    **{"image_size": 16, "patch_size": 4},
}
RESNET: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}


def adapted(place: Path | str, samples: DataSpec = DIGITS, **options: object) -> Adapted:
    network = make(f"hf:{place}", samples, options)
    assert isinstance(network, Adapted)
    return network


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    transformers.ViTConfig(**VIT).save_pretrained(tmp_path / "vit")
    transformers.ResNetConfig(**RESNET).save_pretrained(tmp_path / "resnet")
    return tmp_path


def test_a_folder_or_a_file_of_a_configuration(configs: Path) -> None:
    for place in (configs / "vit", configs / "vit" / "config.json"):
        model = adapted(place).eval()
        assert model(torch.randn(2, 1, 8, 8)).shape == (2, 10)
        assert model.note == "1 channel repeated to 3, resized 8 -> 16"
    assert feature_names(model) == ("stem", "block1", "block2", "pooled")
    assert adapted(configs / "vit", num_channels=1, image_size=8).note == ""
    assert adapted(configs / "resnet", num_channels=1).note == ""


def test_features_are_the_hidden_states_of_the_library(configs: Path) -> None:
    model, inputs = adapted(configs / "vit").eval(), torch.randn(2, 1, 8, 8)
    said = model.network(model.input_adapter(inputs), output_hidden_states=True)
    found = observe(model)(inputs)
    assert torch.equal(found.logits, said.logits)
    for layer in (1, 2):
        tokens = said.hidden_states[layer]
        assert tokens.shape == (2, 17, 16)
        assert torch.allclose(found.features[f"block{layer}"].flatten(2).transpose(1, 2), tokens[:, 1:], atol=1e-6)
    conv = adapted(configs / "resnet", num_channels=1).eval()
    stages = conv.network(inputs, output_hidden_states=True).hidden_states
    features = observe(conv)(inputs).features
    assert all(torch.equal(features[f"block{stage}"], stages[stage]) for stage in (1, 2))


def test_weights_in_the_folder_are_loaded_with_their_preprocessing(configs: Path) -> None:
    source = transformers.ViTForImageClassification(transformers.ViTConfig(**VIT, num_labels=7)).eval()
    source.save_pretrained(configs / "trained")
    stated = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.25, 0.3], "size": {"height": 16, "width": 16}}
    (configs / "trained" / "preprocessor_config.json").write_text(json.dumps(stated))
    samples = DataSpec(7, (3, 8, 8), (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    model, pixels = adapted(configs / "trained", samples).eval(), torch.rand(2, 3, 8, 8)
    assert model.note == "resized 8 -> 16, normalised by its own mean"
    assert model.trained_classes == 7
    column = {key: torch.tensor(stated[key]).reshape(1, 3, 1, 1) for key in ("image_mean", "image_std")}
    mean, std = (torch.tensor(each).reshape(1, 3, 1, 1) for each in (samples.mean, samples.std))
    resized = functional.interpolate(pixels, (16, 16), mode="bilinear", antialias=True)
    expected = source((resized - column["image_mean"]) / column["image_std"]).logits
    assert (model((pixels - mean) / std) - expected).abs().max() < 1e-5
    other = adapted(configs / "trained")
    assert other(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    assert "a new classifier of 10 outputs in place of 7" in other.note
    assert adapted(configs / "trained", pretrained=False).trained_classes is None
    save_weights(model, configs / "w.safetensors")
    again = make(f"hf:{configs / 'trained'}", samples, loads_weights=True).eval()
    load_weights(again, configs / "w.safetensors")
    assert torch.equal(again((pixels - mean) / std), model((pixels - mean) / std))


def test_its_options_make_it_again_when_the_folder_is_gone(configs: Path, tmp_path: Path) -> None:
    """With its own normalisation, as its weights want it, and what was said besides."""
    transformers.ViTForImageClassification(transformers.ViTConfig(**VIT, num_labels=10)).save_pretrained(
        configs / "vit"
    )
    preprocessor = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": 16}
    (configs / "vit" / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    before = adapted(configs / "vit", hidden_dropout_prob=0.25).eval()
    save_weights(before, tmp_path / "weights.safetensors")
    options = json.loads(json.dumps(before.options))  # as they lie in a file
    (configs / "vit").rename(tmp_path / "elsewhere")
    after = make(f"hf:{configs / 'vit'}", DIGITS, options, loads_weights=True).eval()
    assert isinstance(after, Adapted)
    assert after.input_spec == before.input_spec
    inner: Any = after.network
    assert inner.config.hidden_dropout_prob == 0.25
    load_weights(after, tmp_path / "weights.safetensors")
    inputs = torch.randn(3, 1, 8, 8)
    assert torch.equal(after(inputs), before(inputs))


@pytest.mark.parametrize(
    ("place", "options", "said"),
    [
        ("nobody/no-such-model", {}, "hf:nobody/no-such-model is no folder or file here"),
        ("empty", {}, "the folder has no config.json"),
        ("vit", {"hiden_size": 8}, "model.hiden_size: hf:vit has no such key; did you mean hidden_size"),
        ("vit", {"hidden_act": "sharp"}, "hf:vit cannot be made"),
        ("broken.json", {}, "broken.json is no configuration"),
        ("text", {}, "hf:text cannot be made"),
    ],
)
def test_what_cannot_be_is_refused(
    place: str, options: dict[str, Any], said: str, configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(configs)
    (configs / "empty").mkdir()
    (configs / "broken.json").write_text("{")
    transformers.GPT2Config(n_embd=8, n_layer=1, n_head=1).save_pretrained(configs / "text")
    with pytest.raises(UsageError, match=re.escape(said)):
        adapted(place, **options)
