"""Teachers that are no PyTorch modules, fitted to some data: ONNX files, estimators, functions."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from preceptor.artifacts.classes import select, select_stated
from preceptor.artifacts.compatibility import TrainingDataInfo, check_compatibility
from preceptor.artifacts.create import data_spec
from preceptor.config.sections import OnnxSection
from preceptor.data import Data, plain_batches
from preceptor.divergences import log_soften
from preceptor.errors import UsageError
from preceptor.models import (
    Adapted,
    BlackBox,
    DataSpec,
    EstimatorTeacher,
    FunctionTeacher,
    InputSpec,
    ModelMetadata,
    OnnxFile,
    OnnxTeacher,
    PredictsProbabilities,
    Stages,
    read_onnx,
)
from preceptor.types import ClassSelection

__all__ = ["as_teacher", "fitted_to_data", "load_onnx"]

_PIXELS = InputSpec(mean=(0.0,), std=(1 / 255,))  # from 0 to 255
_RECOGNISED_BY = 64  # samples for which a black box without a file is asked, to tell it from others
_DECIMALS = 3  # of their probabilities: the order of additions changes later ones


def as_teacher(value: object) -> nn.Module | None:
    """Return the network that an object from Python is: a module, an estimator, a function; None: it is none of these.

    Raises:
        UsageError: for an estimator that has not been fitted.
    """
    if isinstance(value, nn.Module):
        return value
    if isinstance(value, type):
        return None
    if isinstance(value, PredictsProbabilities):
        return EstimatorTeacher(value)
    return FunctionTeacher(value) if callable(value) else None


def fitted_to_data(network: nn.Module, data: Data) -> nn.Module:
    """Return a network that was passed from Python as one that reads the data's batches; modules as they are.

    Raises:
        UsageError: for an estimator that has other classes, or cannot predict such samples.
    """
    if isinstance(network, FunctionTeacher):
        return _recognised(network, network, data)
    if not isinstance(network, EstimatorTeacher):
        return network
    decode, hint = None, "reads samples as the data hold them"
    if data.table is not None:
        decode, hint = data.table.columns, "reads the columns of the table in their own units"
    fitted = EstimatorTeacher(network.estimator, is_multilabel=data.task == "multilabel", decode=decode)
    names = fitted.class_names
    _check_numbers(fitted.name, names, data)
    spec = replace(data_spec(data), num_classes=len(names))
    adapted = Adapted(fitted, Stages({}, {}), spec, _as_held(data), hint, class_names=names)
    return _recognised(fitted, adapted, data)


def load_onnx(
    path: Path, data: Data, section: OnnxSection, *, key: str = "teacher.classes", classes: ClassSelection = None
) -> nn.Module:
    """Return an ONNX file as a network that reads the data's batches.

    Args:
        path: of the file.
        data: that it will run on; what the file says of its classes, task and columns is checked against it.
        section: how a file of another program reads its inputs.
        key: of `classes`, for messages.
        classes: as for `load_network`.

    Raises:
        UsageError: when it is missing, damaged or changed, does not fit the data, or `section` contradicts it.
    """
    file, own_key = read_onnx(path, path), key.replace("classes", "onnx")
    if file.metadata is None:
        return _of_another_program(file, data, section, own_key, select_key=key, classes=classes)
    if section != OnnxSection():
        raise UsageError(f"{own_key}: {path} says itself how it reads its inputs; leave it out")
    who = f"teacher {path}"
    learned = TrainingDataInfo.from_metadata(file.metadata, who)
    order = check_compatibility(who, learned, data, classes, key)
    return select(_of_export(file, file.metadata, data), order, len(learned.class_names), data)


def _of_export(file: OnnxFile, metadata: ModelMetadata, data: Data) -> nn.Module:
    """Return a file that `preceptor export` wrote."""
    who, spec, shape = f"teacher {file.path}", data_spec(data), metadata.input_shape
    network = OnnxTeacher(file, output=metadata.output, is_multilabel=metadata.task == "multilabel")
    if metadata.vocabulary != spec.vocabulary:
        raise UsageError(f"{who} reads the data otherwise: of both, one are texts, or texts of another tokenizer")
    _check_shape(who, shape, spec)
    channels, size = (shape[0], (shape[1], shape[2])) if len(shape) == 3 else (None, None)
    if metadata.normalise == "inside":
        reads = replace(_as_held(data), channels=channels, size=size)
    else:
        reads = InputSpec(channels, size, metadata.preprocessing.mean, metadata.preprocessing.std)
    return _adapted(who, network, replace(spec, num_classes=len(metadata.class_names)), reads, network.note)


def _of_another_program(
    file: OnnxFile, data: Data, section: OnnxSection, key: str, *, select_key: str, classes: ClassSelection
) -> nn.Module:
    """Return a file that says nothing of its inputs but their shape."""
    who, spec = f"teacher {file.path}", data_spec(data)
    if len(section.mean) != len(section.std):
        raise UsageError(f"{key}: mean has {len(section.mean)} numbers, std {len(section.std)}")
    network = OnnxTeacher(file, output=section.output, is_multilabel=data.task == "multilabel")
    hints = [network.note] if network.note else []
    if network.takes_tokens or spec.vocabulary is not None:
        _check_texts(who, network, data)
        reads = InputSpec()
    else:
        shape = network.sample_shape
        _check_shape(who, shape, spec)
        reads = _normalisation(section, network)
        if len(shape) == 3:
            size = None if shape[1] is None or shape[2] is None else (shape[1], shape[2])
            reads = replace(reads, channels=shape[0], size=size)
        if reads.mean == () and spec.mean:
            hints.append(f"its inputs are normalised as the data are; {key}.mean=[...] {key}.std=[...] say otherwise")
    return select_stated(who, _adapted(who, network, spec, reads, "; ".join(hints)), data, classes, select_key)


def _adapted(who: str, network: OnnxTeacher, spec: DataSpec, reads: InputSpec, hint: str) -> Adapted:
    try:
        return Adapted(network, Stages({}, {}), spec, reads, hint)
    except UsageError as error:
        raise UsageError(f"{who}: {error}") from error


def _normalisation(section: OnnxSection, network: OnnxTeacher) -> InputSpec:
    """Return the normalisation that a file of another program expects."""
    if network.takes_pixels:
        return _PIXELS
    if section.scale is None and not section.mean:
        return InputSpec()
    scale = float(section.scale or 1)
    mean, std = section.mean or (0.0,), section.std or (1.0,)
    return InputSpec(mean=tuple(each / scale for each in mean), std=tuple(each / scale for each in std))


def _as_held(data: Data) -> InputSpec:
    """Return inputs as the data hold them: pixels from 0 to 255, other numbers before normalisation."""
    if data.train.inputs(torch.tensor([0])).dtype == torch.uint8:
        return _PIXELS
    return InputSpec(mean=(0.0,), std=(1.0,)) if data.preprocessing.mean else InputSpec()


def _check_shape(who: str, shape: tuple[int | None, ...], spec: DataSpec) -> None:
    """Check that samples have the shape that a file takes; images may have another size, and flat numbers be an image.

    Raises:
        UsageError: when they have not.
    """
    is_image = len(shape) == len(spec.shape) == 3
    is_flat = len(shape) == 1 and shape[0] in {None, torch.Size(spec.shape).numel()}
    is_same = len(shape) == len(spec.shape) and all(
        one in {None, other} for one, other in zip(shape, spec.shape, strict=True)
    )
    if not (is_image or is_flat or is_same):
        raise UsageError(f"{who} takes samples of shape {shape}, and those of the data have {spec.shape}")


def _check_texts(who: str, network: OnnxTeacher, data: Data) -> None:
    if data.vocabulary is None:
        raise UsageError(f"{who} takes the tokens of texts, and the data's samples are no texts; data=text:PATH")
    if not network.takes_tokens:
        raise UsageError(f"{who} takes no input called input_ids, and the data's samples are texts")


def _check_numbers(who: str, there: tuple[str, ...], data: Data) -> None:
    """Check the classes of an estimator where both sides call them by numbers, which are else only counted.

    Raises:
        UsageError: when they are other numbers.
    """
    here = data.class_names
    if not all(name.isdecimal() for name in (*there, *here)) or set(there) == set(here):
        return
    sides = {"there": set(there) - set(here), "here": set(here) - set(there)}
    only = "; ".join(f"only {side}: {min(names, key=int)}" for side, names in sides.items() if names)
    raise UsageError(
        f"teacher {who} has {len(there)} classes, data {data.name} has {data.num_classes} ({only}); fit it on the same labels"
    )


def _recognised(box: BlackBox, network: nn.Module, data: Data) -> nn.Module:
    """Return a network with a fingerprint of what it returns for the first training samples."""
    batch = next(plain_batches(data.train, data.normalisation, _RECOGNISED_BY, box.device))
    with torch.no_grad():
        probabilities = log_soften(network(batch.inputs)).exp()
    rounded = (probabilities * 10**_DECIMALS).round().to(torch.int32).cpu()
    box.recognise(hashlib.sha256(rounded.numpy().tobytes()).hexdigest())
    return network
