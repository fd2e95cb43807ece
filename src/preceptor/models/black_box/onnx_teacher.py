"""An ONNX file as a teacher: run by onnxruntime, on the CPU or, where onnxruntime has CUDA, on the GPU.

Its inputs and outputs pass through the host's memory. Not yet run on a GPU.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from preceptor.divergences import as_logits
from preceptor.errors import UsageError
from preceptor.messages import first_few, first_line
from preceptor.models.black_box.base import BlackBox
from preceptor.models.black_box.onnx_file import OnnxFile, providers, start_session
from preceptor.models.features.observed import logits_of
from preceptor.models.metadata import Output

__all__ = ["OnnxTeacher"]

_TYPES = {  # of inputs, and of outputs that are logits or probabilities
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}
_FLOATS = {"tensor(float)", "tensor(float16)", "tensor(double)"}
_TOKENS = ("input_ids", "attention_mask", "token_type_ids")  # rows of a text, as transformers call them
_CHANNELS = {1, 3}


@dataclass(frozen=True, slots=True)
class _Signature:
    """What a file takes and returns.

    Attributes:
        inputs: their names: one, or the rows of a text.
        kind: the type of their numbers.
        batch: the only number of rows that it takes; None: any.
        shape: of one sample; None for each size that may vary.
        output: that holds logits or probabilities.
        others: further outputs.
    """

    inputs: tuple[str, ...]
    kind: type
    batch: int | None
    shape: tuple[int | None, ...]
    output: str
    others: tuple[str, ...]


class OnnxTeacher(BlackBox):
    """An ONNX file that returns logits, or probabilities, of which the logarithms are taken.

    Args:
        file: as `read_onnx` returned it.
        output: what it returns.
        is_multilabel: whether each class is present or not.

    Raises:
        UsageError: when onnxruntime cannot run it, or its inputs and outputs are not those of a classifier.
    """

    def __init__(self, file: OnnxFile, *, output: Output = "logits", is_multilabel: bool = False) -> None:
        super().__init__(file.path.name, file.bytes, file.sha256)
        self._file = file
        self._are_probabilities = output == "probabilities"
        self._is_multilabel = is_multilabel
        self._sessions: dict[torch.device, Any] = {}
        self._signature = _signature(file, self._session(torch.device("cpu")))

    @property
    def takes_pixels(self) -> bool:
        """Whether it takes whole numbers from 0 to 255."""
        return self._signature.kind is np.uint8

    @property
    def takes_tokens(self) -> bool:
        """Whether it takes the rows of a text, each by its name."""
        return self._signature.inputs[0] in _TOKENS

    @property
    def is_channels_last(self) -> bool:
        """Whether it takes images [batch, height, width, channels]."""
        shape = self._signature.shape
        return len(shape) == 3 and shape[2] in _CHANNELS and shape[0] not in _CHANNELS

    @property
    def sample_shape(self) -> tuple[int | None, ...]:
        """The shape of a sample, channels first; None for each size that may vary."""
        shape = self._signature.shape
        return (shape[2], *shape[:2]) if self.is_channels_last else shape

    @property
    def note(self) -> str:
        """What is read of several outputs."""
        if not self._signature.others:
            return ""
        return f"output {self._signature.output} is read, not {first_few(self._signature.others)}"

    def forward(self, inputs: Tensor) -> Tensor:
        array = self._as_it_takes(inputs)
        size = self._signature.batch or len(array)
        session = self._session(inputs.device)
        found = np.concatenate(
            [self._run(session, array[start : start + size], size) for start in range(0, len(array), size)]
        )
        outputs = logits_of(torch.from_numpy(found).float(), self)
        if self._are_probabilities:
            is_one = outputs.shape[1] == 1
            outputs = as_logits(outputs, is_multilabel=self._is_multilabel or is_one)
        return outputs.to(inputs.device)

    def _as_it_takes(self, inputs: Tensor) -> NDArray[Any]:
        kind = self._signature.kind
        values = inputs.detach().float().cpu()
        if len(self._signature.shape) == 1 and not self.takes_tokens:
            values = values.flatten(1)
        if self.is_channels_last:
            values = values.movedim(1, -1)
        if not issubclass(kind, np.floating):
            values = values.round()
        if kind is np.uint8:
            values = values.clamp(0, 255)
        return np.ascontiguousarray(values.numpy().astype(kind))

    def _run(self, session: Any, rows: NDArray[Any], size: int) -> NDArray[Any]:
        """Return the outputs of some rows, filled up to the number that the file takes."""
        missing = size - len(rows)
        whole = np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows
        names = self._signature.inputs
        fed = {name: _token_row(whole, name) for name in names} if self.takes_tokens else {names[0]: whole}
        try:
            (found,) = session.run([self._signature.output], fed)
        except Exception as error:  # of onnxruntime, whose kinds have no common ancestor but this one
            raise UsageError(
                f"teacher: {self.name} cannot take samples of shape {tuple(rows.shape[1:])} ({first_line(error)})"
            ) from error
        result: NDArray[Any] = found[: len(rows)]
        return result

    def _session(self, device: torch.device) -> Any:
        if device not in self._sessions:
            session = start_session(self._file, device)
            self._sessions[device] = session
            if device.type != "cpu" and session.get_providers()[0] == "CPUExecutionProvider":
                logging.getLogger("preceptor").warning(
                    f"note: teacher: {self.name} runs on the CPU, because this onnxruntime has none but "
                    f"{first_few(providers(device, session.get_providers()))}; onnxruntime-gpu has CUDA"
                )
        return self._sessions[device]


def _token_row(texts: NDArray[Any], name: str) -> NDArray[Any]:
    """Return a row of each text; zeros for token types that the texts do not have."""
    row = _TOKENS.index(name)
    return texts[:, row] if row < texts.shape[1] else np.zeros_like(texts[:, 0])


def _signature(file: OnnxFile, session: Any) -> _Signature:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    names = tuple(each.name for each in inputs)
    are_tokens = set(names) <= set(_TOKENS)
    if not inputs or (len(names) > 1 and not are_tokens):
        raise UsageError(
            f"teacher: {file.path} takes {len(names)} inputs ({first_few(names)}); one is needed: the samples"
        )
    if inputs[0].type not in _TYPES:
        raise UsageError(f"teacher: {file.path} takes {inputs[0].type}; numbers are needed: {', '.join(_TYPES)}")
    read = [each.name for each in outputs if each.type in _FLOATS and len(each.shape) in {0, 2}]
    if not read:
        there = first_few([f"{each.name}: {each.type}" for each in outputs])
        raise UsageError(
            f"teacher: {file.path} returns no floating-point table [batch, classes] ({there}); of scikit-learn, convert with "
            "zipmap=False"
        )
    batch, *shape = (size if isinstance(size, int) else None for size in inputs[0].shape)
    order = tuple(name for name in _TOKENS if name in names) if are_tokens else names
    others = tuple(each.name for each in outputs if each.name != read[0])
    return _Signature(order, _TYPES[inputs[0].type], batch, tuple(shape), read[0], others)
