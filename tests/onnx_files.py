"""Small ONNX files of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["linear_model", "write_linear"]


def linear_model(
    weight: NDArray[Any],
    shape: list[int | str],
    *,
    kind: int = TensorProto.FLOAT,
    last: str | None = None,
    inputs: tuple[str, ...] = ("x",),
) -> Any:
    """Return a model that multiplies flattened samples by a weight.

    Args:
        weight: [numbers, classes].
        shape: of a batch, its first entry the batch.
        kind: of the inputs.
        last: a further operator of the outputs.
        inputs: their names; all but the first one are not used.
    """
    classes = weight.shape[1]
    nodes = [
        helper.make_node("Cast", [inputs[0]], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["cast"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weight"], ["product" if last else "y"]),
        *([helper.make_node(last, ["product"], ["y"])] if last else []),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0], classes])],
        [numpy_helper.from_array(weight.astype(np.float32), "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def write_linear(path: Path, weight: NDArray[Any], shape: list[int | str], **options: Any) -> Path:
    """Write such a model, and return its path."""
    onnx.save(linear_model(weight, shape, **options), path)
    return path
