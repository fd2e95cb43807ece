"""A `.pt2` file is loaded only as far as it is a traced network: each way to hide code in one is refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from preceptor.checksums import seal_zip
from preceptor.errors import UsageError
from preceptor.exports.deployed import DeployedNetwork, example_inputs, trace
from preceptor.exports.pt2 import open_pt2, to_pt2
from preceptor.exports.pt2_archive import NotPlainError, plain_archive
from preceptor.models import ModelMetadata
from preceptor.types import Preprocessing

METADATA = ModelMetadata({"name": "own"}, ("a", "b"), (3,), "float32", Preprocessing())
GRAPH = "archive/models/model.json"


class Runs:
    """Pickled, it is a call of `os.system`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


def pickled(value: object) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


@pytest.fixture(scope="module")
def deployed() -> DeployedNetwork:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    return DeployedNetwork(network, METADATA).eval()


@pytest.fixture(scope="module")
def content(deployed: DeployedNetwork) -> bytes:
    return to_pt2(trace(deployed, METADATA), METADATA)


def changed(content: bytes, change: Callable[[dict[str, bytes]], object]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    change(records)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, record in records.items():
            archive.writestr(zipfile.ZipInfo(name), record)
    seal_zip(written)  # a checksum tells damage, not intent
    return written.getvalue()


def in_graph(change: Callable[[Any], object]) -> Callable[[dict[str, bytes]], object]:
    def instead(records: dict[str, bytes]) -> None:
        program = json.loads(records[GRAPH])
        change(program["graph_module"])
        records[GRAPH] = json.dumps(program).encode()

    return instead


def first(graph: Any, key: str, value: Any) -> None:
    graph["graph"]["nodes"][0][key] = value


def in_spec(graph: Any, tree: object) -> None:
    graph["module_call_graph"][0]["signature"]["in_spec"] = json.dumps([1, tree])


def pickle_weights(records: dict[str, bytes]) -> None:
    name = "archive/data/weights/model_weights_config.json"
    config = json.loads(records[name])
    key = next(iter(config["config"]))
    config["config"][key]["use_pickle"] = True
    records[name] = json.dumps(config).encode()
    records["archive/data/weights/weight_0"] = pickled(Runs())


def custom_object(records: dict[str, bytes]) -> None:
    name = "archive/data/constants/model_constants_config.json"
    payload = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": False, "tensor_meta": None}
    records[name] = json.dumps({"config": {"c": payload}}).encode()
    records["archive/data/constants/opaque_obj_0"] = pickle.dumps(Runs())


def old_format(records: dict[str, bytes]) -> None:
    records.clear()
    records.update({"serialized_exported_program.json": b"{}", "serialized_state_dict.pt": pickled(Runs())})


def expression(text: str) -> Callable[[dict[str, bytes]], object]:
    def change(graph: Any) -> None:
        sizes = next(iter(graph["graph"]["tensor_values"].values()))["sizes"]
        sizes[0] = {"as_expr": {"expr_str": text, "hint": {"as_int": 2}}}

    return in_graph(change)


HOSTILE: dict[str, Callable[[dict[str, bytes]], object]] = {
    "an operator of another module": in_graph(lambda graph: first(graph, "target", "torch.serialization.os.system")),
    "an operator that writes files": in_graph(lambda graph: first(graph, "target", "torch.ops.aten.save.default")),
    "an operator that opens files": in_graph(lambda graph: first(graph, "target", "torch.ops.aten.from_file.default")),
    "an operator of another library": in_graph(lambda graph: first(graph, "target", "torch.ops.mine.run.default")),
    "a name that reaches inside": in_graph(lambda graph: first(graph, "name", "x.__class__.__base__")),
    "a name that is source": in_graph(lambda graph: first(graph, "name", "x = __import__('os').system('touch pwned')")),
    "an argument that is source": in_graph(
        lambda graph: graph["module_call_graph"][0]["signature"].update(forward_arg_names=["x=__import__('os')"])
    ),
    "an enum, whose module is imported": in_graph(
        lambda graph: in_spec(
            graph,
            {
                "type": "builtins.dict",
                "context": '[{"__enum__": true, "fqn": "canary:A", "name": "b"}]',
                "children_spec": [],
            },
        )
    ),
    "a type of its own": in_graph(
        lambda graph: in_spec(graph, {"type": "mine.Type", "context": "null", "children_spec": []})
    ),
    "an expression that calls": expression("__import__('os').system('touch pwned')"),
    "an expression with an attribute": expression("Symbol('s1').__class__"),
    "an expression of another function": expression("sympify('s1')"),
    "an expression that never ends": expression("Integer(9)**9**9**9"),
    "pickled weights": pickle_weights,
    "a pickled constant": custom_object,
    "a compiled library": lambda records: records.update({"archive/data/aotinductor/model/a.so": b"\x7fELF"}),
    "weights of an old format": lambda records: records.update({"archive/data/weights/model.pt": pickled(Runs())}),
    "a second network": lambda records: records.update({"archive/models/other.json": records[GRAPH]}),
    "a second archive": lambda records: records.update({"other/models/model.json": records[GRAPH]}),
    "old weights that run": old_format,
    "very deep": lambda records: records.update({GRAPH: b"[" * 100_000 + b"]" * 100_000}),
}


@pytest.mark.parametrize("way", HOSTILE)
def test_a_file_that_holds_more_than_a_network_is_refused(
    way: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = changed(content, HOSTILE[way])
    with pytest.raises(NotPlainError):
        plain_archive(hostile)
    with pytest.raises(UsageError, match=r"^x\.pt2: holds more than a traced network \(.*\), and is not opened$"):
        open_pt2(hostile, Path("x.pt2"))
    assert list(tmp_path.iterdir()) == []


def test_sample_inputs_guards_and_notes_are_left_out(
    content: bytes, deployed: DeployedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are of no use to whoever opens a file, and each could run code."""
    monkeypatch.chdir(tmp_path)

    def hide(records: dict[str, bytes]) -> None:
        records["archive/data/sample_inputs/model.pt"] = pickled(Runs())
        program = json.loads(records[GRAPH])
        program["guards_code"] = ["__import__('os').system('touch pwned')"]
        program["graph_module"]["graph"]["nodes"][0]["metadata"] = {
            "stack_trace": "\n__import__('os').system('touch pwned')"
        }
        records[GRAPH] = json.dumps(program).encode()

    forward, metadata = open_pt2(changed(content, hide), Path("x.pt2"))
    samples = example_inputs(METADATA, 5)
    torch.testing.assert_close(forward(samples), deployed(samples).detach())
    assert metadata == METADATA
    assert list(tmp_path.iterdir()) == []


def test_our_own_files_hold_neither_inputs_nor_paths_of_this_machine(content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("archive/data/sample_inputs/model.pt") == b""
        assert b"stack" not in archive.read(GRAPH)
    assert str(Path(__file__).parent).encode() not in content


def test_packed_or_repeated_records_are_refused(content: bytes) -> None:
    """What two readers of one archive may read differently, and what may grow beyond measure."""
    for method, names in ((zipfile.ZIP_DEFLATED, ["archive/version"]), (zipfile.ZIP_STORED, ["archive/version"] * 2)):
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w", method) as archive:
            for name in names:
                archive.writestr(name, b"x" * 1000)
        with pytest.raises(NotPlainError, match=r"packed|its list of records"):
            plain_archive(written.getvalue())


def test_a_network_with_operators_of_another_library_is_not_written() -> None:
    with torch.library._scoped_library("ktrust_test", "FRAGMENT") as library:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: 2 * x, "CompositeExplicitAutograd")

        class Twice(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return torch.ops.ktrust_test.twice(x)[:, :2]  # type: ignore[no-any-return]

        deployed = DeployedNetwork(Twice(), METADATA).eval()
        with pytest.raises(UsageError, match=r"export: the traced network has target 'torch\.ops\.ktrust_test"):
            to_pt2(trace(deployed, METADATA), METADATA)
