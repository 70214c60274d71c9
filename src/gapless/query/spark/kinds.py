"""Types of expressions: DuckDB's, as sqlglot spells them, and what Spark holds them in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from sqlglot import exp

from gapless.model.tables import ColumnType

INT, BIGINT, HUGEINT, DOUBLE = "INT", "BIGINT", "INT128", "DOUBLE"
TEXT, JSON, BOOLEAN, TIME, NULL = "TEXT", "JSON", "BOOLEAN", "TIMESTAMPTZ", "NULL"

#: What tables of the lake hold.
KINDS_OF_TABLES: Mapping[ColumnType, str] = {
    "string": TEXT,
    "int": INT,
    "long": BIGINT,
    "real": DOUBLE,
    "bool": BOOLEAN,
    "datetime": TIME,
    "timespan": TEXT,
    "guid": TEXT,
    "dynamic": TEXT,
}
#: Types whose values are compared with each other, and how wide they are among those.
_FAMILIES = {
    INT: ("number", 1),
    BIGINT: ("number", 2),
    DOUBLE: ("number", 3),
    TEXT: ("text", 1),
    BOOLEAN: ("truth", 1),
    TIME: ("time", 1),
}
_CARRIED = {"JSON": "TEXT", "INT128": "DECIMAL(38, 0)", "HUGEINT": "DECIMAL(38, 0)"}
_CARRIED_NAMES = re.compile(rf"\b({'|'.join(_CARRIED)})\b")


@dataclass(frozen=True, slots=True)
class Typed:
    """An expression in Spark's SQL, and the type of its value."""

    sql: exp.Expression
    kind: str


def normal(kind: str) -> str:
    """A type of DuckDB in the one spelling that is used here."""
    return exp.DataType.build(kind, dialect="duckdb").sql("duckdb")


@cache
def carried(kind: str) -> str:
    """The type of DuckDB in which Arrow carries values of ``kind`` between the two engines."""
    return _CARRIED_NAMES.sub(lambda found: _CARRIED[found[1]], kind)


@cache
def spark_type(kind: str) -> str:
    """The type in which Spark holds values of ``kind``."""
    return exp.DataType.build(carried(kind), dialect="duckdb").sql("spark")


def widest(*kinds: str) -> str | None:
    """The type that values of all ``kinds`` are compared in, or None if the engines may not agree on it."""
    known = [kind for kind in kinds if kind != NULL]
    if not known:
        return None
    if len(set(known)) == 1:
        return known[0]
    if any(kind not in _FAMILIES for kind in known) or len({_FAMILIES[kind][0] for kind in known}) > 1:
        return None
    return max(known, key=lambda kind: _FAMILIES[kind][1])


def is_ordered(kind: str) -> bool:
    """Whether both engines compare and order values of ``kind`` alike: NaN is the greatest number, and text
    is compared by its bytes."""
    return kind in _FAMILIES


def field_kind(struct: str, name: str) -> str:
    """The type of a field of a struct."""
    fields = exp.DataType.build(struct, dialect="duckdb").expressions
    kind: exp.DataType = next(each.args["kind"] for each in fields if each.name == name)
    return kind.sql("duckdb")
