"""The names that columns have when the text gives them none."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gapless.query.kql.aggregates.registry import AGGREGATES
from gapless.query.kql.syntax import tree
from gapless.query.kql.syntax.lexer import words

_CONVERSIONS = words(
    """
    tostring tolong toint todouble toreal tobool toboolean todatetime totimespan toguid todynamic
    parse_json parsejson toobject
    """
)
#: Functions whose value is named as their first argument.
_TRANSPARENT = _CONVERSIONS | words(
    """
    bin floor bin_at startofday startofweek startofmonth startofyear endofday endofweek endofmonth
    endofyear round
    """
)


def implied_name(node: tree.Expression) -> str | None:
    """The name of an expression without one; None if it is to be numbered."""
    match node:
        case tree.Name(name=name):
            return name
        case tree.Member(value=value, name=name):
            base = implied_name(value)
            return f"{base}_{name}" if base is not None else None
        case tree.Index(value=value, index=tree.Literal(value=index)) if isinstance(index, str | int):
            base = implied_name(value)
            return f"{base}_{index}".replace("-", "_") if base is not None else None
        case tree.Call(name=name, arguments=arguments) if name in AGGREGATES:
            return _aggregate_name(name, arguments)
        case tree.Call(name=name, arguments=[first, *_]) if name in _TRANSPARENT:
            return implied_name(first.value)
        case tree.Call(
            name=("column_ifexists" | "columnifexists"),
            arguments=[tree.Argument(value=tree.Literal(value=str(v))), *_],
        ):
            return v
    return None


def named_column(node: tree.Expression) -> str | None:
    """The column that an expression is, or is a conversion of; None if it is none."""
    match node:
        case tree.Name(name=name):
            return name
        case tree.Call(name=name, arguments=[first, *_]) if name in _CONVERSIONS:
            return named_column(first.value)
    return None


def _aggregate_name(name: str, arguments: list[tree.Argument]) -> str:
    prefix = AGGREGATES[name].name_prefix
    first = implied_name(arguments[0].value) if arguments else None
    if name == "percentile" and len(arguments) > 1 and isinstance(arguments[1].value, tree.Literal):
        return f"percentile_{first or ''}_{re.sub('[^0-9]', '_', str(arguments[1].value.value))}"
    return f"{prefix}_{first or ''}"


def free_name(name: str, taken: Iterable[str]) -> str:
    """``name``, with a number behind it if it is taken."""
    names = set(taken)
    if name not in names:
        return name
    number = 1
    while f"{name}{number}" in names:
        number += 1
    return f"{name}{number}"
