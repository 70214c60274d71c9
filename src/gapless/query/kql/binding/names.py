"""The names that columns have when the text gives them none."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gapless.query.kql.aggregates.registry import AGGREGATES
from gapless.query.kql.errors import KqlError
from gapless.query.kql.syntax import tree
from gapless.query.kql.syntax.lexer import words

_CONVERSIONS = words(
    """
    tostring tolong toint todouble toreal tobool toboolean todatetime totimespan totime toguid todynamic
    parse_json parsejson toobject
    """
)
#: Functions whose value is named as their first argument.
_TRANSPARENT = _CONVERSIONS | words(
    """
    bin floor bin_at startofday format_datetime format_timespan round ceiling abs sqrt pow exp exp2 exp10
    log log2 log10 sin cos tan asin acos atan atan2 gamma loggamma erf erfc binary_and binary_or binary_xor
    binary_not binary_shift_left binary_shift_right bitset_count_ones tohex format_bytes split parse_csv
    parse_xml rand series_fir series_iir series_fill_backward series_fill_forward series_fill_const
    series_fill_linear
    """
)
#: Functions whose value has a word of theirs before the name of their first argument.
_PREFIXES = {
    "strlen": "strlen",
    "string_size": "string_size",
    "dcount_hll": "dcount_hll",
    "repeat": "repeat",
    "gettype": "type",
}


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
        case tree.Index(value=value):
            base = implied_name(value)
            return f"{base}_" if base is not None else None
        case tree.Call(name=name, arguments=arguments) if name in AGGREGATES:
            return _aggregate_name(name, arguments)
        case tree.Call(name=name, arguments=[first, *_]) if name in _TRANSPARENT:
            return implied_name(first.value)
        case tree.Call(name=name, arguments=[first, *_]) if name in _PREFIXES:
            return f"{_PREFIXES[name]}_{implied_name(first.value) or ''}"
        case tree.Call(name=("array_sort_asc" | "array_sort_desc"), arguments=[_, *_]):
            return sorted_names(node)[0]
        case tree.Call(
            name=("column_ifexists" | "columnifexists"),
            arguments=[tree.Argument(value=tree.Literal(value=str(v))), *_],
        ):
            return v
    return None


def sorted_names(call: tree.Call) -> list[str]:
    """The names of the arrays that array_sort_asc() and its like make: those of the arrays they are of."""
    names = (implied_name(argument.value) for argument in call.arguments)
    return [f"{name or f'array{place}'}_sorted" for place, name in enumerate(names)]


def declare_once(items: Iterable[tree.Named]) -> None:
    """Raises KqlError where the text itself gives two columns of an operator one name."""
    declared: set[str] = set()
    for item in items:
        bare = [item.value.name] if isinstance(item.value, tree.Name) else []
        for name in item.names or bare:
            if name in declared:
                raise KqlError(f"the column {name} is there twice", item.at)
            declared.add(name)


def named_column(node: tree.Expression) -> str | None:
    """The column that an expression is, or is a conversion of; None if it is none."""
    match node:
        case tree.Name(name=name):
            return name
        case tree.Call(name=name, arguments=[first, *_]) if name in _CONVERSIONS:
            return named_column(first.value)
    return None


def _aggregate_name(name: str, arguments: list[tree.Argument]) -> str | None:
    prefix = AGGREGATES[name].name_prefix
    first = implied_name(arguments[0].value) if arguments else None
    if name in ("percentile", "percentilew") and isinstance(arguments[-1].value, tree.Literal):
        return f"percentile_{first or ''}_{re.sub('[^0-9]', '_', str(arguments[-1].value.value))}"
    if name.startswith("covariance") and len(arguments) > 1:
        return f"{prefix}_{first or ''}_{implied_name(arguments[1].value) or ''}"
    if name == "take_any":
        return first or "any_arg0"
    return f"{prefix}_{first or ''}" if prefix else first


def name_in_row(call: tree.Call, index: int) -> str:
    """The name of an argument of arg_max(), take_any() and their like, which give all from one row."""
    names = [implied_name(argument.value) for argument in call.arguments]
    name = names[index]
    if "any" in call.name:
        return f"any_{name}" if name and call.name == "any" else name or f"any_arg{index}"
    extreme = "max" if "max" in call.name else "min"
    first = f"{extreme}_{names[0] or ''}"
    if name is not None and call.name.startswith("arg_"):
        return name
    return first if index == 0 else f"{first}_{name or f'arg{index}'}"


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a pattern with * means."""
    expression = re.compile(".*".join(map(re.escape, pattern.split("*"))))
    return [name for name in names if expression.fullmatch(name)]


def free_name(name: str, taken: Iterable[str]) -> str:
    """``name``, with a number behind it if it is taken."""
    names = set(taken)
    if name not in names:
        return name
    number = 1
    while f"{name}{number}" in names:
        number += 1
    return f"{name}{number}"
