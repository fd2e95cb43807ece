"""Networks fitted to the classes of some data, by the names that they state: outputs selected, classifiers put in order."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from preceptor.artifacts.compatibility import match_classes
from preceptor.data import Data, plain_batches
from preceptor.errors import UsageError
from preceptor.messages import first_few
from preceptor.models import Adapted, SelectedClasses, class_names_of, observe, rename_config
from preceptor.types import ClassSelection

__all__ = [
    "copy_classes",
    "names_stated_by",
    "order_classifier",
    "order_note",
    "select",
    "select_stated",
    "with_outputs",
    "write_names",
]


def names_stated_by(network: nn.Module) -> tuple[str, ...]:
    """Return the class names that a network states, one per output; empty: none."""
    return network.class_names if isinstance(network, Adapted) else class_names_of(network)


def select(network: nn.Module, order: Sequence[int] | None, num_outputs: int, data: Data) -> nn.Module:
    """Return a network whose logits are those of the data's classes.

    Args:
        network: any.
        order: the number of its output for each class; None: all, as they are.
        num_outputs: of the network, at least 2.
        data: that it will run on.
    """
    if order is None:
        return network
    own = network.note if isinstance(network, Adapted) else ""
    return SelectedClasses(network, order, num_outputs, "; ".join(filter(None, (own, order_note(order, data)))))


def select_stated(
    who: str, network: nn.Module, data: Data, classes: ClassSelection, key: str = "teacher.classes"
) -> nn.Module:
    """Return a network that states its class names itself, with logits of the data's classes.

    Args:
        who: the network, for messages.
        network: with its weights; of a network with as many outputs as it states names, these are compared.
        data: that it will run on.
        classes: as for `match_classes`.
        key: likewise.

    Raises:
        UsageError: when the classes differ.
    """
    names = names_stated_by(network)
    if classes is None and names in {(), data.class_names}:
        return network
    num_outputs = _sample_logits(network, data).shape[1]
    if len(names) != num_outputs:
        names = tuple(map(str, range(num_outputs)))
    return select(network, match_classes(who, names, data, classes, key), num_outputs, data)


def order_classifier(network: nn.Module, data: Data) -> tuple[str, ...]:
    """Put the classifier of a network with weights of its own in the data's order, where it states the same class names.

    Returns:
        What was done, for a note; nothing where the names are others, as the network then learns new classes.

    Raises:
        UsageError: when its classifier is not found.
    """
    names = names_stated_by(network)
    if names == data.class_names or len(names) != data.num_classes:
        return ()
    try:
        order = match_classes("model", names, data)
    except UsageError:
        return ()
    if order is None:
        return ()
    copy_classes(copy.deepcopy(network), network, order, data)
    return (f"model: {order_note(order, data)}",)


def copy_classes(source: nn.Module, network: nn.Module, order: Sequence[int], data: Data) -> None:
    """Copy a network's weights into one like it, with the rows of its classifier that belong to the data's classes.

    Args:
        source: with the weights, and outputs of its own classes.
        network: with one output per class of the data; for two classes, also one with a single output.
        order: the output of `source` for each class.
        data: that both networks read.

    Raises:
        UsageError: when no layer, nor several of one width, are found to be the classifier.
    """
    logits = _sample_logits(source, data)
    layers = [(path, layer) for path, layer in source.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    heads = [path for path, layer in layers if len(layer.weight) == logits.shape[1]]
    single = [path for path, layer in layers if len(layer.weight) == 1]  # the log-odds of class 1
    for chosen in (heads[-1:], heads, single[-1:]):  # networks with further heads have several such layers
        state = {name: tensor.clone() for name, tensor in source.state_dict().items()}
        for name in (f"{path}.{each}" for path in chosen for each in ("weight", "bias")):
            if name in state:
                state[name] = -state[name] if len(state[name]) == 1 else state[name][list(order)]
        if any(tensor.shape != state[name].shape for name, tensor in network.state_dict().items()):
            continue
        network.load_state_dict(state)
        found, expected = _sample_logits(network, data).log_softmax(1), logits[:, list(order)].log_softmax(1)
        if torch.allclose(found, expected, rtol=1e-3, atol=1e-4):
            return
    raise UsageError(
        f"start_from: the classifier of {type(network).__name__} is not found, so that its outputs cannot be put in the order "
        f"of the classes: {order_note(order, data)}"
    )


def with_outputs(network: nn.Module, num_outputs: int, num_classes: int) -> nn.Module:
    """Return a copy of a network with more outputs than the data have classes; new layers have weights to be replaced."""
    wide = copy.deepcopy(network)
    if num_outputs == num_classes:
        return wide
    for path, layer in wide.named_modules():
        if isinstance(layer, nn.Linear) and layer.out_features == num_classes:
            place = (path, nn.Linear(layer.in_features, num_outputs, bias=layer.bias is not None))
    parent, _, child = place[0].rpartition(".")
    wide.get_submodule(parent).register_module(child, place[1])
    return wide


def write_names(network: nn.Module, names: tuple[str, ...]) -> None:
    """Write the classes that a network will be trained on in place of those that it states."""
    if isinstance(network, Adapted):
        network.rename_classes(names)
        network = network.bare
    if class_names_of(network):
        rename_config(network, names)


def order_note(order: Sequence[int], data: Data) -> str:
    """Return which output is which class."""
    pairs = [f"{name} is its output {number}" for name, number in zip(data.class_names, order, strict=True)]
    return f"outputs in the order of the data's classes: {first_few(pairs)}"


def _sample_logits(network: nn.Module, data: Data) -> Tensor:
    """Return the logits of two samples, in eval mode; one output as two logits."""
    device = next((each.device for each in network.parameters()), torch.device("cpu"))
    batch = next(plain_batches(data.train, data.normalisation, 2, device))
    observed = observe(network, ())
    with _in_eval_mode(network), torch.no_grad():
        logits: Tensor = observed(batch.inputs).logits
    observed.release()
    return logits


@contextmanager
def _in_eval_mode(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
