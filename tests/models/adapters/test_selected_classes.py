from __future__ import annotations

import torch
from torch import nn

from preceptor.artifacts.fingerprints import fingerprint
from preceptor.models import SelectedClasses, create, feature_names, find_classifier, observe


def test_logits_are_selected_and_features_stay() -> None:
    network = create("resnet8", num_classes=10).eval()
    selected, inputs = SelectedClasses(network, [7, 2], 10).eval(), torch.randn(3, 3, 32, 32)
    assert torch.equal(selected(inputs), network(inputs)[:, [7, 2]])
    assert feature_names(selected) == feature_names(network)
    names = [*feature_names(network, preactivation=True), "layer1.0"]
    one, two = observe(network, names), None
    expected = one(inputs).features
    one.release()
    two = observe(selected, names)(inputs).features
    assert all(torch.equal(two[name], expected[name]) for name in names)


def test_its_classifier_is_that_of_the_selected_outputs() -> None:
    network = create("resnet8", num_classes=10).eval()
    classifier = find_classifier(SelectedClasses(network, [7, 2], 10), 2)
    inner = find_classifier(network, 10)
    assert torch.equal(classifier.weight, inner.weight[[7, 2]])
    assert classifier.bias is not None
    assert torch.equal(classifier.bias, inner.bias[[7, 2]])


def test_the_order_counts_in_the_fingerprint() -> None:
    network = nn.Linear(2, 2)
    assert fingerprint(SelectedClasses(network, [1, 0], 2)) != fingerprint(SelectedClasses(network, [0, 1], 2))


def test_one_output_is_two_logits() -> None:
    found = SelectedClasses(nn.Identity(), [1, 0], 2)(torch.tensor([[3.0], [-1.0]]))
    assert torch.equal(found, torch.tensor([[3.0, 0.0], [-1.0, 0.0]]))
