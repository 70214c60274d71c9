"""What the code says of its settings: fields with type, default and description, as text.

A description stands either in the docstring of the settings' class, as "``name``: text" or as
"``name``, ``other``: text" up to the next such name or the end of the paragraph; or in a comment on the
field's own line, or in the comment that ends on the line before (``#: text``).
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

_NAMES = re.compile(r"((?:``\w+``, )*``\w+``): ")
_WORDS = {str: "text", int: "integer", float: "number", bool: "true or false", NoneType: "none"}
_UNITS = {"bytes": "bytes", "_s": "seconds", "_us": "microseconds", "days": "days"}
_UNIT = re.compile(r"bytes|days|_u?s(?=(_max|_min)?$)")


class Setting(NamedTuple):
    """One field of a settings class; ``default`` is "" where a value must be given."""

    name: str
    type: str
    unit: str
    default: str
    text: str


def settings_of(kind: type) -> list[Setting]:
    """The fields of a msgspec Struct or a dataclass, in order, but for those that are settings classes
    themselves. A description that is missing is ""."""
    types = get_type_hints(kind)
    texts = _texts(kind)
    return [
        Setting(name, type_text(each), unit_of(name, each), default, _sentence(texts.get(name, "")))
        for name, default in _defaults(kind)
        if not _holds_fields(each := types[name])
    ]


def introduction(kind: type) -> str:
    """The first paragraph of a class's docstring, up to the first description of a field."""
    paragraph = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    return _NAMES.split(paragraph)[0].strip()


def type_text(kind: Any) -> str:
    """A type in the words of somebody who writes a configuration file."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f'`"{choice}"`' for choice in arguments)
    if origin in (Union, UnionType):
        return " or ".join(type_text(each) for each in arguments)
    if origin in (tuple, list):
        return f"list of {type_text(arguments[0])}"
    if origin is not None and issubclass(origin, Mapping):
        return f"table of {type_text(arguments[1])}"
    return _WORDS[kind]


def unit_of(name: str, kind: Any) -> str:
    """The unit that a number's name holds; ``_s`` and ``_us`` may have ``_max`` or ``_min`` behind them."""
    if kind not in (int, float):
        return ""
    found = _UNIT.search(name)
    return _UNITS[found.group()] if found else ""


def value_text(value: object, unit: str = "") -> str:
    """A default as it would be written; bytes also in the largest unit that divides them."""
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value is None:
        return "none"
    if isinstance(value, (tuple, list, Mapping)):
        return "empty" if not value else f"`{list(value)}`"
    if unit == "bytes" and isinstance(value, int):
        for shift, name in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
            if value and value % (1 << shift) == 0:
                return f"`{value}` ({value >> shift} {name})"
    return f"`{value}`"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


def _holds_fields(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, msgspec.Struct))


def _defaults(kind: Any) -> Iterator[tuple[str, str]]:
    types = get_type_hints(kind)
    is_struct = issubclass(kind, msgspec.Struct)
    fields: Any = msgspec.structs.fields(kind) if is_struct else dataclasses.fields(kind)
    missing = (msgspec.NODEFAULT, dataclasses.MISSING)
    for field in fields:
        value = field.default
        if value in missing and field.default_factory not in missing:
            value = field.default_factory()
        yield (
            field.name,
            "" if value in missing else value_text(value, unit_of(field.name, types[field.name])),
        )


def _texts(kind: type) -> dict[str, str]:
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.split(".")[0] not in ("builtins", "msgspec"):
            texts |= in_comments(base) | _in_docstring(base)
    return texts


def _in_docstring(kind: type) -> dict[str, str]:
    texts: dict[str, str] = {}
    for paragraph in (inspect.getdoc(kind) or "").split("\n\n"):
        pieces = _NAMES.split(" ".join(paragraph.split()))[1:]
        for names, text in zip(pieces[::2], pieces[1::2], strict=True):
            texts |= dict.fromkeys(re.findall(r"\w+", names), text.strip())
    return texts


def in_comments(kind: type) -> dict[str, str]:
    """The comments on a class's fields, or on the members of an Enum, by name."""
    source = inspect.getsource(kind)
    behind, alone = dict[int, str](), dict[int, str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            where = alone if token.line.lstrip().startswith("#") else behind
            where[token.start[0]] = token.string.lstrip("#:").strip()
    [body] = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for field in body.body:
        for target in [field.target] if isinstance(field, ast.AnnAssign) else getattr(field, "targets", []):
            above = field.lineno
            while above - 1 in alone:
                above -= 1
            lines = [alone[line] for line in range(above, field.lineno)] or [behind.get(field.lineno, "")]
            texts[ast.unparse(target)] = " ".join(lines)
    return {name: text for name, text in texts.items() if text}
