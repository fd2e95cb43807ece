from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.models import create, feature_names, observe


class Mine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6))
        self.head = nn.Linear(6, 3)
        self.unused = nn.Linear(1, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(inputs))
        return logits


def test_any_module_by_dotted_path_output_or_input() -> None:
    model, inputs = Mine(), torch.randn(5, 4)
    features = observe(model, ["body.0", "head:input"])(inputs).features
    assert torch.equal(features["body.0"], model.body[0](inputs))
    assert torch.equal(features["head:input"], model.body(inputs))


def test_a_module_without_names_offers_none_and_pays_nothing() -> None:
    model = Mine()
    observed = observe(model)
    assert feature_names(model) == ()
    assert observed(torch.randn(2, 4)).features == {}
    assert not any(module._forward_hooks for module in model.modules())


def test_observing_changes_no_weights_names_and_can_be_undone() -> None:
    model = create("resnet8", num_classes=10)
    before = list(model.state_dict())
    observed = observe(model)
    assert list(observed.model.state_dict()) == before
    assert observed.release() is model
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_no_feature_outlives_its_batch() -> None:
    observed = observe(Mine(), ["body.2"])
    outputs = observed(torch.randn(2, 4))
    kept = weakref.ref(outputs.features["body.2"])
    del outputs
    gc.collect()
    assert kept() is None
    observed.model(torch.randn(2, 4))
    assert observed._store.features == {}


def test_two_observers_of_one_module_do_not_mix() -> None:
    model, inputs = Mine(), torch.randn(2, 4)
    first, second = observe(model, ["body.0"]), observe(model, ["body.2"])
    assert list(first(inputs).features) == ["body.0"]
    assert list(second(inputs).features) == ["body.2"]


def test_a_copy_observes_itself() -> None:
    observed = observe(Mine(), ["body.0"])
    twin = copy.deepcopy(observed)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(twin(torch.ones(1, 4)).features["body.0"], torch.zeros(1, 8))
    assert not torch.equal(observed(torch.ones(1, 4)).features["body.0"], torch.zeros(1, 8))


def test_gradients_reach_the_network_through_a_feature() -> None:
    observed = observe(Mine(), ["body.0"])
    observed(torch.randn(2, 4)).features["body.0"].sum().backward()
    weight = observed.get_parameter("model.body.0.weight")
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0


def test_compiled_is_the_same() -> None:
    observed = observe(create("convnet_s", num_classes=4, input_shape=(1, 8, 8)).eval())
    inputs = torch.randn(3, 1, 8, 8)
    plain, compiled = observed(inputs), torch.compile(observed, backend="aot_eager")(inputs)
    torch.testing.assert_close(compiled.logits, plain.logits)
    torch.testing.assert_close(dict(compiled.features), dict(plain.features))


@pytest.mark.parametrize(
    ("name", "message"),
    [("block9", r"ResNet has no such feature or module; near: block"), ("layer1.7", "no such feature or module")],
)
def test_an_unknown_feature_is_named_with_its_neighbours(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        observe(create("resnet8", num_classes=10), [name])


def test_a_module_that_never_runs_is_named() -> None:
    with pytest.raises(UsageError, match="feature unused: its module was not called"):
        observe(Mine(), ["unused"])(torch.randn(2, 4))


@pytest.mark.parametrize("output", [(torch.zeros(2, 3),), torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long)])
def test_an_output_that_is_no_logits_is_refused(output: object) -> None:
    class Odd(nn.Module):
        def forward(self, inputs: Tensor) -> object:
            return output

    with pytest.raises(UsageError, match=r"model Odd returned .*, expected logits \[batch, classes\]"):
        observe(Odd())(torch.zeros(2, 4))
