"""A table as a view over its Parquet files: its columns and types, in its window, whatever the files hold.

Declared columns are computed from the record, and only those that a query uses.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import duckdb

from gapless.model.tables import SYSTEM_COLUMNS, ColumnType, TableSchema
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
    values |= _declared(files.table, values)
    shown = [column.name for column in (*files.table.shown, *SYSTEM_COLUMNS)]
    if wanted is not None:
        shown = [name for name in shown if name in wanted or name in _OF_THE_WINDOW] or shown[:1]
    columns = ", ".join(f"{values[name]} AS {quoted_name(name)}" for name in shown)
    return f"SELECT {columns}{_source(files.paths)}"


def _declared(table: TableSchema, stored: Mapping[str, str]) -> dict[str, str]:
    """The values of declared columns; one that stands for a stored column leaves that to records that do not
    have it."""
    if not table.declared:
        return {}
    # Not at the top: it loads a SQL generator, which a worker has when it is confined (``prepare``).
    from gapless.query.kql.fields import field_sql

    computed = {column.name: field_sql(stored["Data"], column) for column in table.declared}
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
