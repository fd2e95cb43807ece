"""What may be in a `.pt2` file: a traced network of plain tensors and operators of torch.

`torch.export.load` trusts its file: it unpickles sample inputs and constants, takes any name below `torch.` for an operator,
evaluates expressions of sizes, puts names into the source of a function, and loads compiled libraries. So a file is copied
before it is loaded, record by record: what a network needs is checked, what it does not need is left out, anything else is
refused.
"""

from __future__ import annotations

import io
import json
import keyword
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import torch

__all__ = ["NotPlainError", "plain_archive"]

_OPERATORS = re.compile(
    r"torch\.ops\.aten\.\w+\.\w+|_operator\.(add|sub|mul|floordiv|mod|neg|eq|ne|lt|le|gt|ge|getitem)"
)
_SYMBOLIC = {f"torch.sym_{name}" for name in ("int", "float", "ite", "max", "min", "not", "sum")}
_FILES_ONLY = re.compile(r"aten\.(from_file|save|_dump)\b")  # operators that touch files
_WORDS = re.compile(  # of an expression of sizes, in sympy's own notation
    "Symbol|positive|integer|nonnegative|real|True|False|Integer|Rational|Float|precision|Add|Mul|Max|Min|Eq|Ne|Lt|Le|Gt|Ge|"
    "And|Or|Not|StrictLessThan|StrictGreaterThan|LessThan|GreaterThan|Equality|Unequality|oo|int_oo|FloorDiv|ModularIndexing|"
    "Where|PythonMod|Mod|CleanDiv|CeilToInt|FloorToInt|CeilDiv|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv|TruncToFloat|"
    "TruncToInt|RoundToInt|ToFloat|Identity"
)
_SYMBOL = re.compile(r"(s|u|zuf|zf)\d+")
_EXPRESSION = re.compile(r"[\w\s+\-*/%(),<>=&|~.']*")
_TEXT = re.compile(r"[\w.:+\-]*")  # names of tensors, layers, devices and versions
_TREES = {None, "builtins.tuple", "builtins.list", "builtins.dict"}
_RAW = re.compile(r"data/weights/weight_\d+|data/constants/tensor_\d+")
_PLAIN = re.compile(r"archive_format|archive_version|version|byteorder|\.data/\w+|\.format/\w+")
_EXTRA = re.compile(r"(extra|extra_files)/[\w.\-]+")


class NotPlainError(ValueError):
    """A file holds more than a traced network."""


def plain_archive(content: bytes) -> bytes:
    """Return a copy of a `.pt2` file that can be loaded without running what is in it.

    Sample inputs, guards and the notes of where a node came from are left out.

    Args:
        content: of the file.

    Raises:
        NotPlainError: when it holds more than a traced network: what.
        zipfile.BadZipFile: when it is no archive.
    """
    copied = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(copied, "w") as after:
        names = before.namelist()
        # as torch 2.6 and 2.7 write it: without a folder around all
        is_old = "serialized_exported_program.json" in names
        if len(set(names)) != len(names) or (len({name.partition("/")[0] for name in names}) > 1 and not is_old):
            raise NotPlainError("its list of records")
        for record in before.infolist():
            if record.compress_type != zipfile.ZIP_STORED or record.flag_bits & 1:
                raise NotPlainError(f"{record.filename}, which is packed")
            name = record.filename if is_old else record.filename.partition("/")[2]
            after.writestr(zipfile.ZipInfo(record.filename), _plain(name, before.read(record)))
    return copied.getvalue()


def _plain(name: str, content: bytes) -> bytes:
    """Return a record as it may be loaded."""
    if name in {"models/model.json", "serialized_exported_program.json"}:
        return json.dumps(_checked(_parsed(name, content), "")).encode()
    if name in {"data/weights/model_weights_config.json", "data/constants/model_constants_config.json"}:
        return json.dumps(_payloads(name, _parsed(name, content))).encode()
    if name in {"data/sample_inputs/model.pt", "serialized_example_inputs.pt"}:
        return b""
    if name in {"serialized_state_dict.pt", "serialized_constants.pt"}:
        return _only_tensors(name, content)
    if _RAW.fullmatch(name) or _PLAIN.fullmatch(name) or _EXTRA.fullmatch(name):
        return content
    raise NotPlainError(name)


def _parsed(name: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except RecursionError as error:
        raise NotPlainError(f"{name}, which is nested too deeply") from error


def _only_tensors(name: str, content: bytes) -> bytes:
    """Return pickled tensors, if torch's own reader needs nothing else to read them."""
    try:
        if content:
            torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise NotPlainError(f"{name}, which holds more than tensors") from error
    return content


def _payloads(name: str, values: Any) -> Any:
    """Return where each tensor lies in the archive, if all of them are plain ones."""
    for key, payload in values["config"].items():
        if payload["use_pickle"] or not _RAW.fullmatch(f"{name.rpartition('/')[0]}/{payload['path_name']}"):
            raise NotPlainError(f"{key}, which is pickled")
    return _checked(values, "")


def _checked(value: Any, key: str) -> Any:
    """Return a part of a description of a graph, if each text in it is what stands there in a traced network."""
    if isinstance(value, Mapping):
        return {_checked_text(str(name), ""): _field(str(name), each) for name, each in value.items()}
    if isinstance(value, list):
        return [_checked(each, key) for each in value]
    return _checked_text(value, key) if isinstance(value, str) else value


def _field(name: str, value: Any) -> Any:
    if name == "metadata":
        return {}
    if name == "guards_code":
        return []
    if name in {"in_spec", "out_spec"} and isinstance(value, str):
        version, tree = json.loads(value)
        _check_tree(tree)
        return json.dumps([version, tree])
    if name in {"as_custom_obj", "as_opaque", "as_graph"} or (name == "custom_obj_values" and value):
        raise NotPlainError(name)
    return _checked(value, name)


def _checked_text(text: str, key: str) -> str:
    checks: Mapping[str, Callable[[str], bool]] = {
        "target": _is_operator,
        "expr_str": _is_expression,
        "as_string": str.isprintable,
    }
    is_plain = checks.get(key, _is_name)
    if not is_plain(text):
        raise NotPlainError(f"{key or 'name'} {text[:80]!r}")
    return text


def _is_operator(text: str) -> bool:
    return text in _SYMBOLIC or (_OPERATORS.fullmatch(text) is not None and _FILES_ONLY.search(text) is None)


def _is_name(text: str) -> bool:
    return (
        _TEXT.fullmatch(text) is not None
        and text.isascii()
        and not any(part.startswith("__") and part.endswith("__") for part in text.split("."))
        and not keyword.iskeyword(text)
    )


def _is_expression(text: str) -> bool:
    """Return whether a text is an expression of sizes: symbols, numbers, known functions; no attribute, no power."""
    words = re.findall(r"[^\W\d]\w*", text)
    return (
        _EXPRESSION.fullmatch(text) is not None
        and all(_WORDS.fullmatch(word) or _SYMBOL.fullmatch(word) for word in words)
        and re.search(r"[^\W\d]\w*\s*\.|\)\s*\.|\.\s*[^\W\d]|\*\*", text) is None
    )


def _check_tree(tree: Any) -> None:
    """Check that the arguments of a network, or its outputs, are tuples, lists and mappings of names."""
    context = tree["context"]
    keys = [] if context in {None, "null"} else json.loads(context)
    is_plain = tree["type"] in _TREES and isinstance(keys, list)
    if not is_plain or not all(isinstance(name, str) and name.isidentifier() and _is_name(name) for name in keys):
        raise NotPlainError("the types of its arguments")
    for child in tree["children_spec"]:
        _check_tree(child)
