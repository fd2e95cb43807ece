from __future__ import annotations

import copy
import gc
import io
import threading
import weakref
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from preceptor.errors import UsageError
from preceptor.models import create, feature_names, observe
from started import run


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


def test_a_failed_pass_leaves_nothing_behind_and_its_error_as_it_was() -> None:
    class Failing(Mine):
        def forward(self, inputs: Tensor) -> Tensor:
            self.body(inputs)
            raise KeyError("my own mistake")

    observed = observe(Failing(), ["body.0"])
    with pytest.raises(KeyError, match="my own mistake"):
        observed(torch.randn(2, 4))
    assert observed._store.features == {}
    assert not observed._store.is_open


def test_threads_get_their_own_features() -> None:
    observed = observe(create("resnet8", num_classes=3).eval(), ["block1"])
    inputs = [torch.full((2, 3, 16, 16), float(k)) for k in range(3)]
    expected = [observed(each).features["block1"] for each in inputs]
    same: list[bool] = []

    def ask(k: int) -> None:
        same.extend(torch.equal(observed(inputs[k]).features["block1"], expected[k]) for _ in range(15))

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same == [True] * 45


def test_a_later_layer_that_works_in_place_does_not_change_a_feature() -> None:
    body = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 2))
    inputs = torch.randn(8, 4)
    features = observe(body, ["0", "1:input"])(inputs).features
    assert torch.equal(features["0"], body[0](inputs))
    assert torch.equal(features["1:input"], body[0](inputs))
    assert (features["0"] < 0).any()


def test_inputs_given_by_keyword_and_modules_with_two_names_are_found() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(3, 3)
            self.two = self.one

        def forward(self, inputs: Tensor) -> Tensor:
            logits: Tensor = self.two(input=inputs)
            return logits

    model, inputs = Shared(), torch.randn(2, 3)
    features = observe(model, ["two", "two:input"])(inputs).features
    assert torch.equal(features["two"], model.one(inputs))
    assert torch.equal(features["two:input"], inputs)


def test_observing_an_observer_aims_anew_at_its_network() -> None:
    observed = observe(create("resnet8", num_classes=3).eval(), ["block1"])
    again = observe(observed, ["pooled"])
    assert again.model is observed.model
    assert observed.feature_names == again.feature_names == ("stem", "block1", "block2", "block3", "pooled")
    assert feature_names(observed) == observed.feature_names
    assert list(again(torch.zeros(1, 3, 32, 32)).features) == ["pooled"]


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
    twin.release()
    assert not any(module._forward_hooks for module in twin.modules())
    assert list(observed(torch.ones(1, 4)).features) == ["body.0"]


def test_an_observer_survives_saving_and_loading() -> None:
    observed, file = observe(Mine(), ["body.0", "head:input"]), io.BytesIO()
    torch.save(observed, file)
    file.seek(0)
    inputs = torch.randn(2, 4)
    again = torch.load(file, weights_only=False)(inputs)
    torch.testing.assert_close(dict(again.features), dict(observed(inputs).features))


def test_gradients_reach_the_network_through_a_feature() -> None:
    observed = observe(Mine(), ["body.0"])
    observed(torch.randn(2, 4)).features["body.0"].sum().backward()
    weight = observed.get_parameter("model.body.0.weight")
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0


COMPILED = """
import torch
from preceptor.models import create, observe
tapped = observe(create("convnet_s", num_classes=4, input_shape=(1, 8, 8)).eval(), ["stem", "block1_preact", "pooled"])
foreign = observe(torch.nn.Sequential(torch.nn.Linear(64, 6), torch.nn.ReLU(inplace=True)), ["0", "1:input"])
for observed, inputs in ((tapped, torch.randn(3, 1, 8, 8)), (foreign, torch.randn(3, 64))):
    plain, compiled = observed(inputs), torch.compile(observed, backend="aot_eager", fullgraph=True)(inputs)
    torch.testing.assert_close(compiled.logits, plain.logits)
    assert len(plain.features) == len(observed.names)
    torch.testing.assert_close(dict(compiled.features), dict(plain.features))
    compiled.features[observed.names[0]].sum().backward()
    assert next(observed.parameters()).grad.abs().sum() > 0
"""


def test_compiled_is_one_graph_and_the_same(tmp_path: Path) -> None:
    """In a process of its own: the type checks of the test run would break the graph."""
    script = tmp_path / "script.py"
    script.write_text(COMPILED)
    run([str(script)], check=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("block9", r"ResNet has no such feature or module; did you mean block"),
        ("layer1.7", "no such feature or module"),
    ],
)
def test_an_unknown_feature_is_named_with_its_neighbours(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        observe(create("resnet8", num_classes=10), [name])


def test_a_module_that_never_runs_is_named() -> None:
    with pytest.raises(UsageError, match="feature unused: its module was not called"):
        observe(Mine(), ["unused"])(torch.randn(2, 4))


def test_a_feature_that_is_no_tensor_is_named() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTM(4, 2, batch_first=True)

        def forward(self, inputs: Tensor) -> Tensor:
            logits: Tensor = self.cell(inputs)[0][:, -1]
            return logits

    with pytest.raises(UsageError, match="feature cell: is a tuple, expected a tensor"):
        observe(Recurrent(), ["cell"])(torch.zeros(2, 3, 4))


def test_one_name_in_place_of_a_list_is_refused() -> None:
    with pytest.raises(UsageError, match="'pooled' is one name, expected a list"):
        observe(create("resnet8", num_classes=10), "pooled")


@pytest.mark.parametrize(
    "output",
    [
        *((torch.zeros(2, 3, 4),), (), {"loss": torch.zeros(2, 3)}, None),
        *(torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long)),
    ],
)
def test_an_output_that_is_no_logits_is_refused(output: object) -> None:
    class Odd(nn.Module):
        def forward(self, inputs: Tensor) -> object:
            return output

    with pytest.raises(UsageError, match=r"model Odd returned .*, expected logits \[batch, classes\]"):
        observe(Odd())(torch.zeros(2, 4))


def test_a_single_output_is_read_as_two_logits() -> None:
    model, inputs = nn.Linear(4, 1), torch.randn(5, 4)
    outputs = observe(model, [])(inputs)
    log_odds = model(inputs)[:, 0]
    assert outputs.logits.shape == (5, 2)
    assert torch.equal(outputs.logits[:, 0], torch.zeros(5))
    assert torch.equal(outputs.logits[:, 1], log_odds)
    torch.testing.assert_close(torch.softmax(outputs.logits, 1)[:, 1], torch.sigmoid(log_odds))
    outputs.logits[:, 1].sum().backward()
    torch.testing.assert_close(model.weight.grad, inputs.sum(0, keepdim=True))


class Both(nn.Module):
    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, -inputs


class Talkative(nn.Module):
    """Gives a tuple inside, and logits wherever it is told to put them."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.both = Both()
        self.where = where

    def forward(self, inputs: Tensor) -> object:
        first, _ = self.both(inputs)
        logits = first[:, :3]
        return {"alone": logits, "tuple": (logits, 1), "mapping": {"loss": 0, "logits": logits}}[self.where]


@pytest.mark.parametrize("where", ["alone", "tuple", "mapping"])
def test_logits_are_found_wherever_a_network_puts_them(where: str) -> None:
    inputs = torch.randn(2, 24)
    assert torch.equal(observe(Talkative(where))(inputs).logits, inputs[:, :3])


def test_suffixes_of_a_feature_are_applied_to_what_its_module_gives_or_takes() -> None:
    inputs = torch.randn(2, 24)
    features = observe(Talkative("alone"), ["both:1", "both:0", "both:input"])(inputs).features
    assert torch.equal(features["both:1"], -inputs)
    assert torch.equal(features["both:0"], inputs)
    assert torch.equal(features["both:input"], inputs)


def test_a_named_feature_takes_no_suffix() -> None:
    with pytest.raises(UsageError, match=r"feature block1:4x4: block1 takes no suffix; .* module's path: layer1:4x4"):
        observe(create("resnet8", num_classes=10), ["block1:4x4"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_network_of_another_precision_runs_in_it_and_its_features_are_float32(dtype: torch.dtype) -> None:
    network, inputs = Mine().eval(), torch.randn(5, 4)
    expected = observe(network, ["body"])(inputs)
    outputs = observe(copy.deepcopy(network).to(dtype), ["body"])(inputs)
    assert outputs.logits.dtype == dtype
    assert outputs.features["body"].dtype == torch.float32
    tolerance = 1e-5 if dtype == torch.float64 else 0.05
    assert torch.allclose(outputs.logits.float(), expected.logits, atol=tolerance)
    assert torch.allclose(outputs.features["body"], expected.features["body"], atol=tolerance)


def test_a_network_of_several_precisions_gets_its_inputs_as_they_are() -> None:
    network = Mine()
    network.unused.double()
    assert observe(network, ())(torch.randn(5, 4)).logits.dtype == torch.float32
