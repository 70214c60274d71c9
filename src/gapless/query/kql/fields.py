"""A field of a JSON record as a column of a table, converted as Kusto converts: what does not fit is null."""

from __future__ import annotations

from sqlglot import exp, parse_one

from gapless.model.tables import Column
from gapless.query.kql.emission.blocks import Block
from gapless.query.kql.emission.emit import Emitter
from gapless.query.kql.emission.sql import Engine, apply
from gapless.query.kql.relational.prune import Pruned
from gapless.query.kql.relational.scalars import DATETIME_US, DYNAMIC, TYPES, Ref, Scalar
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.to_text import Path, to_string
from gapless.query.kql.values.values import EPOCH_TICKS

_RECORD = Ref(0, DYNAMIC)
#: A time as tables hold it, of ticks.
_US_OF_TICKS = f"make_timestamptz($1 // 10 - {EPOCH_TICKS // 10})"


def field_sql(record: str, column: Column) -> str:
    """SQL for DuckDB: the field named ``column.name`` of the JSON text ``record`` (SQL, too), in the form in
    which tables hold values of its type. NULL where the record has no such field, or a value that Kusto's
    conversion to the type has no value for."""
    block = Block(names={_RECORD.id: exp.Paren(this=parse_one(record, read="duckdb"))})
    return Emitter(Pruned()).scalar(_value(column), block).sql(Engine)


def in_table_form(value: Scalar) -> Scalar:
    """``value`` as tables hold it: a datetime as a time, a timespan as its text."""
    if value.type.name == "timespan":
        return to_string(value)
    if value.type.name == "datetime" and value.type.form != "us":
        return apply(_US_OF_TICKS, (value,), DATETIME_US)
    return value


def _value(column: Column) -> Scalar:
    field = Path(_RECORD, (column.name,))
    return field.text() if column.type == "timespan" else in_table_form(as_type(field, TYPES[column.type]))
