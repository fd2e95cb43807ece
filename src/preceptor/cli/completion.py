"""`preceptor completion`: what TAB completes in bash, zsh and fish; all of it without torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from typer.core import TyperGroup

from preceptor.errors import UsageError

__all__ = ["candidates", "completion"]

_BASH = r"""
_preceptor_complete() {
    local line="${COMP_LINE:0:COMP_POINT}" word cut found
    word="${line##* }"
    cut="${word%"${word##*[=:]}"}"  # bash replaces what follows the last = or :
    COMPREPLY=()
    while IFS= read -r found; do
        COMPREPLY+=("${found#"$cut"}")
    done < <("$1" completion --line "$line" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=:] ]]; then
        compopt -o nospace
    fi
}
complete -o default -F _preceptor_complete preceptor
"""
_ZSH = r"""
_preceptor() {
    local -a found
    found=("${(@f)$(preceptor completion --line "${words[1,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then
        compadd -S '' -- "${found[@]}"
    else
        compset -P '*='
        _files
    fi
}
compdef _preceptor preceptor
"""
_FISH = r"""
complete -c preceptor -a '(preceptor completion --line (commandline -cp) 2>/dev/null)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
_REGISTRY = {  # the registry that a setting names something of
    "model": "models",
    "teacher.model": "models",
    "objective": "objectives",
    "method": "methods",
    "inputs": "inputs",
    "data": "data",
    "unlabelled": "data",
    "preset": "presets",
}
_SETTINGS = {"teach", "distill", "label", "evaluate", "assess", "curve", "config"}  # verbs that take key=value


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"] | None, typer.Argument(help="default: the one of $SHELL")] = None,
    line: Annotated[str | None, typer.Option(hidden=True, help="the command line up to the cursor")] = None,
) -> None:
    """Print what makes TAB complete verbs, keys and names: eval "$(preceptor completion)" in your shell's start-up file."""
    if line is not None:
        for each in candidates(line):
            print(each)
        return
    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in _SCRIPTS:
        raise UsageError(f"completion: {name or 'no shell'} is not known; there are: {', '.join(_SCRIPTS)}")
    print(_SCRIPTS[name].strip())


def candidates(line: str) -> list[str]:
    """Return what the last word of a command line can become; nothing where the shell should complete files.

    Args:
        line: up to the cursor, the program first.

    Examples:
        >>> candidates("preceptor distill method=dk")
        ['method=dkd']
        >>> candidates("preceptor distill optim.lr")
        ['optim.lr=']
    """
    words = line.split()[1:]
    last = words.pop() if words and not line[-1].isspace() else ""
    return [each for each in _candidates(words, last) if each.startswith(last) and each != last]


def _candidates(words: Sequence[str], last: str) -> list[str]:
    from preceptor.cli import app  # noqa: PLC0415  (which registers this command)

    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    commands = group.commands
    if not words:
        return [name for name, command in commands.items() if not command.hidden]
    verb = words[0]
    if last.startswith("-"):
        options = [option for each in commands[verb].params for option in each.opts] if verb in commands else []
        return [option for option in options if option.startswith("--")]
    if verb == "list":
        return _listed(words[1:])
    if verb == "config" and len(words) == 1:
        return ["teach", "distill", "label"]
    names_a_run = verb in {"evaluate", "assess", "curve"} and len(words) == 1
    return list(_settings(words, last)) if verb in _SETTINGS and not names_a_run else []


def _listed(words: Sequence[str]) -> list[str]:
    from preceptor.cli.tables import Registry, names_of  # noqa: PLC0415

    registries: tuple[Registry, ...] = get_args(Registry)
    if not words:
        return list(registries)
    return [name for each in registries if [each] == list(words) for name in names_of(each) if name[-1] != ":"]


def _settings(words: Sequence[str], last: str) -> Iterator[str]:
    from preceptor.cli.keys import field_of, keys_of  # noqa: PLC0415
    from preceptor.cli.tables import names_of  # noqa: PLC0415

    key, equals, _ = last.partition("=")
    if not equals:
        yield from (f"{each}=" for each in dict.fromkeys([*keys_of(words), *_hyperparameters(words)]))
        return
    registry: Any = _REGISTRY.get(key.removesuffix(".name"))
    names = names_of(registry) if registry is not None else _choices(field_of(key, words))
    yield from (f"{key}={name}" for name in names)


def _hyperparameters(words: Sequence[str]) -> Iterator[str]:
    """Yield the further keys of what earlier words name: method.temperature after method=kd."""
    from preceptor.config.terms import TERMS  # noqa: PLC0415
    from preceptor.data.augment.policies import POLICIES  # noqa: PLC0415
    from preceptor.data.sources.registry import SOURCES  # noqa: PLC0415
    from preceptor.models.registry import ZOO, hyperparameters  # noqa: PLC0415
    from preceptor.signature import default_hyperparameters  # noqa: PLC0415

    for word in words:
        key, _, name = word.partition("=")
        role = key.removesuffix(".name")
        if role in {"method", "objective"} and name in TERMS:
            entry = TERMS[name]
            weights = ["weight", *(f"{other}.weight" for other in entry.companions)]
            yield from (f"{role}.{each}" for each in [*weights, *default_hyperparameters(entry.source)])
        elif role == "inputs" and name in POLICIES:
            yield from (f"{role}.{each}" for each in default_hyperparameters(POLICIES[name]))
        elif role == "data" and (source := SOURCES.get(name.partition(":")[0])) is not None:
            yield from (f"{role}.{each}" for each in default_hyperparameters(source))
        elif role == "model" and name in ZOO:
            yield from (f"{role}.{each}" for each in hyperparameters(name))


def _choices(annotation: object) -> list[str]:
    """Return the words that a type admits: those of its Literals, true and false of a boolean."""
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    if get_origin(annotation) in {Union, UnionType, Annotated, tuple}:
        return [choice for each in get_args(annotation) for choice in _choices(each)]
    return []
