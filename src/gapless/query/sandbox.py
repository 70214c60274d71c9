"""The engine's own lock: an in-memory DuckDB that can read a given list of files and nothing else.

Once locked, a connection opens no other file or address, loads no extension and changes no setting, whatever
SQL it is given. The lock cannot be opened again, so a connection serves one query.
"""

from __future__ import annotations

from collections.abc import Iterable

import duckdb

from gapless.query.request import QueryLimits

#: Up to how many rows of an ORDER BY ... LIMIT the engine keeps only the top, instead of sorting all.
TOP_ROWS_MAX = 5_000

#: Memory in which an engine waits for its query, before the query's own limit is set.
_WAITING_MEMORY = "64MB"


def open_connection() -> duckdb.DuckDBPyConnection:
    """An engine that waits for its query, without any thread of its own: its process can still fork."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "async_threads": 0,
            "memory_limit": _WAITING_MEMORY,
            "temp_directory": "",
            "allow_community_extensions": False,
            "allow_persistent_secrets": False,
            "allow_unsigned_extensions": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        },
    )
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    # Each step of a query (columns, view, types, rows) would read the footers of all files again.
    connection.execute("SET parquet_metadata_cache = true")
    # ORDER BY ... LIMIT over a wide table: sort by the columns that are needed, then read those rows.
    connection.execute(f"SET late_materialization_max_rows = {TOP_ROWS_MAX}")
    return connection


def limit_memory(connection: duckdb.DuckDBPyConnection, memory_bytes_max: int) -> None:
    """Let the engine allocate ``memory_bytes_max``. It looks at its control group for this, so this comes
    before its process is confined; ``lock`` starts threads, which inherit what binds the one that starts
    them, so that comes after."""
    connection.execute(f"SET memory_limit = '{memory_bytes_max}B'")


def lock(connection: duckdb.DuckDBPyConnection, paths: Iterable[str], limits: QueryLimits) -> None:
    """Give the engine its threads, its time and its files, and take everything else away for good."""
    allowed_paths = ", ".join(map(text_literal, paths))
    for setting in (
        f"threads = {limits.threads_max}",
        f"max_execution_time = {max(1, int(limits.time_s_max * 1000))}",
        f"allowed_paths = [{allowed_paths}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


def text_literal(text: str) -> str:
    """``text`` as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted_name(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
