from __future__ import annotations

import torch
from torch import nn

from preceptor.artifacts.fingerprints import fingerprint
from preceptor.models import Calibrated, SelectedClasses, classifier_parameters, create, find_classifier, observe


def test_logits_are_divided_and_features_stay() -> None:
    network = create("resnet8", num_classes=10).eval()
    calibrated, inputs = Calibrated(network, 2.0).eval(), torch.randn(3, 3, 32, 32)
    assert torch.equal(calibrated(inputs), network(inputs) / 2)
    expected = observe(network)(inputs).features
    found = observe(calibrated)(inputs).features
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_its_classifier_gives_its_logits() -> None:
    network = Calibrated(SelectedClasses(create("resnet8", num_classes=10), [7, 2], 10), 2.5).eval()
    inputs = torch.randn(3, 3, 32, 32)
    pooled = observe(network, ["pooled"])(inputs).features["pooled"]
    torch.testing.assert_close(find_classifier(network, 2)(pooled), network(inputs))
    weight, bias = classifier_parameters(network, 2)
    torch.testing.assert_close(pooled @ weight.T + bias, network(inputs))


def test_the_temperature_counts_in_the_fingerprint() -> None:
    network = nn.Linear(2, 2)
    assert fingerprint(Calibrated(network, 2.0)) != fingerprint(Calibrated(network, 3.0))
