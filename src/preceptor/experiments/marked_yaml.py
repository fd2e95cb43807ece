"""YAML with the line of every value, so that a message can name its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from preceptor.documents import check_aliases
from preceptor.errors import UsageError

__all__ = ["MarkedYaml", "read_marked"]

_COLLECTIONS = {"tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"}


@dataclass(frozen=True, slots=True)
class MarkedYaml:
    """A YAML file's mapping.

    Attributes:
        source: name of the file, for messages.
        text: of the file.
        values: plain values.
        lines: the line of each value, from 1, by its path: "teach.objective[2]".
    """

    source: str
    text: str
    values: Mapping[str, Any]
    lines: Mapping[str, int]

    def at(self, path: str) -> str:
        """Return where a path is: "FILE:LINE: PATH"; of a path that the file does not hold, the line of its parent."""
        known = path
        while known and known not in self.lines:
            known = known[: max(known.rfind("."), known.rfind("["), 0)]
        line = f":{self.lines[known]}" if known else ""
        return f"{self.source}{line}: {path}" if path else f"{self.source}{line}"


def read_marked(text: str, source: str) -> MarkedYaml:
    """Return the mapping in a YAML text.

    Args:
        text: of the file.
        source: its name, for messages.

    Raises:
        UsageError: when it is not YAML, not a mapping, or has a key twice: one line with the place.
    """
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        check_aliases(node, text)
        lines: dict[str, int] = {}
        values = _plain(loader, node, "", lines, source) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        raise UsageError(f"{source}{line}: is not YAML ({error.problem})") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{source}: is not YAML ({' '.join(str(error).split())})") from error
    except RecursionError as error:
        raise UsageError(f"{source}: its lists or mappings are nested too deeply") from error
    except (ValueError, OverflowError) as error:  # a value such as a date of month 13
        raise error if isinstance(error, UsageError) else UsageError(f"{source}: is not YAML ({error})") from error
    if not isinstance(values, dict):
        raise UsageError(f"{source}: holds no keys")
    return MarkedYaml(source, text, values, lines)


def _plain(loader: yaml.SafeLoader, node: yaml.Node, path: str, lines: dict[str, int], source: str) -> Any:
    if path:
        lines[path] = node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTIONS:
        raise UsageError(f"{source}:{node.start_mark.line + 1}: is not YAML (the tag {node.tag} is not read)")
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, each, f"{path}[{number}]", lines, source) for number, each in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node, deep=True)  # type: ignore[no-untyped-call]
    stated = [key.value for key, _ in node.value]
    for number, (key, _) in enumerate(node.value):
        if key.value in stated[:number] and key.value != "<<":
            where = f"{path}.{key.value}" if path else key.value
            raise UsageError(f"{source}:{key.start_mark.line + 1}: {where}: is set twice")
    loader.flatten_mapping(node)  # "<<"
    values = {}
    for key, value in node.value:
        name = str(key.value)
        inner = f"{path}.{name}" if path else name
        values[name] = _plain(loader, value, inner, lines, source)
        lines[inner] = key.start_mark.line + 1
    return values
