from __future__ import annotations

import pytest
import torch
from torch import nn

from preceptor.errors import UsageError
from preceptor.models import classifier_parameters, find_classifier


def test_the_last_layer_with_one_output_a_class() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3), nn.Linear(3, 1))
    assert find_classifier(model, 3) is model[1]


def test_a_single_output_is_widened_for_two_classes() -> None:
    model, inputs = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 1)), torch.randn(5, 6)
    wide = find_classifier(model, 2)
    assert torch.equal(wide(inputs)[:, 0], torch.zeros(5))
    torch.testing.assert_close(wide(inputs)[:, 1:], model[1](inputs))
    bare = find_classifier(nn.Linear(6, 1, bias=False), 2)
    assert torch.equal(bare.bias, torch.zeros(2))


def test_two_outputs_go_before_a_single_one() -> None:
    model = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 1))
    assert find_classifier(model, 2) is model[0]


def test_a_network_without_one() -> None:
    with pytest.raises(UsageError, match="Sequential has no linear layer with 3 outputs"):
        find_classifier(nn.Sequential(nn.Linear(4, 1)), 3)


def test_its_parameters_let_gradients_through() -> None:
    for model, classes in ((nn.Linear(4, 3), 3), (nn.Linear(4, 1, bias=False), 2)):
        weight, bias = classifier_parameters(model, classes)
        inputs = torch.randn(2, 4)
        logits = model(inputs) if classes == 3 else torch.cat([torch.zeros(2, 1), model(inputs)], dim=1)
        torch.testing.assert_close(inputs @ weight.T + bias, logits)
        weight.sum().backward()
        assert model.weight.grad is not None
    with pytest.raises(UsageError, match="Linear has no linear layer with 7 outputs"):
        classifier_parameters(nn.Linear(4, 3), 7)
