"""A network's weights in a checkpoint as the field writes it: nested, under prefixes, beside copies of themselves."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from preceptor.errors import UsageError
from preceptor.messages import first_few

__all__ = ["NO_STATE_DICT", "check_values", "choose_weights", "without_wrappers"]

# children that torch.compile, FSDP and activation checkpointing put around a module, anywhere in a name
_WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_COUNTER = "num_batches_tracked"  # of a batch norm; files of old versions have none
_AVERAGES = {"ema", "swa", "average", "averaged", "avg", "shadow"}  # words in the names of averaged copies
_HELD_BY_LIGHTNING = {"pytorch-lightning_version", "hyper_parameters"}
NO_STATE_DICT = "holds no state dict; save one: torch.save(network.state_dict(), FILE)"
_DEPTH = 4  # of mappings within mappings

_Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class _Weights:
    """Tensors in a checkpoint that have the names of a network's.

    Attributes:
        place: where they are: the keys and the prefix of their names, with dots between.
        tensors: by the network's names.
        beside: names in the same state dict that are none of the network's; counters do not count.
        is_alone: whether there are none, or these may be left out: the losses and metrics of a Lightning module.
    """

    place: str
    tensors: _Tensors
    beside: tuple[str, ...]
    is_alone: bool

    @property
    def is_average(self) -> bool:
        """Whether the place is called as averaged copies are: `state_dict_ema`, `model_ema`, `swa_model`."""
        return bool(_AVERAGES & set(re.split(r"[._\-]", self.place.casefold())))


def without_wrappers(name: str) -> str:
    """Return a parameter's name without what torch.compile and FSDP put into it.

    Examples:
        >>> without_wrappers("_orig_mod.layer1._orig_mod.weight")
        'layer1.weight'
    """
    return ".".join(word for word in name.split(".") if word not in _WRAPPERS)


def check_values(tensors: _Tensors, expected: _Tensors, parameters: Collection[str]) -> None:
    """Check that weights are numbers that a network can have.

    Args:
        tensors: by the network's names.
        expected: the network's own.
        parameters: names of those that are trained; buffers, such as masks, may be infinite.

    Raises:
        UsageError: for a sparse tensor, and for one that is not finite.
    """
    for name, tensor in tensors.items():
        if tensor.layout != expected[name].layout:
            raise UsageError(f"{name} is a sparse tensor; save it dense: tensor.to_dense()")
        if tensor.is_floating_point():
            values = tensor.float() if tensor.element_size() == 1 else tensor
            if torch.isnan(values).any() or (name in parameters and torch.isinf(values).any()):
                raise UsageError(
                    f"{name} holds numbers that are not finite; the file is damaged, or its training diverged"
                )


def choose_weights(
    content: Mapping[object, object], expected: _Tensors, name: str, *, chosen: str | None = None, key: str
) -> tuple[_Tensors, list[str]]:
    """Return a network's weights in a checkpoint, by its names, and what should be known of the choice.

    Args:
        content: of the file.
        expected: the network's own weights, which stand in for missing counters of batch norms.
        name: of the network, for messages.
        chosen: the place of the weights, or a part of it; None: where the network's names are. Of those and averaged copies
            of them, the former.
        key: under which that is given, for messages.

    Raises:
        UsageError: when there is nothing that has the names and shapes, or more than one; how they differ is said.
    """
    states = list(_state_dicts(content))
    if not states and expected:
        raise UsageError(NO_STATE_DICT)
    is_lightning = bool(_HELD_BY_LIGHTNING & set(map(str, content)))
    named = [found for place, state in states for found in _by_name(place, state, expected, is_lightning)]
    if not named:
        raise UsageError(f"do not fit {name}: {_difference(*_nearest(states, expected))}")
    fitting = [found for found in named if not _misshapen(found.tensors, expected)]
    if not fitting:
        raise UsageError(f"do not fit {name}: {_difference(named[0].tensors, expected)}")
    if chosen is not None:
        candidates = _called(chosen, fitting, key)
    else:
        candidates = [found for found in fitting if found.is_alone]
        if not candidates:
            found = fitting[0]
            raise UsageError(
                f"holds {len(found.beside)} tensors beside those under {found.place} ({first_few(found.beside)}); "
                f"{key}={found.place} takes these alone"
            )
        candidates = [found for found in candidates if not found.is_average] or candidates
    taken = candidates[0]
    if others := _others(taken, candidates):
        places = [found.place or "the top" for found in (taken, *others)]
        raise UsageError(
            f"holds this network more than once, under {', '.join(places)}; choose with {key}={places[-1]}"
        )
    return taken.tensors, _notes(taken, _others(taken, fitting), key, is_chosen=chosen is not None)


def _state_dicts(content: Mapping[object, object], place: str = "", depth: int = 0) -> Iterator[tuple[str, _Tensors]]:
    """Yield the tensors of each mapping that has any, by their names, and the keys that lead to it."""
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if tensors:
        yield place, tensors
    for name, value in content.items():
        if isinstance(value, dict) and depth < _DEPTH:
            yield from _state_dicts(value, f"{place}.{name}".lstrip("."), depth + 1)


def _by_name(place: str, state: _Tensors, expected: _Tensors, is_lightning: bool) -> Iterator[_Weights]:
    """Yield the parts of a state dict, by their prefix, that have all names of a network and no others."""
    bare = {without_wrappers(name): tensor for name, tensor in state.items()}
    names = {without_wrappers(name): name for name in expected}
    needed = [name for name in names if not _is_counter(name)]
    first = needed[0] if needed else ""
    prefixes = (
        [name.removesuffix(first) for name in bare if name == first or name.endswith(f".{first}")] if first else [""]
    )
    found = []
    for prefix in prefixes:
        own = {name.removeprefix(prefix): tensor for name, tensor in bare.items() if name.startswith(prefix)}
        if all(name in own for name in needed) and all(name in names or _is_counter(name) for name in own):
            found.append((prefix, {name: own.get(bare_name, expected[name]) for bare_name, name in names.items()}))
    for prefix, tensors in found:
        beside = [
            name
            for name, tensor in bare.items()
            if not (any(name.startswith(each) for each, _ in found) or _counts(tensor))
        ]
        yield _Weights(f"{place}.{prefix}".strip("."), tensors, tuple(beside), is_lightning or not beside)


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] == _COUNTER


def _counts(tensor: Tensor) -> bool:
    """Say whether a tensor is a counter or a flag, as averages keep beside the weights: n_averaged, initted."""
    return tensor.ndim == 0 and not tensor.is_floating_point()


def _called(chosen: str, fitting: Sequence[_Weights], key: str) -> list[_Weights]:
    """Return those whose place is called so, or else has that in it."""
    exact = [found for found in fitting if found.place == chosen]
    called = exact or [found for found in fitting if f".{chosen}." in f".{found.place}."]
    if not called:
        places = first_few([found.place or "the top" for found in fitting], 5)
        raise UsageError(f"has no weights of this network under {key}={chosen}; it has them under {places}")
    return called


def _is_same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are equal; one with numbers that are none equals itself."""
    return one is other or torch.equal(one, other)


def _others(taken: _Weights, all_found: Sequence[_Weights]) -> list[_Weights]:
    """Return those whose numbers are others."""
    return [found for found in all_found if not all(map(_is_same, taken.tensors.values(), found.tensors.values()))]


def _notes(taken: _Weights, others: Sequence[_Weights], key: str, *, is_chosen: bool) -> list[str]:
    """Say what was taken where that is not all that the file holds of the network, and what was left out beside it."""
    notes = []
    if others and not is_chosen:
        places = ", ".join(found.place for found in others)
        notes.append(f"took {taken.place or 'the top'}, not {places}; {key}={others[0].place} takes that")
    elif taken.is_average and not is_chosen:
        notes.append(f"took {taken.place}, an averaged copy; there is no other")
    if taken.beside:
        notes.append(f"left out {len(taken.beside)} tensors that are not of the network ({first_few(taken.beside)})")
    return notes


def _nearest(states: Sequence[tuple[str, _Tensors]], expected: _Tensors) -> tuple[_Tensors, _Tensors]:
    """Return the tensors that have most of a network's names, by these, and the network's own, for a message."""
    names = {without_wrappers(name): tensor for name, tensor in expected.items()}
    best: _Tensors = {}
    most = -1
    for _, state in states:
        bare = {without_wrappers(name): tensor for name, tensor in state.items()}
        words = [name.split(".") for name in bare]
        prefixes = {
            "".join(f"{word}." for word in each[:depth]) for each in words for depth in range(min(len(each), 3))
        }
        for prefix in sorted(prefixes, key=len):
            own = {name.removeprefix(prefix): tensor for name, tensor in bare.items() if name.startswith(prefix)}
            shared = sum(name in names for name in own)
            if shared > most:
                best, most = own, shared
    return best, names


def _difference(loaded: _Tensors, expected: _Tensors) -> str:
    """Say where the weights of a file differ from those that a network expects."""
    missing = [name for name in expected if name not in loaded and not _is_counter(name)]
    unexpected = sorted(
        name for name in loaded if name not in expected and not _is_counter(name)
    )  # files keep no order
    misshapen = _misshapen(loaded, expected)
    pairs = [(loaded[name], expected[name]) for name in misshapen]
    if misshapen and not missing and not unexpected and all(_differ_in_classes(*pair) for pair in pairs):
        return f"the file has {len(pairs[0][0])} classes, the model {len(pairs[0][1])}"
    shapes = [f"{name} is {_kind(loaded[name])}, not {_kind(expected[name])}" for name in misshapen]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    return "; ".join(f"{len(names)} {what} ({first_few(names)})" for what, names in found.items() if names)


def _misshapen(loaded: _Tensors, expected: _Tensors) -> list[str]:
    """Return the names whose tensors cannot take each other's place: another shape, or whole numbers for real ones."""
    return [
        name
        for name, tensor in expected.items()
        if name in loaded
        and not _is_counter(name)
        and (
            loaded[name].shape != tensor.shape or (tensor.is_floating_point() and not loaded[name].is_floating_point())
        )
    ]


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)}" + ("" if tensor.is_floating_point() else f" of {tensor.dtype}")


def _differ_in_classes(loaded: Tensor, expected: Tensor) -> bool:
    is_alike = loaded.ndim == expected.ndim and loaded.shape[1:] == expected.shape[1:] and len(loaded) != len(expected)
    return is_alike and loaded.ndim in {1, 2} and loaded.is_floating_point()
