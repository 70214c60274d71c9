"""The second and third walls, with the first one taken away: the locked engine, and the confined process."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from query_lake import SECRET

from gapless.query.confine import landlock_version
from gapless.query.request import QueryLimits, TableFiles
from gapless.query.sandbox import lock, open_connection, text_literal
from gapless.query.views import create_view


@pytest.fixture
def locked(tables: tuple[TableFiles, ...]) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine as a query gets it, but that runs any text unchecked."""
    with open_connection() as connection:
        lock(connection, tables[0].paths, QueryLimits())
        create_view(connection, tables[0], None, None, None)
        yield connection


def test_the_locked_engine_reads_its_files(locked: duckdb.DuckDBPyConnection) -> None:
    assert locked.execute("SELECT count(*) FROM Events").fetchall() == [(300,)]


def test_a_view_has_the_columns_that_are_wanted_and_those_of_the_window(
    tables: tuple[TableFiles, ...],
) -> None:
    events = tables[0]
    with open_connection() as connection:
        create_view(connection, events, frozenset({"_Seq"}), 1, 2**60)
        described = connection.execute("DESCRIBE Events").fetchall()
    assert [name for name, *_ in described] == ["TimeGenerated", "_Seq"]


READS = [
    "SELECT * FROM {file}",
    "SELECT * FROM read_parquet({file})",
    "SELECT * FROM read_parquet([{file}])",
    "SELECT * FROM read_parquet({directory} || '/*/*.parquet')",
    "SELECT * FROM read_parquet({directory} || '/../theirs/Events/0.parquet')",
    "SELECT * FROM read_parquet('file://' || {file})",
    "SELECT * FROM parquet_metadata({file})",
    "SELECT * FROM parquet_kv_metadata({file})",
    "SELECT * FROM read_blob({file})",
    "SELECT * FROM read_text({directory} || '/notes.csv')",
    "SELECT * FROM read_csv({directory} || '/notes.csv')",
    "SELECT * FROM read_json({directory} || '/notes.csv')",
    "SELECT * FROM sniff_csv({directory} || '/notes.csv')",
    "SELECT * FROM glob({directory} || '/*')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM query('SELECT * FROM read_parquet(''' || {file} || ''')')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql("
    "'SELECT * FROM read_parquet(''' || {file} || ''')'))",
    "CREATE VIEW v AS SELECT * FROM read_parquet({file})",
    "CREATE TABLE t AS FROM read_parquet({file})",
    "ATTACH {file}",
    "IMPORT DATABASE {directory}",
]


@pytest.mark.parametrize("text", READS)
def test_the_locked_engine_reads_nothing_else(
    locked: duckdb.DuckDBPyConnection, secret_file: Path, text: str
) -> None:
    literal = {"file": text_literal(str(secret_file)), "directory": text_literal(str(secret_file.parents[1]))}
    with pytest.raises(duckdb.Error) as refusal:
        locked.execute(text.format(**literal)).fetchall()
    assert SECRET not in str(refusal.value)


CHANGES = [
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "SET lock_configuration = false",
    "RESET lock_configuration",
    "SET allowed_paths = ['/etc/passwd']",
    "SET allowed_directories = ['/']",
    "SET allowed_configs = ['allowed_paths']",
    "SET memory_limit = '100GB'",
    "SET threads = 64",
    "SET max_execution_time = 0",
    "SET temp_directory = '/tmp'",
    "SET python_enable_replacements = true",
    "SET autoload_known_extensions = true",
    "SET log_query_path = '/tmp/log'",
    "SET profiling_output = '/tmp/profile'",
    "SET secret_directory = '/tmp'",
    "SET SESSION TimeZone = 'Europe/Paris'",
    "PRAGMA enable_profiling",
    "CALL enable_logging()",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '/tmp/evil.duckdb_extension'",
    "COPY (SELECT 1) TO '/tmp/gapless-escape.csv'",
    "EXPORT DATABASE '/tmp/gapless-escape'",
    "ATTACH '/tmp/gapless-escape.db'",
]


@pytest.mark.parametrize("text", CHANGES)
def test_the_locked_engine_cannot_be_opened(locked: duckdb.DuckDBPyConnection, text: str) -> None:
    with pytest.raises(duckdb.Error):
        locked.execute(text).fetchall()


def test_variables_of_python_are_no_tables(locked: duckdb.DuckDBPyConnection) -> None:
    hidden = duckdb.connect().sql("SELECT 1 AS a")
    assert hidden is not None
    with pytest.raises(duckdb.CatalogException):
        locked.execute("SELECT * FROM hidden")


def confined(script: str, *arguments: str) -> dict[str, str]:
    """Run ``script`` in a process of its own and return what it reports as ``report[name] = outcome``.

    The process may read ``sys.argv[1]`` alone once the script has called ``confine()``.
    """
    prelude = """
        import json, os, socket, sys
        from gapless.query.confine import allow_only_reading, limit_resources
        report = {}
        def attempt(name, action):
            try:
                action()
            except (OSError, MemoryError) as error:
                report[name] = type(error).__name__
            else:
                report[name] = "done"
        def confine(more_bytes=1 << 30):
            limit_resources(more_bytes)
            allow_only_reading([sys.argv[1]])
    """
    whole = textwrap.dedent(prelude) + textwrap.dedent(script) + "\nprint(json.dumps(report))"
    ran = subprocess.run(
        [sys.executable, "-c", whole, *arguments], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    outcomes: dict[str, str] = json.loads(ran.stdout)
    return outcomes


needs_landlock = pytest.mark.skipif(landlock_version() < 4, reason="the kernel has no Landlock of version 4")


@needs_landlock
def test_a_confined_process_reads_its_files_and_nothing_else(
    lake: Path, secret_file: Path, tables: tuple[TableFiles, ...]
) -> None:
    script = """
        ours, theirs, lake = sys.argv[1:]
        server = socket.create_server(("127.0.0.1", 0))
        confine()
        attempt("read ours", lambda: open(ours, "rb").read())
        attempt("read theirs", lambda: open(theirs, "rb").read())
        attempt("read by another name", lambda: open(f"{lake}/ours/../theirs/notes.csv").read())
        attempt("read the environment", lambda: open("/proc/self/environ").read())
        attempt("list", lambda: os.listdir(lake))
        attempt("write ours", lambda: open(ours, "r+b").write(b"x"))
        attempt("truncate ours", lambda: os.truncate(ours, 0))
        attempt("remove ours", lambda: os.remove(ours))
        attempt("create", lambda: open(f"{lake}/new", "w"))
        attempt("connect", lambda: socket.create_connection(server.getsockname()))
        attempt("run", lambda: os.execv("/bin/true", ["true"]))
    """
    report = confined(script, tables[0].paths[0], str(secret_file), str(lake))
    assert report.pop("read ours") == "done"
    assert len(report) == 10
    assert set(report.values()) == {"PermissionError"}, report


@needs_landlock
def test_an_engine_in_a_confined_process_cannot_overwrite_what_it_reads(
    tables: tuple[TableFiles, ...],
) -> None:
    before = Path(tables[0].paths[0]).read_bytes()
    script = """
        from gapless.query.request import QueryLimits
        from gapless.query.sandbox import limit_memory, lock, open_connection
        connection = open_connection()
        limit_memory(connection, 1 << 28)
        confine()
        lock(connection, [sys.argv[1]], QueryLimits())
        def overwrite():
            try:
                connection.execute(f"COPY (SELECT 1) TO '{sys.argv[1]}' (FORMAT parquet, USE_TMP_FILE false)")
            except Exception as error:
                raise PermissionError from error
        attempt("overwrite", overwrite)
    """
    assert confined(script, tables[0].paths[0]) == {"overwrite": "PermissionError"}
    assert Path(tables[0].paths[0]).read_bytes() == before


def test_a_confined_process_has_no_more_memory_than_it_was_given(tables: tuple[TableFiles, ...]) -> None:
    script = """
        confine(64 << 20)
        attempt("within", lambda: bytearray(32 << 20))
        attempt("beyond", lambda: bytearray(128 << 20))
    """
    assert confined(script, tables[0].paths[0]) == {"within": "done", "beyond": "MemoryError"}
