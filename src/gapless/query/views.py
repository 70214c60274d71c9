"""A table as a view over its Parquet files: its columns and types, in its window, whatever the files hold.

Declared columns are computed from the record, and only those that a query uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import duckdb

from gapless.model.rule import IDENTITY
from gapless.model.tables import SYSTEM_COLUMNS, Column, ColumnType, Computed, TableSchema
from gapless.query.request import TableFiles
from gapless.query.sandbox import quoted_name, text_literal

_ENGINE_TYPES: dict[ColumnType, str] = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "long": "BIGINT",
    "real": "DOUBLE",
    "bool": "BOOLEAN",
    "datetime": "TIMESTAMPTZ",
    "timespan": "VARCHAR",
    "guid": "VARCHAR",
    "dynamic": "VARCHAR",  # JSON text
}

_RESOURCE = "_ResourceId"
#: Columns that say whether a row is in a query's window.
_OF_THE_WINDOW = frozenset({"TimeGenerated", _RESOURCE})


def create_view(
    connection: duckdb.DuckDBPyConnection,
    files: TableFiles,
    wanted: Set[str] | None,
    from_us: int | None,
    to_us: int | None,
    resource: str = "",
) -> None:
    """Create the view of a table, with the columns ``wanted``, or all: the engine gathers the statistics of
    each column in each file, which takes as long as a quick query. A column that no file has is NULL, and a
    table without files is empty. Bounds are as in ``QueryRequest``."""
    window = " AND ".join([*_bounds(from_us, to_us), *_of_resource(files, resource)]) or "true"
    rows = _rows(files, _columns_of(connection, files.paths), wanted)
    connection.execute(
        f"CREATE VIEW {quoted_name(files.table.name)} AS SELECT * FROM ({rows}) WHERE {window}"
    )


def _rows(files: TableFiles, present: Set[str], wanted: Set[str] | None) -> str:
    """The rows of a table of which its files have the columns ``present``."""
    values = {
        column.name: f"CAST({quoted_name(column.name) if column.name in present else 'NULL'}"
        f" AS {_ENGINE_TYPES[column.type]})"
        for column in (*files.table.columns, *SYSTEM_COLUMNS)
    }
    stored = dict(values)
    values |= declared_values(files.table, values, wanted)
    shown = [column.name for column in (*files.table.shown, *SYSTEM_COLUMNS)]
    if wanted is not None:
        shown = [name for name in shown if name in wanted or name in _OF_THE_WINDOW] or shown[:1]
    columns = ", ".join(f"{values[name]} AS {quoted_name(name)}" for name in shown)
    rows = f"SELECT {columns}{_source(files.paths)}"
    if not files.table.computed or not files.paths:
        return rows
    parts = [_computed(files, each, stored, values, shown) for each in files.table.computed]
    others = ", ".join(text_literal(each) for of in files.table.computed for each in of.streams)
    return " UNION ALL ".join([f"{rows} WHERE coalesce({stored['_Stream']}, '') NOT IN ({others})", *parts])


def _computed(
    files: TableFiles,
    computed: Computed,
    stored: Mapping[str, str],
    values: Mapping[str, str],
    shown: Sequence[str],
) -> str:
    """The rows of streams whose transform computes columns; the other columns are as everywhere."""
    from gapless.query.kql.fields import field_sql
    from gapless.query.kql.transform import shaped_sql

    time = Column("TimeGenerated", "datetime")
    fields = {each.name: field_sql(stored["Data"], each) for each in (*computed.source, time)}
    fields[time.name] = f"coalesce({fields[time.name]}, {stored['_IngestionTime']})"
    carried = {f"={name}": value for name, value in stored.items()}
    of_source = {each.name: each for each in (*computed.source, time)}
    schema = TableSchema(IDENTITY, (*of_source.values(), *(Column(name, "string") for name in carried)))
    sql, made = shaped_sql(computed.text, schema, tuple(carried))
    inner = ", ".join(f"{value} AS {quoted_name(name)}" for name, value in (fields | carried).items())
    streams = ", ".join(map(text_literal, computed.streams))
    source = f"SELECT {inner}{_source(files.paths)} WHERE {stored['_Stream']} IN ({streams})"
    names = ", ".join(map(quoted_name, (*stored, *(f"={column.name}" for column in made))))
    declared = set(files.table.declared)
    own = {column.name: quoted_name(f"={column.name}") for column in made if column in declared}
    columns = ", ".join(f"{own.get(name, values[name])} AS {quoted_name(name)}" for name in shown)
    return f"SELECT {columns} FROM (WITH {IDENTITY} AS ({source}) {sql}) AS shaped({names})"


def declared_values(table: TableSchema, stored: Mapping[str, str], wanted: Set[str] | None) -> dict[str, str]:
    """DuckDB's SQL of the declared columns that are ``wanted``, or of all, from that of the ``stored`` ones.
    One that stands for a stored column leaves that to records that do not have it."""
    if not table.declared:
        return {}
    # Not at the top: it loads a SQL generator, which a worker has when it is confined (``prepare``).
    from gapless.query.kql.fields import field_sql

    asked = [each for each in table.declared if wanted is None or each.name in wanted | _OF_THE_WINDOW]
    computed = {column.name: field_sql(stored["Data"], column) for column in asked}
    return {
        name: f"coalesce({value}, {stored[name]})" if name in stored else value
        for name, value in computed.items()
    }


def _bounds(from_us: int | None, to_us: int | None) -> list[str]:
    bounds = ((">=", from_us), ("<", to_us))
    return [f"TimeGenerated {sign} make_timestamptz({us})" for sign, us in bounds if us is not None]


def _of_resource(files: TableFiles, resource: str) -> list[str]:
    """The rows of a resource; a table that does not say whose its rows are has none."""
    if not resource:
        return []
    if all(column.name != _RESOURCE for column in files.table.shown):
        return ["false"]
    wanted = resource.rstrip("/").lower()
    of = f"lower({quoted_name(_RESOURCE)})"
    return [f"({of} = {text_literal(wanted)} OR starts_with({of}, {text_literal(wanted + '/')}))"]


def _columns_of(connection: duckdb.DuckDBPyConnection, paths: tuple[str, ...]) -> set[str]:
    if not paths:
        return set()
    described = connection.execute(f"DESCRIBE SELECT *{_source(paths)}").fetchall()
    return {name for name, *_ in described}


def _source(paths: tuple[str, ...]) -> str:
    if not paths:
        return " WHERE false"
    listed = ", ".join(map(text_literal, paths))
    # A directory named column=value must not become a column.
    return f" FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
