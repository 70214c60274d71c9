"""The first wall: which texts may run at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.model.errors import Refused
from gapless.query import allowed
from gapless.query.check import check, fold
from gapless.query.parse import is_wrapped, parse
from gapless.query.sandbox import open_connection

TABLES = ("Events", "Alerts")


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with open_connection() as connection:
        yield connection


PLAIN = [
    "SELECT * FROM Events",
    "select count(*) from events",
    'SELECT "Id" FROM "EVENTS" AS "e x"',
    "FROM Events SELECT Id",
    "TABLE Events",
    "SELECT * FROM Events;",
    "SELECT * FROM Events ; -- that's all; really",
    "/* it's */ SELECT ';' FROM Events -- the end",
    "SELECT * FROM Events ORDER BY Id DESC NULLS LAST LIMIT 10 OFFSET 5",
    "SELECT DISTINCT ON (Name) * FROM Events ORDER BY ALL",
    "SELECT Name, count(*) AS n FROM Events GROUP BY ALL HAVING n > 1 QUALIFY row_number() OVER () = 1",
    "SELECT Name FROM Events GROUP BY GROUPING SETS ((Name), ())",
    "SELECT * EXCLUDE (Name) REPLACE (Id + 1 AS Id) FROM Events",
    "SELECT COLUMNS(c -> c LIKE 'I%') FROM Events",
    "SELECT Details ->> '$.n', Details->'n' FROM Events WHERE json_valid(Details)",
    "SELECT list_transform([1, 2], lambda x: x + Id), [x + 1 FOR x IN [1, 2] IF x > 1] FROM Events",
    "SELECT CASE WHEN Ok THEN 1 ELSE 2 END, Id BETWEEN 1 AND 2, Id IN (1, 2), Name IS NULL FROM Events",
    "SELECT TimeGenerated::DATE, TRY_CAST(Id AS DECIMAL(10, 2)), 'x'::VARCHAR(3), '[1]'::INT[] FROM Events",
    "SELECT TimeGenerated > now() - INTERVAL '1 day', extract(hour FROM TimeGenerated) FROM Events",
    "SELECT sum(Id) FILTER (WHERE Ok) OVER (PARTITION BY Name ORDER BY Id ROWS 3 PRECEDING) FROM Events",
    "SELECT quantile_cont(Score, 0.5), mode() WITHIN GROUP (ORDER BY Name) FROM Events",
    "SELECT e.Id FROM Events e JOIN Events f USING (Id) LEFT JOIN Events g ON e.Id = g.Id",
    "SELECT * FROM Events e ASOF JOIN Events f ON e.TimeGenerated >= f.TimeGenerated",
    "SELECT * FROM Events, LATERAL (SELECT Id + 1), unnest([1, 2]) AS u(x)",
    "SELECT * FROM Events, json_each(Details)",
    "SELECT Id FROM Events UNION ALL BY NAME SELECT Id FROM Events EXCEPT SELECT 1",
    "WITH a AS (SELECT * FROM Events), b AS MATERIALIZED (SELECT * FROM a) SELECT * FROM b",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < (SELECT max(Id) FROM Events))"
    " SELECT * FROM n",
    "SELECT * FROM Events WHERE Id = (SELECT max(Id) FROM Events) OR EXISTS (FROM Events)",
    "SELECT * FROM Events TABLESAMPLE 10%",
    "DESCRIBE Events",
    "SUMMARIZE Events",
    "SELECT Name COLLATE nocase FROM Events ORDER BY 1",
    'SELECT \'naïve 日本\', "Id" AS "日本" FROM Events',
]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_queries_may_run(engine: duckdb.DuckDBPyConnection, text: str) -> None:
    assert check(engine, text, TABLES).tables == ("Events",)


@pytest.mark.parametrize("text", ["SELECT 1", "VALUES (1), (2)", "SELECT * FROM range(3) AS r(Events)"])
def test_a_query_may_read_no_table_at_all(engine: duckdb.DuckDBPyConnection, text: str) -> None:
    assert check(engine, text, TABLES).tables == ()


# What would read, write, set or learn anything but the tables; each with a part of what it is told.
ESCAPES = [
    # files by name
    ("SELECT * FROM '/data/secret.parquet'", "there is no table /data/secret.parquet"),
    ('SELECT * FROM "/data/secret.parquet"', "there is no table"),
    ("FROM '/data/*.parquet'", "there is no table"),
    ("FROM 's3://bucket/x.parquet'", "there is no table"),
    ("FROM 'https://example.com/x.csv'", "there is no table"),
    ("TABLE '/etc/passwd'", ""),
    ("DESCRIBE '/data/secret.parquet'", "there is no table"),
    ("SUMMARIZE '/data/secret.parquet'", "there is no table"),
    # files by function
    *((f"SELECT * FROM {name}('/data/secret')", "not allowed after FROM") for name in (
        "read_parquet", "parquet_scan", "read_csv", "read_csv_auto", "read_json", "read_json_auto",
        "read_ndjson", "read_ndjson_objects", "read_json_objects", "read_text", "read_blob", "read_duckdb",
        "glob", "sniff_csv", "parquet_metadata", "parquet_schema", "parquet_file_metadata",
        "parquet_kv_metadata", "parquet_bloom_probe", "parquet_full_metadata", "seq_scan", "arrow_scan",
        "python_arrow_scan", "pandas_scan", "iceberg_scan", "delta_scan", "sqlite_scan", "postgres_scan",
        "st_read", "read_xlsx",
    )),
    ("SELECT * FROM \"read_text\"('/etc/passwd')", "not allowed after FROM"),
    ("SELECT * FROM READ_TEXT('/etc/passwd')", "not allowed after FROM"),
    ("SELECT * FROM main.read_text('/etc/passwd')", "a name before .read_text(...) is not allowed"),
    ("SELECT * FROM system.main.read_text('/etc/passwd')", "a name before .read_text(...)"),
    ("SELECT * FROM Events, LATERAL read_text(Name)", "not allowed after FROM"),
    ("SELECT read_text('/etc/passwd')", "the function read_text is not allowed"),
    # SQL that runs SQL
    ("SELECT * FROM query('SELECT 1')", "not allowed after FROM"),
    ("SELECT * FROM query_table('Events')", "not allowed after FROM"),
    ("SELECT * FROM json_execute_serialized_sql('{}')", "not allowed after FROM"),
    ("SELECT json_serialize_sql('SELECT 1')", "not allowed"),
    ("SELECT json_serialize_plan('SELECT 1')", "not allowed"),
    ("SELECT json_deserialize_sql('{}')", "not allowed"),
    ("SELECT list_aggregate([1], 'sum')", "not allowed"),
    ("SELECT list_aggr([1], 'sum')", "not allowed"),
    ("SELECT array_aggregate([1], 'sum')", "not allowed"),
    ("SELECT current_query()", "not allowed"),
    # settings, variables, the catalog, the process
    ("SELECT current_setting('allowed_paths')", "the function current_setting is not allowed"),
    ("SELECT getvariable('x')", "not allowed"),
    ("SELECT getenv('HOME')", "not allowed"),
    ("SELECT nextval('s')", "not allowed"),
    ("SELECT setseed(0.5)", "not allowed"),
    ("SELECT write_log('x')", "not allowed"),
    ("SELECT sleep_ms(100000)", "not allowed"),
    ("SELECT pg_sleep(100)", "not allowed"),
    ("SELECT version()", "not allowed"),
    ("SELECT error('x')", "not allowed"),
    ("SELECT in_search_path('memory', 'main')", "not allowed"),
    ("SELECT __internal_decompress_string(1)", "not allowed"),
    ("SELECT pg_get_viewdef(1)", "not allowed"),
    *((f"SELECT * FROM {name}()", "not allowed after FROM") for name in (
        "duckdb_settings", "duckdb_views", "duckdb_tables", "duckdb_columns", "duckdb_functions",
        "duckdb_secrets", "duckdb_extensions", "duckdb_databases", "duckdb_logs", "duckdb_memory",
        "duckdb_variables", "duckdb_temporary_files", "duckdb_external_file_cache", "pragma_version",
        "pragma_database_size", "pragma_platform", "pg_timezone_names", "test_all_types", "enable_logging",
        "enable_profiling", "checkpoint", "force_checkpoint", "disable_logging", "truncate_duckdb_logs",
    )),
    ("SELECT * FROM pragma_table_info('Events')", "not allowed after FROM"),
    ("SELECT * FROM pragma_storage_info('Events')", "not allowed after FROM"),
    ("SELECT * FROM which_secret('s3://x', 's3')", "not allowed after FROM"),
    ("SELECT * FROM create_external_resource('x')", "not allowed after FROM"),
    *((f"SELECT * FROM {name}", "there is no table") for name in (
        "duckdb_views", "duckdb_tables", "duckdb_settings", "sqlite_master", "sqlite_schema",
        "pragma_database_list", "pg_class", "pg_settings", "tables", "columns",
    )),
    ("SELECT * FROM information_schema.tables", "write the table's name alone"),
    ("SELECT * FROM pg_catalog.pg_class", "write the table's name alone"),
    ("SELECT * FROM main.Events", "write the table's name alone"),
    ("SELECT * FROM memory.main.Events", "write the table's name alone"),
    ("SELECT * FROM memory.Events", "write the table's name alone"),
    ("SELECT * FROM system.information_schema.columns", "write the table's name alone"),
    ("SHOW TABLES", "SHOW is not allowed"),
    ("SHOW ALL TABLES", "SHOW is not allowed"),
    ("SHOW DATABASES", ""),
    ("SELECT * FROM (SHOW TABLES)", "SHOW is not allowed"),
    ("DESCRIBE", ""),
    # other statements
    *((text, "only SELECT is allowed") for text in (
        "INSERT INTO Events VALUES (1)", "UPDATE Events SET Id = 1", "DELETE FROM Events",
        "CREATE TABLE t (a INT)", "CREATE VIEW v AS SELECT 1", "CREATE MACRO f(x) AS x",
        "CREATE OR REPLACE TEMP MACRO upper(x) AS x", "DROP VIEW Events", "ALTER TABLE Events RENAME TO x",
        "COPY Events TO '/tmp/x'", "COPY (SELECT 1) TO '/tmp/x'", "COPY Events FROM '/etc/passwd'",
        "EXPORT DATABASE '/tmp/x'", "IMPORT DATABASE '/tmp/x'", "ATTACH '/tmp/x.db'", "DETACH memory",
        "INSTALL httpfs", "LOAD httpfs", "SET threads = 1", "RESET threads", "SET VARIABLE x = 1",
        "PRAGMA database_list", "PRAGMA enable_profiling", "CALL pragma_version()", "CHECKPOINT", "VACUUM",
        "USE memory", "BEGIN", "COMMIT", "PREPARE p AS SELECT 1", "EXECUTE p", "DEALLOCATE p",
        "EXPLAIN SELECT 1", "EXPLAIN ANALYZE SELECT * FROM Events", "PIVOT Events ON Name USING count(*)",
        "CREATE SECRET (TYPE s3)", "CREATE TYPE e AS ENUM ('a')", "CREATE SEQUENCE s",
        "COMMENT ON VIEW Events IS 'x'",
    )),
    ("CREATE TABLE t AS SELECT * FROM Events", "only SELECT is allowed"),
    ("WITH x AS (INSERT INTO Events VALUES (1) RETURNING *) FROM x", "INSERT is not allowed"),
    ("WITH x AS (UPDATE Events SET Id = 1 RETURNING *) FROM x", "UPDATE is not allowed"),
    ("WITH x AS (DELETE FROM Events RETURNING *) FROM x", "DELETE is not allowed"),
    ("WITH x AS (COPY Events TO '/tmp/x') FROM x", ""),
    # more than one statement, or less
    ("SELECT 1; SELECT 2", "2 statements"),
    ("SELECT 1; DROP VIEW Events", "only SELECT is allowed"),
    ("SELECT 1;; SELECT 2;", "2 statements"),
    ("SELECT 1 /* ; */; INSTALL httpfs --", "only SELECT is allowed"),
    ("", "0 statements"),
    (" ; -- nothing", ""),
    ("-- SELECT 1", "0 statements"),
    # breaking out of the parentheses that the text is put into
    ("SELECT 1) UNION ALL (SELECT 2", "syntax error"),
    ("SELECT 1) LIMIT 5 --", "syntax error"),
    ("SELECT 1) /*", ""),
    ("SELECT 1 /*", ""),
    ("SELECT '", ""),
    ("SELECT $$", ""),
    # what only other kinds of text have
    ("SELECT ?", "parameters are not allowed"),
    ("SELECT $1", "parameters are not allowed"),
    ("SELECT $name", "parameters are not allowed"),
    ("SELECT * FROM Events AT (VERSION => 1)", "AT (...) is not allowed"),
    ("FROM Events PIVOT (count(*) FOR Name IN ('a'))", "PIVOT and UNPIVOT are not allowed"),
    ("FROM Events UNPIVOT (v FOR n IN (Id, Level))", "PIVOT and UNPIVOT are not allowed"),
    ("SELECT Name.upper() FROM Events", "write upper(value, ...)"),
    ("SELECT 'x'::Events", "the type Events is not allowed"),
    ("SELECT 'x'::main.varchar", "the type varchar is not allowed"),
    ("SELECT 1::regclass", "the type regclass is not allowed"),
    ("SELECT Name COLLATE de FROM Events", "the collation de is not allowed"),
    # names that only look known
    ("SELECT * FROM \"Events \"", "there is no table"),
    ("SELECT * FROM \"Events\"\"\"", "there is no table"),
    ("SELECT * FROM \"main.Events\"", "there is no table"),
    ("SELECT * FROM Evnts", "did you mean Events?"),
    ("SELECT \0", "NUL"),
    ("SELECT '\ud800'", "surrogate"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), ESCAPES)
def test_what_reaches_outside_is_refused(engine: duckdb.DuckDBPyConnection, text: str, told: str) -> None:
    with pytest.raises(Refused) as refusal:
        check(engine, text, TABLES)
    assert told in str(refusal.value)


FORBIDDEN_VALUES = [
    "(SELECT content FROM read_text('/etc/passwd'))",
    "(SELECT count(*) FROM Others_CL)",
    "(SELECT count(*) FROM duckdb_settings())",
    "current_setting('allowed_paths')",
    "'x'::unknown_type",
]
PLACES = [
    "SELECT {}",
    "SELECT {} AS a FROM Events",
    "SELECT 1 + {}",
    "SELECT upper({}::VARCHAR)",
    "SELECT coalesce({}, 1)",
    "SELECT NOT ({} = 1)",
    "SELECT {} IN (1, 2)",
    "SELECT 1 IN (1, {})",
    "SELECT 1 = ANY (SELECT {})",
    "SELECT {} = ANY (SELECT 1)",
    "SELECT EXISTS (SELECT {})",
    "SELECT ARRAY (SELECT {})",
    "SELECT {} BETWEEN 1 AND 2",
    "SELECT 1 BETWEEN 0 AND {}",
    "SELECT CASE {} WHEN 1 THEN 2 END",
    "SELECT CASE WHEN {} = 1 THEN 2 END",
    "SELECT CASE WHEN 1 = 1 THEN {} END",
    "SELECT CASE WHEN 1 = 1 THEN 1 ELSE {} END",
    "SELECT CAST({} AS VARCHAR)",
    "SELECT TRY({})",
    "SELECT ({})::VARCHAR COLLATE nocase",
    "SELECT [1, {}]",
    "SELECT [1][{}]",
    "SELECT [1][1:{}]",
    "SELECT {{'a': {}}}",
    "SELECT {{'a': {}}}.a",
    "SELECT MAP {{'a': {}}}",
    "SELECT (1, {})",
    "SELECT list_transform([1], lambda x: {})",
    "SELECT list_transform([1], x -> {})",
    "SELECT [x FOR x IN [1] IF {} = 1]",
    "SELECT count(*) FILTER (WHERE {} = 1) FROM Events",
    "SELECT list(Id ORDER BY {}) FROM Events",
    "SELECT sum({}) OVER () FROM Events",
    "SELECT sum(Id) OVER (PARTITION BY {}) FROM Events",
    "SELECT sum(Id) OVER (ORDER BY {}) FROM Events",
    "SELECT sum(Id) OVER w FROM Events WINDOW w AS (ORDER BY {})",
    "SELECT sum(Id) FILTER (WHERE {} = 1) OVER () FROM Events",
    "SELECT sum(Id) OVER (ORDER BY Id ROWS BETWEEN {} PRECEDING AND CURRENT ROW) FROM Events",
    "SELECT lag(Id, 1, {}) OVER (ORDER BY Id) FROM Events",
    "SELECT * REPLACE ({} AS Id) FROM Events",
    "SELECT COLUMNS(c -> c = {}) FROM Events",
    "SELECT DISTINCT ON ({}) Id FROM Events",
    "SELECT 1 FROM Events WHERE {} = 1",
    "SELECT 1 FROM Events GROUP BY {}",
    "SELECT 1 FROM Events GROUP BY GROUPING SETS (({}), ())",
    "SELECT 1 FROM Events GROUP BY Id HAVING {} = 1",
    "SELECT 1 FROM Events QUALIFY {} = 1",
    "SELECT 1 FROM Events ORDER BY {}",
    "SELECT 1 FROM Events LIMIT {}",
    "SELECT 1 FROM Events LIMIT 1 OFFSET {}",
    "SELECT 1 FROM Events e JOIN Events f ON e.Id = {}",
    "SELECT 1 FROM Events e LEFT JOIN (SELECT {}) f ON true",
    "SELECT 1 FROM Events, LATERAL (SELECT {})",
    "SELECT 1 FROM (SELECT {})",
    "SELECT 1 FROM (VALUES (1), ({})) v(a)",
    "SELECT 1 FROM range({})",
    "SELECT 1 FROM unnest([{}])",
    "VALUES ({})",
    "SELECT 1 UNION SELECT {}",
    "SELECT 1 UNION (SELECT 2 EXCEPT SELECT {})",
    "(SELECT 1) ORDER BY {}",
    "WITH a AS (SELECT {}) SELECT 1",
    "WITH a AS (SELECT 1), b AS (SELECT {}) SELECT * FROM a",
    "SELECT (WITH a AS (SELECT {}) SELECT 1)",
    "WITH RECURSIVE a AS (SELECT {} UNION ALL SELECT * FROM a) SELECT 1",
    "WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT {} FROM a) SELECT 1",
    "WITH RECURSIVE a(n) USING KEY (n) AS (SELECT {} UNION SELECT 1 FROM a) SELECT 1",
    "DESCRIBE SELECT {}",
    "SUMMARIZE SELECT {}",
    "SELECT 1 FROM (DESCRIBE SELECT {})",
]


@pytest.mark.parametrize("place", PLACES)
def test_no_place_in_a_query_is_left_unchecked(engine: duckdb.DuckDBPyConnection, place: str) -> None:
    check(engine, place.format("1"), TABLES)
    for value in FORBIDDEN_VALUES:
        with pytest.raises(Refused):
            check(engine, place.format(value), TABLES)


def test_a_name_given_by_with_stands_for_a_table(engine: duckdb.DuckDBPyConnection) -> None:
    shadowed = check(engine, "WITH events AS (SELECT 1) SELECT * FROM EVENTS", TABLES)
    assert shadowed.tables == ()


@pytest.mark.parametrize(
    "text",
    [
        "WITH a AS (SELECT * FROM a) SELECT * FROM a",
        "WITH b AS (SELECT * FROM a), a AS (SELECT 1) SELECT * FROM b",
        "SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a), a",
        "SELECT (WITH a AS (SELECT 1) SELECT 1), (SELECT count(*) FROM a)",
        "WITH b AS (WITH a AS (SELECT 1) FROM a) SELECT * FROM a",
        "(WITH a AS (SELECT 1) SELECT * FROM a) UNION ALL SELECT * FROM a",
        "WITH RECURSIVE a AS (SELECT * FROM a UNION ALL SELECT 1) SELECT * FROM a",
        "WITH \"/data/x.parquet\" AS (SELECT * FROM '/data/x.parquet') SELECT 1",
    ],
)
def test_a_name_given_by_with_holds_in_its_scope_alone(engine: duckdb.DuckDBPyConnection, text: str) -> None:
    with pytest.raises(Refused, match="there is no table"):
        check(engine, text, TABLES)


def test_only_the_case_of_ascii_letters_does_not_matter(engine: duckdb.DuckDBPyConnection) -> None:
    kelvin = "\u212a"  # its lower case is a plain k, but not to the engine
    assert check(engine, "SELECT * FROM TASK_cl", ["Task_CL"]).tables == ("Task_CL",)
    with pytest.raises(Refused, match="there is no table"):
        check(engine, f"SELECT * FROM Tas{kelvin}_CL", ["Task_CL"])


def test_tables_that_differ_by_case_need_the_exact_name(engine: duckdb.DuckDBPyConnection) -> None:
    tables = ("App_CL", "APP_CL")
    assert check(engine, "SELECT * FROM App_CL", tables).tables == ("App_CL",)
    assert check(engine, "SELECT * FROM APP_CL", tables).tables == ("APP_CL",)
    for text in ("SELECT * FROM app_cl", "SELECT * FROM App_CL, APP_CL", "SELECT * FROM App_CL, app_cl"):
        with pytest.raises(Refused, match="differ by case alone"):
            check(engine, text, tables)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("SELECT version()", "line 1, column 8:"),
        ("SELECT 'é',\n  version()", "line 2, column 3:"),
        ("SELECT 1\nFROM nowhere", "line 2, column 6:"),
        ("SELECT 'é' WHERE )", "line 1, column 18:"),
    ],
)
def test_a_refusal_says_where(engine: duckdb.DuckDBPyConnection, text: str, where: str) -> None:
    with pytest.raises(Refused, match=where):
        check(engine, text, TABLES)


@pytest.mark.parametrize("depth", [2_000, 30_000])
def test_deep_nesting_is_refused(engine: duckdb.DuckDBPyConnection, depth: int) -> None:
    for text in ("SELECT " + "(" * depth + "1" + ")" * depth, "SELECT 1" + " + 1" * depth):
        with pytest.raises(Refused, match="nested too deeply"):
            check(engine, text, TABLES)


def test_every_allowed_name_exists(engine: duckdb.DuckDBPyConnection) -> None:
    """A name that the engine does not know would be a slip of the pen, and hide what it was meant for."""

    def known(query: str) -> set[str]:
        return {fold(name) for (name,) in engine.execute(query).fetchall()}

    functions = known("SELECT function_name FROM duckdb_functions() WHERE function_type NOT LIKE '%table%'")
    assert allowed.FUNCTIONS - {"unnest"} - allowed.COMPUTED <= functions
    tables = known("SELECT function_name FROM duckdb_functions() WHERE function_type = 'table'")
    assert tables >= allowed.TABLE_FUNCTIONS
    assert known("SELECT type_name FROM duckdb_types()") >= allowed.TYPES


_SHAPES = [
    "SELECT 1 FROM {name}",
    "SELECT 1 FROM ({query})",
    "({query}) UNION ALL ({query})",
    "WITH {name} AS ({query}) SELECT 1 FROM ({query})",
    "WITH {name} AS ({query}), {name} AS ({query}) SELECT 1 FROM {name}",
    "WITH RECURSIVE {name} AS ({query} UNION ALL {query}) SELECT 1 FROM {name}",
    "SELECT 1 FROM {name} JOIN ({query}) AS j ON EXISTS ({query})",
    "SELECT ({query}) FROM {name} ORDER BY ({query}) LIMIT ({query})",
]


@st.composite
def _queries(draw: st.DrawFn, depth: int = 3) -> str:
    """Queries whose names are tables, what WITH gave a name, or neither."""
    shape = draw(st.sampled_from(_SHAPES if depth else _SHAPES[:1]))
    while "{name}" in shape:
        shape = shape.replace("{name}", draw(st.sampled_from(["Events", "alerts", "others", "a", "A"])), 1)
    while "{query}" in shape:
        shape = shape.replace("{query}", draw(_queries(depth - 1)), 1)
    return shape


@settings(max_examples=400, deadline=None)
@given(_queries())
def test_a_query_that_may_run_reads_no_more_than_was_found(
    engine: duckdb.DuckDBPyConnection, text: str
) -> None:
    """The engine's own list of what a text reads, which knows of WITH too, is the oracle."""
    try:
        checked = check(engine, text, TABLES)
        read = engine.get_table_names(text)
    except (Refused, duckdb.BinderException):  # the engine refuses what defines a name by itself
        return
    assert {fold(name) for name in read} <= {fold(name) for name in checked.tables}


_FRAGMENTS = [
    "SELECT", "*", "1", "FROM", "Events", "alerts", "other", '"Events"', "'Events'", "'x'", "WHERE", "Id",
    "=", "(", ")", ",", ";", "--", "/*", "*/", "\n", "WITH", "a", "AS", "UNION ALL", "JOIN", "ON", "USING",
    "LATERAL", "read_text", "count(*)", "range(3)", "[", "]", "'", '"', "$$", "e'\\''", "ORDER BY", "LIMIT",
    "RECURSIVE", "main.", "::", "INT", "lambda x:", "->", "VALUES", "DESCRIBE", "NOT", "IN", "EXISTS", "é",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_FRAGMENTS), max_size=14))
def test_any_text_is_refused_or_checked(engine: duckdb.DuckDBPyConnection, fragments: list[str]) -> None:
    with contextlib.suppress(Refused):
        assert set(check(engine, " ".join(fragments), TABLES).tables) <= set(TABLES)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_literal_or_name_stays_one(engine: duckdb.DuckDBPyConnection, word: str) -> None:
    literal = "'" + word.replace("'", "''") + "'"
    name = '"' + ("x" + word).replace('"', '""') + '"'
    text = f"SELECT {literal} AS {name} FROM Events"
    checked = check(engine, text, TABLES)
    assert checked.tables == ("Events",)
    assert text in checked.subquery


@pytest.mark.parametrize(
    "other",
    [
        "SELECT 2",
        "SELECT 1 AS b",
        "SELECT '1'",
        "SELECT 1 LIMIT 1",
        "SELECT 1), (SELECT 1",
    ],
)
def test_what_the_parser_reads_differently_in_parentheses_is_noticed(
    engine: duckdb.DuckDBPyConnection, other: str
) -> None:
    parsed = parse(engine, "SELECT  1")
    assert is_wrapped(engine, parsed, "(SELECT 1)")
    assert not is_wrapped(engine, parsed, f"({other})")


def test_a_text_like_a_position_is_no_position(engine: duckdb.DuckDBPyConnection) -> None:
    parsed = parse(engine, """SELECT ',"query_location":5'""")
    assert is_wrapped(engine, parsed, """(SELECT ',"query_location":5')""")
    assert not is_wrapped(engine, parsed, """(SELECT ',"query_location":6')""")
