"""Declared columns of a custom table: computed from each record, with Kusto's conversions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from query_lake import write_parquet

from gapless.model.errors import Refused
from gapless.model.tables import Column, ColumnType, Computed, table_schema
from gapless.query.engine import execute
from gapless.query.request import QueryRequest, QueryResult, TableFiles

Asked = Callable[..., QueryResult]
KINDS: tuple[ColumnType, ...] = (
    "string", "int", "long", "real", "bool", "datetime", "timespan", "guid", "dynamic",
)  # fmt: skip
COLUMNS = (*(Column(f"a_{kind}", kind) for kind in KINDS), Column("RawData", "string"))
GUID = "0F8FAD5B-D9CB-469F-A165-70867728950E"


def row(seq: int, raw: str) -> dict[str, Any]:
    """A record as the lake stores it."""
    data = raw if raw.startswith(("{", "[")) else None
    return {"TimeGenerated": seq, "RawData": raw, "Data": data, "_Seq": seq}


def records_of(*values: object) -> list[str]:
    """A record for each value, which is in all fields."""
    return [json.dumps({f"a_{kind}": value for kind in KINDS}) for value in values]


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[list[str]], Asked]:
    def over(records: list[str]) -> Asked:
        schema = table_schema("App_CL", COLUMNS)
        rows = [row(seq, raw) for seq, raw in enumerate(records)]
        path = write_parquet(tmp_path / "app.parquet", schema, rows)
        files = TableFiles(schema, (path,))

        def asked(text: str, **more: Any) -> QueryResult:
            return execute(QueryRequest(text=text, tables=(files,), **{"language": "kql", **more}))

        return asked

    return over


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12", ["12", 12, 12, 12.0, True, None, "12.00:00:00", None, "12"]),
        (12.75, ["12.75", 12, 12, 12.75, None, None, None, None, 12.75]),
        (True, ["true", 1, 1, 1.0, True, None, None, None, True]),
        (2**40, [str(2**40), None, 2**40, float(2**40), True, None, None, None, 2**40]),
        ({"b": [1]}, ['{"b":[1]}', None, None, None, None, None, None, None, {"b": [1]}]),
        (
            "2024-09-02T01:02:03.1234567Z",
            ["2024-09-02T01:02:03.1234567Z", None, None, None, None, "2024-09-02T01:02:03.1234560Z",
             None, None, "2024-09-02T01:02:03.1234567Z"],
        ),
        ("01:30:00", ["01:30:00", None, None, None, None, None, "01:30:00", None, "01:30:00"]),
        (GUID, [GUID, None, None, None, None, None, None, GUID.lower(), GUID]),
        (None, ["", None, None, None, None, None, None, None, None]),
    ],
)  # fmt: skip
def test_a_field_is_converted_as_kusto_does(
    ask: Callable[[list[str]], Asked], value: object, expected: list[object]
) -> None:
    asked = ask(records_of(value))
    found = asked(f"App_CL | project {', '.join(f'a_{kind}' for kind in KINDS)}")
    assert [column.type for column in found.columns] == list(KINDS)
    assert found.rows == [expected]
    # What has no value in a column is where it was.
    ((data,),) = asked("App_CL | project Data").rows
    assert data == {f"a_{kind}": value for kind in KINDS}


def test_records_that_have_no_fields_have_no_values(ask: Callable[[list[str]], Asked]) -> None:
    asked = ask(["a plain line", "[1, 2]", '{"other": 1}', *records_of("x")])
    assert asked("App_CL | where a_string == 'x' | project _Seq").rows == [[3]]
    assert asked("App_CL | where isempty(a_string) and isnull(a_long) | count").rows == [[3]]
    assert asked("SELECT count(*) AS n FROM App_CL WHERE a_string IS NULL", language="sql").rows == [[3]]


def test_a_field_named_rawdata_is_the_column_and_a_record_without_it_is_its_own(
    ask: Callable[[list[str]], Asked],
) -> None:
    asked = ask(["a plain line", '{"RawData": "of a client"}', '{"n": 1}'])
    found = asked("App_CL | sort by _Seq asc | project RawData").rows
    assert found == [["a plain line"], ["of a client"], ['{"n": 1}']]


def test_sql_has_the_same_columns_in_its_own_types(ask: Callable[[list[str]], Asked]) -> None:
    asked = ask(records_of("7", "2024-09-02"))
    text = "SELECT a_long + 1 AS n, a_datetime AS t FROM App_CL ORDER BY _Seq"
    found = asked(text, language="sql")
    assert [(c.name, c.type) for c in found.columns] == [("n", "long"), ("t", "datetime")]
    assert found.rows == [[8, None], [None, "2024-09-02T00:00:00.000000Z"]]


def test_the_table_has_them_behind_its_own_and_no_other(ask: Callable[[list[str]], Asked]) -> None:
    asked = ask(records_of(1))
    names = [name for name, *_ in asked("App_CL | getschema").rows]
    assert names == ["TimeGenerated", "RawData", "Data", *(f"a_{kind}" for kind in KINDS)]
    with pytest.raises(Refused, match="there is no column a_strinh"):
        asked("App_CL | where a_strinh == 'x'")
    assert asked("search 'nothing' | count").rows == [[0]]


SOURCE = (Column("Time", "string"), Column("Text", "string"), Column("n", "long"), Column("g", "guid"))


def shaped(tmp_path: Path, transform: str, declared: tuple[Column, ...]) -> Asked:
    """Questions over records of one stream with a transform, and of one without."""
    computed = (Computed(SOURCE, transform, ("s1", "s2")),)
    schema = table_schema("App_CL", declared, computed)
    record = {"Time": "2024-09-02T03:00:00", "Text": "user=ann took=00:00:07;", "n": 5, "g": GUID}
    raws = [json.dumps(record), json.dumps({"user": "eve", "n": 7}), "no JSON", json.dumps(record)]
    rows = [
        row(seq, raw) | {"_Stream": f"s{seq}", "_IngestionTime": 60_000_000} for seq, raw in enumerate(raws)
    ]
    files = TableFiles(schema, (write_parquet(tmp_path / "app.parquet", schema, rows),))

    def asked(text: str, **more: Any) -> QueryResult:
        return execute(QueryRequest(text=text, tables=(files,), **{"language": "kql", **more}))

    return asked


def test_what_a_transform_computes_is_so_for_its_streams_alone(tmp_path: Path) -> None:
    transform = (
        "source | where n > 5 | parse Text with 'user=' user ' took=' took:timespan ';' "
        "| extend day = startofday(todatetime(Time)), Text = toupper(Text), seen = TimeGenerated "
        "| project-rename number = n, id = g"
    )
    declared = (
        Column("user", "string"), Column("took", "timespan"), Column("day", "datetime"),
        Column("Text", "string"), Column("number", "long"), Column("id", "guid"), Column("seen", "datetime"),
    )  # fmt: skip
    asked = shaped(tmp_path, transform, declared)
    names = "_Seq, user, took, day, Text, number, id, seen"
    # s0 and s3 have no transform: their columns are the fields of these names. s2 has no fields at all.
    assert asked(f"App_CL | project {names} | sort by _Seq asc").rows == [
        [0, "", None, None, "user=ann took=00:00:07;", None, None, None],
        [1, "", None, None, "", 7, None, "1970-01-01T00:01:00.0000000Z"],
        [2, "", None, None, "", None, None, "1970-01-01T00:01:00.0000000Z"],
        [3, "", None, None, "user=ann took=00:00:07;", None, None, None],
    ]
    first = asked(f"App_CL | where _Seq == 1 | extend user, Data | project Data.user, {names}").rows
    assert first[0][0] == "eve", "the record is as it was"
    sql = f"SELECT {names}, Data, RawData FROM App_CL WHERE _Stream = 's1'"
    assert [column.type for column in asked(sql, language="sql").columns][:5] == [
        "long", "string", "string", "datetime", "string"
    ]  # fmt: skip


def test_a_transform_parses_and_computes_the_fields_of_its_streams(tmp_path: Path) -> None:
    transform = (
        "source | parse Text with * 'user=' user ' ' * | extend Text = strcat(user, '!'), twice = n * 2"
    )
    declared = (Column("user", "string"), Column("Text", "string"), Column("twice", "long"))
    schema = table_schema("App_CL", declared, (Computed(SOURCE, transform, ("s",)),))
    raw = '{"Text": "x user=ann y", "n": "21"}'
    files = TableFiles(
        schema, (write_parquet(tmp_path / "app.parquet", schema, [row(0, raw) | {"_Stream": "s"}]),)
    )
    text = "App_CL | where user == 'ann' | project user, Text, twice, RawData"
    found = execute(QueryRequest(text=text, language="kql", tables=(files,)))
    assert found.rows == [["ann", "ann!", 42, raw]]


def test_a_column_that_was_declared_otherwise_since_is_the_field(tmp_path: Path) -> None:
    asked = shaped(tmp_path, "source | extend user = n + 1", (Column("user", "string"),))
    assert asked("App_CL | sort by _Seq asc | project user").rows == [[""], ["eve"], [""], [""]]


def test_a_declared_resource_is_whose_the_rows_are(tmp_path: Path) -> None:
    schema = table_schema("App_CL", (Column("_ResourceId", "string"),))
    rows = [row(0, '{"_ResourceId": "/subscriptions/S/x"}'), row(1, '{"_ResourceId": "/other"}'), row(2, "x")]
    files = TableFiles(schema, (write_parquet(tmp_path / "app.parquet", schema, rows),))
    found = execute(
        QueryRequest(
            text="App_CL | project _Seq", language="kql", tables=(files,), resource="/subscriptions/s"
        )
    )
    assert found.rows == [[0]]
