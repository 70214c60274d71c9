"""Pieces of SQL: templates with places for arguments, constants, and names.

A template is DuckDB's SQL with ``$1``, ``$2``, ... for its arguments; it is parsed once, and what comes out
are nodes that sqlglot can write in any dialect. A template with lambdas, which no other dialect has in this
form, is written as it stands: to parse it takes a hundred times as long.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.generators.duckdb import DuckDBGenerator

from gapless.query.kql.relational.scalars import (
    Apply,
    Constant,
    Scalar,
    Type,
)
from gapless.query.kql.values.values import EPOCH_TICKS, TICKS_PER_US, datetime_text

ENGINE_TYPES = {
    "bool": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "real": "DOUBLE",
    "string": "VARCHAR",
    "datetime": "BIGINT",
    "timespan": "BIGINT",
    "guid": "VARCHAR",
    "dynamic": "VARCHAR",
    "decimal": "DECIMAL(38, 17)",
}
_PLACE = re.compile(r"\$(\d+)")
#: Functions that sqlglot would write as operators or as other functions: they stay as they are.
_KEPT: dict[type[Any], str] = {
    exp.JSONExtract: "json_extract",
    exp.JSONExtractScalar: "json_extract_string",
}


class Written(exp.Expression, exp.Func):
    """DuckDB's SQL as it stands: ``pieces``, and between them, by ``places``, the expressions."""

    arg_types: ClassVar[dict[str, bool]] = {"pieces": True, "places": True, "expressions": True}


class Engine(DuckDB):
    """DuckDB's dialect, in which a ``Written`` can stand."""

    class Generator(DuckDBGenerator):
        TRANSFORMS: ClassVar[Any] = {
            **DuckDBGenerator.TRANSFORMS,
            Written: lambda self, node: _write(self, node),
        }


def _write(generator: Any, node: Written) -> str:
    filled = [generator.sql(expression) for expression in node.expressions]
    text: list[str] = ["(", node.args["pieces"][0]]
    for place, piece in zip(node.args["places"], node.args["pieces"][1:], strict=True):
        text += (filled[place], piece)
    return "".join((*text, ")"))


class Template:
    """SQL with places for arguments; calling it fills them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tree: exp.Expression | None = None
        parts = _PLACE.split(text)
        self._pieces, self._places = parts[::2], [int(place) - 1 for place in parts[1::2]]
        self._is_written = "lambda" in text

    def prepare(self) -> exp.Expression:
        """The parsed text."""
        if self._tree is None:
            self._tree = parsed(_PLACE.sub(r"place_\1", self._text))
        return self._tree

    def __call__(self, arguments: Sequence[exp.Expression]) -> exp.Expression:
        if self._is_written:
            return Written(
                pieces=self._pieces, places=self._places, expressions=[closed(each) for each in arguments]
            )
        used: set[int] = set()
        filled: exp.Expression = _fill(self.prepare(), arguments, used, True)
        return filled


@cache
def template(text: str) -> Template:
    """The template of ``text``, one for all uses."""
    return Template(text)


def apply(text: str, arguments: Sequence[Scalar], type: Type, volatile: bool = False) -> Apply:
    """The expression of a template's text."""
    return Apply(template(text), arguments, type, volatile)


def parsed(text: str) -> exp.Expression:
    """The tree of an expression in DuckDB's SQL."""
    parsed = sqlglot.parse_one(f"SELECT {text}", read="duckdb").expressions[0]
    kept: exp.Expression = parsed.transform(_kept)
    return kept


def _kept(node: exp.Expression) -> exp.Expression:
    name = _KEPT.get(type(node))
    if isinstance(node, exp.Log) and node.args.get("expression") is not None:
        return exp.Anonymous(this=f"log{node.this.name}", expressions=[node.expression])
    if name is None:
        return node
    return exp.Anonymous(this=name, expressions=[node.this, _json_path(node)])


def _json_path(node: exp.Expression) -> exp.Expression:
    path = node.expression
    return exp.Literal.string(path.sql("duckdb").strip("'")) if isinstance(path, exp.JSONPath) else path


def _fill(node: Any, arguments: Sequence[exp.Expression], used: set[int], is_free: bool) -> Any:
    if isinstance(node, exp.Column) and node.name.startswith("place_"):
        index = int(node.name[6:]) - 1
        argument = arguments[index]
        if index in used:
            argument = argument.copy()
        used.add(index)
        return argument if is_free else closed(argument)
    free = isinstance(node, exp.Func | exp.Paren | exp.Tuple | exp.Array) and not isinstance(node, exp.Binary)
    filled = type(node)()
    for key, value in node.args.items():
        if isinstance(value, exp.Expression):
            filled.set(key, _fill(value, arguments, used, free))
        elif isinstance(value, list):
            filled.set(
                key,
                [_fill(v, arguments, used, free) if isinstance(v, exp.Expression) else v for v in value],
            )
        else:
            filled.set(key, value)
    return filled


def closed(node: exp.Expression) -> exp.Expression:
    """``node`` in parentheses, unless it stands for itself beside any operator."""
    atomic = isinstance(node, exp.Func) and not isinstance(node, exp.Binary)
    if atomic or isinstance(
        node, exp.Column | exp.Literal | exp.Paren | exp.Boolean | exp.Null | exp.Subquery
    ):
        return node
    return exp.Paren(this=node)


@cache
def _data_type(name: str) -> exp.DataType:
    return exp.DataType.build(name, dialect="duckdb")


def cast(node: exp.Expression, engine_type: str) -> exp.Expression:
    """``CAST(node AS engine_type)``"""
    return exp.Cast(this=node, to=_data_type(engine_type).copy())


def text(value: str) -> exp.Expression:
    """A text literal."""
    return exp.Literal.string(value)


def number(value: int) -> exp.Expression:
    """An integer literal."""
    literal = exp.Literal.number(abs(value))
    return exp.Paren(this=exp.Neg(this=literal)) if value < 0 else literal


def constant(value: Constant) -> exp.Expression:
    """The SQL of a constant."""
    kind = value.type.name
    if value.value is None:
        return cast(exp.Null(), "TIMESTAMPTZ" if value.type.form == "us" else ENGINE_TYPES[kind])
    if kind in ("string", "guid"):
        return text(value.value)
    if kind == "dynamic":
        return text(json_text(value.value))
    if kind == "bool":
        return exp.Boolean(this=value.value)
    if kind == "real":
        return cast(text(_real_text(value.value)), "DOUBLE")
    if kind == "decimal":
        return cast(text(value.value), ENGINE_TYPES[kind])
    if value.type.form == "us":
        micros = (value.value - EPOCH_TICKS) // TICKS_PER_US
        stamp = datetime_text(value.value)[:-2] + "+00:00"
        if micros >= 0:
            return cast(text(stamp), "TIMESTAMPTZ")
        return exp.Anonymous(this="make_timestamptz", expressions=[number(micros)])
    return cast(number(value.value), ENGINE_TYPES[kind])


def _real_text(value: float) -> str:
    if math.isnan(value):
        return "nan"
    return "inf" if value == math.inf else "-inf" if value == -math.inf else repr(value)


def json_text(value: Any) -> str:
    """``value`` as JSON without blanks."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def path_steps(steps: Sequence[str | int]) -> str:
    """A JSON path of the engine."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f'."{step}"' for step in steps)
