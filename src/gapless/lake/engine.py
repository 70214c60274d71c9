"""DuckDB over the lake's own Parquet files, for what must not be held in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb

from gapless.model.errors import Corrupt, Unavailable

#: SQL for where the records of a row of quarantine end: it may stand for several.
END_OF_QUARANTINED = "coalesce((_Extra->>'$.next')::BIGINT, _Seq + 1)"


class TooLarge(Unavailable):
    """What was asked for does not fit the memory that the engine may use: ask for less, or allow more."""


@contextmanager
def engine(*, memory_bytes_max: int, spill_directory: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with one thread and a bound on its memory; what does not fit goes to ``spill_directory``,
    and without one is an error. Raises Corrupt for files that cannot be read, TooLarge for want of memory.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": "1",
        "memory_limit": f"{memory_bytes_max // 1024**2}MiB",
        "temp_directory": spill_directory,
        "autoload_known_extensions": "false",
        "autoinstall_known_extensions": "false",
    }
    connection = duckdb.connect(":memory:", config=config)
    try:
        yield connection
    except duckdb.OutOfMemoryException as error:
        raise TooLarge(f"give the lake's engine more memory: {_first_line(error)}") from error
    except duckdb.IOException as error:
        raise Corrupt(f"a file of the lake cannot be read: {_first_line(error)}") from error
    except duckdb.Error as error:
        raise Corrupt(f"files of the lake are not what was written: {_first_line(error)}") from error
    finally:
        connection.close()


def rows_of(paths: Sequence[str]) -> str:
    """SQL for the rows of these files, by column name: a file that lacks a column has nulls in it."""
    quoted = ", ".join(quote_path(path) for path in paths)
    return f"read_parquet([{quoted}], union_by_name = true, hive_partitioning = false)"


def quote_path(path: str) -> str:
    """A path to be read, as an SQL literal; what would stand for other names in it stands for itself."""
    return quote("".join(f"[{letter}]" if letter in "*?[" else letter for letter in path))


def quote(text: str) -> str:
    """An SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
