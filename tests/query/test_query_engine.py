"""What a query answers: tables as views over files, values, limits, and words for what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_lake import ALERTS, EVENTS, Ask, event, write_parquet

from gapless.model.errors import Corrupt, Refused, Unavailable
from gapless.model.tables import SYSTEM_COLUMNS, Column, TableSchema
from gapless.query.engine import execute
from gapless.query.request import QueryLimits, QueryRequest, TableFiles
from gapless.query.results import DYNAMIC_DEPTH_MAX

FIRST_US = event(0)["TimeGenerated"]


def test_a_table_has_its_columns_then_those_of_the_system(ask: Ask) -> None:
    answer = ask("SELECT * FROM Events LIMIT 1")
    assert [column.name for column in answer.columns] == [
        column.name for column in (*EVENTS.columns, *SYSTEM_COLUMNS)
    ]


def test_a_name_given_by_with_hides_the_table(ask: Ask) -> None:
    assert ask("WITH events AS (SELECT 7 AS Id) SELECT * FROM Events").rows == [[7]]
    narrowed = "WITH Events AS (SELECT * FROM Events WHERE Id < 5) SELECT count(*) FROM Events"
    assert ask(narrowed).rows == [[5]]


def test_an_answer_says_what_it_read(ask: Ask) -> None:
    answer = ask("SELECT count(*) AS n FROM events")
    assert (answer.rows, answer.scanned_files, answer.truncated) == ([[300]], 3, False)
    assert answer.elapsed_us > 0
    assert ask("SELECT 1").scanned_files == 0


def test_a_table_without_files_is_empty_and_typed(ask: Ask) -> None:
    answer = ask("SELECT TimeGenerated, Title, _Seq FROM Alerts")
    assert answer.rows == []
    assert [column.type for column in answer.columns] == ["datetime", "string", "long"]


def test_each_type_comes_out_as_it_went_in(ask: Ask) -> None:
    answer = ask(
        "SELECT TimeGenerated, Id, Name, Level, Score, Ok, Details, Took, Correlation"
        " FROM Events WHERE Id = 5"
    )
    assert answer.rows == [
        ["2024-09-01T00:00:05.000000Z", 5, "user-5", 2, 1.25, False, '{"n": 5}', None, None]
    ]
    assert [column.type for column in answer.columns] == [
        "datetime", "long", "string", "int", "real", "bool", "string", "string", "string"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("NULL", "dynamic", None),
        ("true", "bool", True),
        ("1::TINYINT", "int", 1),
        ("9223372036854775807", "long", 2**63 - 1),
        ("18446744073709551615::UBIGINT", "long", 2**64 - 1),
        ("170141183460469231731687303715884105727::HUGEINT", "long", 2**127 - 1),
        ("sum(Id)", "long", 44850),
        ("1.50::DECIMAL(10, 2)", "decimal", "1.50"),
        ("0.1::DOUBLE", "real", 0.1),
        ("'nan'::DOUBLE", "real", "NaN"),
        ("'inf'::FLOAT", "real", "Infinity"),
        ("'-inf'::DOUBLE", "real", "-Infinity"),
        ("'a\"b\\c\n\u2028é\U0001f600' || chr(0)", "string", 'a"b\\c\n\u2028é\U0001f600\0'),
        ("'\\xAA\\x00'::BLOB", "string", "qgA="),
        ("'101'::BIT", "string", "101"),
        ("'b'::ENUM ('a', 'b')", "string", "b"),
        ("'2e0f3cb9-b791-4cad-887d-cba5461fa68c'::UUID", "guid", "2e0f3cb9-b791-4cad-887d-cba5461fa68c"),
        ("DATE '2024-02-29'", "datetime", "2024-02-29T00:00:00.000000Z"),
        ("TIMESTAMPTZ '2024-09-01 02:00:00.25+02'", "datetime", "2024-09-01T00:00:00.250000Z"),
        ("TIMESTAMP_S '2024-09-01 00:00:00'", "datetime", "2024-09-01T00:00:00.000000Z"),
        ("TIMESTAMPTZ '294247-01-10'", "datetime", "294247-01-10T00:00:00.000000Z"),
        ("'infinity'::TIMESTAMPTZ", "datetime", "infinity"),
        ("TIME '23:59:59.5'", "timespan", "23:59:59.5"),
        ("INTERVAL '1 day 2 hours'", "timespan", "1 day 02:00:00"),
        ("[1, NULL]", "dynamic", [1, None]),
        ("{'a': [DATE '2024-01-01'], 'b': 1.5::DOUBLE}", "dynamic", {"a": ["2024-01-01"], "b": 1.5}),
        ("MAP {1: 'x'}", "dynamic", {"1": "x"}),
        ("(1, 'x')", "dynamic", [1, "x"]),
        ("[1, 2]::INT[2]", "dynamic", [1, 2]),
        ("union_value(a := 1)", "dynamic", {"a": 1}),
        ("{'a': 1}::VARIANT", "dynamic", {"a": 1}),
        ("'{\"a\": [1, 2]}'::JSON", "dynamic", {"a": [1, 2]}),
        ("'123456789012345678901234567890'::JSON", "dynamic", 123456789012345678901234567890),
        ("['nan'::DOUBLE]", "dynamic", "[NaN]"),
    ],
)
def test_values_are_ready_for_json(ask: Ask, expression: str, kind: str, value: Any) -> None:
    answer = ask(f"SELECT {expression} AS v FROM Events ORDER BY 1 LIMIT 1")
    assert (answer.columns[0].type, answer.rows) == (kind, [[value]])


@pytest.mark.parametrize("depth", [DYNAMIC_DEPTH_MAX + 1, 1_000, 100_000])
def test_deeply_nested_dynamic_values_stay_text(ask: Ask, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    assert ask(f"SELECT (repeat('[', {depth}) || repeat(']', {depth}))::JSON AS v").rows == [[deep]]


def test_large_dynamic_values_are_values(ask: Ask) -> None:
    just_within = "[" * DYNAMIC_DEPTH_MAX + "]" * DYNAMIC_DEPTH_MAX
    strings = msgspec.json.encode(["[" * 500, '\\"[{' * 500]).decode()
    for text in (just_within, strings, "[" + ",".join(["[{}]"] * 500) + "]"):
        assert ask(f"SELECT '{text}'::JSON").rows == [[msgspec.json.decode(text)]]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_comes_back_as_it_was_written(ask: Ask, word: str) -> None:
    literal = "'" + word.replace("'", "''") + "'"
    assert ask(f"SELECT {literal}, {literal} = {literal} FROM range(1) -- ' ; \"").rows == [[word, True]]


def test_column_names_are_made_unique(ask: Ask) -> None:
    names = [column.name for column in ask('SELECT 1 AS a, 2 AS a, 3 AS "A", 4 AS "x ""y"""').columns]
    assert len({name.lower() for name in names}) == 4
    assert (names[0], names[3]) == ("a", 'x "y"')


def test_files_of_older_schemas_read_as_null_where_they_lack_a_column(tmp_path: Path) -> None:
    old = write_parquet(tmp_path / "old.parquet", EVENTS, [event(0)], leave_out="Score Level _Extra")
    new = write_parquet(tmp_path / "new.parquet", EVENTS, [event(1)])
    for paths in ((old, new), (new, old)):
        request = QueryRequest(
            text="SELECT Id, Score, Level FROM Events ORDER BY Id",
            language="sql",
            tables=(TableFiles(EVENTS, paths),),
        )
        assert execute(request).rows == [[0, None, None], [1, 0.25, 1]]
    alone = QueryRequest(
        text="SELECT Score, _Extra FROM Events", language="sql", tables=(TableFiles(EVENTS, (old,)),)
    )
    assert execute(alone).rows == [[None, None]]
    assert execute(alone).columns[0].type == "real"


def test_a_column_that_only_files_have_is_not_shown(tmp_path: Path) -> None:
    narrow = TableSchema("Events", (Column("TimeGenerated", "datetime"), Column("Id", "long")))
    path = write_parquet(tmp_path / "Name=fake" / "0.parquet", EVENTS, [event(3)])
    request = QueryRequest(text="SELECT * FROM Events", language="sql", tables=(TableFiles(narrow, (path,)),))
    assert [column.name for column in execute(request).columns][:3] == ["TimeGenerated", "Id", "_Extra"]


def test_the_name_of_a_directory_is_no_column(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "Name=fake" / "TimeGenerated=2001-01-01" / "0.parquet", EVENTS, [event(3)]
    )
    request = QueryRequest(
        text="SELECT Name, TimeGenerated FROM Events", language="sql", tables=(TableFiles(EVENTS, (path,)),)
    )
    assert execute(request).rows == [["user-3", "2024-09-01T00:00:03.000000Z"]]


def test_paths_with_quotes_and_blanks_are_read(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / 'it\'s; -- "a" dir' / "é.parquet", EVENTS, [event(3)])
    request = QueryRequest(
        text="SELECT Id FROM Events", language="sql", tables=(TableFiles(EVENTS, (path,)),)
    )
    assert execute(request).rows == [[3]]


@pytest.mark.parametrize(
    "path", ["relative.parquet", "/a/*.parquet", "/a/[b].parquet", "/a?", "s3://b/c", "/\0"]
)
def test_paths_that_could_mean_other_files_are_refused(path: str) -> None:
    with pytest.raises(Refused, match="absolute paths without"):
        TableFiles(EVENTS, (path,))


@pytest.mark.parametrize(
    ("from_s", "to_s", "ids"),
    [
        (None, None, [0, 299]),
        (10, None, [10, 299]),
        (None, 10, [0, 9]),
        (10, 11, [10, 10]),
        (100, 200, [100, 199]),
        (500, 600, [None, None]),
    ],
)
def test_a_window_holds_its_start_and_not_its_end(
    ask: Ask, from_s: int | None, to_s: int | None, ids: list[int | None]
) -> None:
    window = {
        name: FIRST_US + seconds * 1_000_000
        for name, seconds in (("from_us", from_s), ("to_us", to_s))
        if seconds is not None
    }
    assert ask("SELECT min(Id), max(Id) FROM Events", **window).rows == [ids]


def test_a_window_holds_whatever_the_text_says(ask: Ask) -> None:
    text = (
        "SELECT count(*) FROM Events WHERE true OR TimeGenerated > '2000-01-01' OR (SELECT true FROM Events)"
    )
    assert ask(text + " IS NULL", from_us=FIRST_US, to_us=FIRST_US + 5_000_000).rows == [[5]]


def test_an_empty_window_is_refused(request_for: Callable[..., QueryRequest]) -> None:
    with pytest.raises(Refused, match="--from that is before --to"):
        request_for("SELECT 1", from_us=5, to_us=5)


def test_rows_beyond_the_limit_are_cut_and_told(ask: Ask) -> None:
    answer = ask("SELECT Id FROM Events ORDER BY Id DESC", rows_max=10)
    assert (answer.rows, answer.truncated) == ([[number] for number in range(299, 289, -1)], True)
    assert not ask("SELECT Id FROM Events", rows_max=300).truncated
    assert ask("SELECT Id FROM Events", rows_max=299).truncated
    assert ask("SELECT * FROM range(100000000000)", rows_max=5).rows == [[0], [1], [2], [3], [4]]


@pytest.mark.parametrize("bytes_max", [1, 2, 9, 10, 11, 100, 5_000])
def test_bytes_beyond_the_limit_are_cut_and_told(ask: Ask, bytes_max: int) -> None:
    text = "SELECT Name FROM Events ORDER BY Id"
    whole = ask(text)
    answer = ask(text, result_bytes_max=bytes_max)
    assert answer.rows == whole.rows[: len(answer.rows)]
    assert len(answer.rows_json) <= max(bytes_max, len(b"[]"))
    assert answer.truncated == (len(whole.rows_json) > bytes_max)
    if answer.truncated:
        one_more = len(answer.rows_json) + len(b',["user-0"]') - (not answer.rows)
        assert one_more > bytes_max


def test_the_order_is_kept_over_several_chunks(ask: Ask) -> None:
    answer = ask("SELECT range AS i, range::DOUBLE FROM range(5000) ORDER BY hash(range)")
    expected = ask("SELECT list(range ORDER BY hash(range))::JSON AS i FROM range(5000)")
    assert [row[0] for row in answer.rows] == expected.rows[0][0]


def test_the_top_of_a_sort_is_whole_rows(tmp_path: Path) -> None:
    """The engine sorts by few columns and fetches the rest afterwards, also from files that lack columns."""
    paths = tuple(
        write_parquet(
            tmp_path / f"{file}.parquet",
            EVENTS,
            [event(number) for number in range(file, 2_000, 4)],
            leave_out="Score" if file % 2 else "",
        )
        for file in range(4)
    )
    request = QueryRequest(
        text="SELECT Id, Name, Score, Level FROM Events ORDER BY TimeGenerated DESC LIMIT 100",
        language="sql",
        tables=(TableFiles(EVENTS, paths),),
    )
    assert execute(request).rows == [
        [number, f"user-{number % 7}", None if number % 4 % 2 else number / 4, number % 3]
        for number in range(1_999, 1_899, -1)
    ]


def test_memory_beyond_the_limit_is_refused(ask: Ask) -> None:
    with pytest.raises(Refused, match="more than 64 MiB of memory"):
        ask("SELECT list(range) FROM range(100000000)", memory_bytes_max=64 << 20)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) FROM range(100000000000) a, range(1000) b",
        "WITH RECURSIVE bomb(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM bomb) SELECT count(*) FROM bomb",
        "SELECT count(*) FROM Events a, Events b, Events c, Events d, Events e",
    ],
)
def test_time_beyond_the_limit_is_refused(ask: Ask, text: str) -> None:
    with pytest.raises(Refused, match=r"longer than 0\.2 s"):
        ask(text, time_s_max=0.2)


def test_texts_and_files_beyond_the_limits_are_refused(ask: Ask) -> None:
    with pytest.raises(Refused, match="longer than 10 bytes"):
        ask("SELECT 'éééé'", text_bytes_max=10)
    with pytest.raises(Refused, match="more than 2 files"):
        ask("SELECT * FROM Events", files_max=2)
    assert ask("SELECT * FROM Alerts", files_max=2).rows == []


def test_limits_are_positive() -> None:
    with pytest.raises(Refused, match="rows_max must be more than 0"):
        QueryLimits(rows_max=0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT Id,\n  Nmae FROM Events", r'"Nmae" not found.*\(line 2\)'),
        ("SELECT 'a'::INT", "Could not convert string 'a'"),
        ("SELECT Name::INT FROM Events", "Could not convert string 'user-"),
        ("SELECT sum(Name) FROM Events", r"sum\(VARCHAR\).*\(line 1\)"),
        ("WITH a AS (SELECT 1 AS x) SELECT y FROM a", r'"y" not found'),
        ("SELECT * FROM (SELECT 1) UNION ALL SELECT 1, 2", "same number of result columns"),
    ],
)
def test_a_wrong_query_is_refused_in_one_sentence(ask: Ask, text: str, told: str) -> None:
    with pytest.raises(Refused, match=told) as refusal:
        ask(text)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300
    assert ".parquet" not in str(refusal.value)


def test_a_file_that_is_gone_means_to_try_again(tmp_path: Path) -> None:
    request = QueryRequest(
        text="SELECT * FROM Alerts",
        language="sql",
        tables=(TableFiles(ALERTS, (str(tmp_path / "gone.parquet"),)),),
    )
    with pytest.raises(Unavailable, match="run it again") as failure:
        execute(request)
    assert str(tmp_path) not in str(failure.value)


@pytest.mark.parametrize(
    "content", [b"", b"not Parquet at all, but long enough", b"PAR1" + b"\0" * 64 + b"PAR1"]
)
def test_a_file_that_is_not_parquet_is_corrupt(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.parquet"
    path.write_bytes(content)
    request = QueryRequest(
        text="SELECT * FROM Alerts", language="sql", tables=(TableFiles(ALERTS, (str(path),)),)
    )
    with pytest.raises(Corrupt, match="a data file of Alerts cannot be read") as failure:
        execute(request)
    assert str(tmp_path) not in str(failure.value)
