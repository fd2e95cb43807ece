from __future__ import annotations

from typing import Any

import pytest

from preceptor.errors import UsageError
from preceptor.models import ExpandedMap, ReusedClassifier, create
from preceptor.models.adapters.wrappers import without_wrappers, wrap_as_stated

REUSED = {
    "feature": "block2",
    "channels": 16,
    "teacher_channels": 6,
    "teacher_size": [2, 2],
    "num_classes": 5,
    "bottleneck": 3,
}
EXPANDED = {"module": "stages.1", "channels": 16, "wide": 24}


def network() -> Any:
    return create("convnet_s", num_classes=5, input_shape=(1, 8, 8))


def test_each_wrapper_by_its_key() -> None:
    module = network().feature_paths["block2"]
    assert type(wrap_as_stated(network(), {"reused_classifier": REUSED})) is ReusedClassifier
    expanded = wrap_as_stated(network(), {"expanded_map": {**EXPANDED, "module": module}})
    assert type(expanded) is ExpandedMap
    assert wrap_as_stated(expanded, {"expanded_map": EXPANDED}) is expanded


def test_other_keys_are_the_networks() -> None:
    keys = {"widths": [4], "reused_classifier": REUSED, "expanded_map": EXPANDED}
    assert without_wrappers(keys) == {"widths": [4]}


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("yes", r"^model\.expanded_map: 'yes' is no mapping; method norm writes it$"),
        ({**EXPANDED, "chanels": 1}, r"model\.expanded_map\.chanels: unknown key; did you mean channels\?"),
        ({**EXPANDED, "wide": 0}, r"^model\.expanded_map: its sizes are at least 1, got \{"),
    ],
)
def test_errors(stated: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        wrap_as_stated(network(), {"expanded_map": stated})
