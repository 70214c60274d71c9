"""Answers as people and programs get to see them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import msgspec
import pytest
from rich.console import Console

from gapless.query.render import csv_text, json_fields, ndjson, table
from gapless.query.request import QueryResult, ResultColumn, ResultType

_COLUMNS: tuple[tuple[str, ResultType], ...] = (
    ("When", "datetime"),
    ("n", "long"),
    ("who", "string"),
    ("ok", "bool"),
    ("more", "dynamic"),
)
ROWS: list[list[Any]] = [
    ["2024-09-01T00:00:00.000000Z", 2**70, 'a "quoted", line\nand another', True, {"a": [1, None]}],
    ["2024-09-01T00:00:01.000000Z", None, "", False, "text"],
]


def answer(rows: list[list[Any]], columns: tuple[tuple[str, ResultType], ...] = _COLUMNS) -> QueryResult:
    return QueryResult(
        columns=[ResultColumn(name, kind) for name, kind in columns],
        rows_json=msgspec.Raw(msgspec.json.encode(rows)),
        truncated=False,
        elapsed_us=1,
        scanned_files=1,
    )


def drawn(result: QueryResult, **more: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=200, color_system=None).print(table(result, **more))
    return out.getvalue()


def test_csv_reads_back() -> None:
    read = list(csv.reader(io.StringIO(csv_text(answer(ROWS)), newline="")))
    assert read == [
        ["When", "n", "who", "ok", "more"],
        [ROWS[0][0], str(2**70), ROWS[0][2], "true", '{"a":[1,null]}'],
        [ROWS[1][0], "", "", "false", "text"],
    ]


def test_ndjson_has_an_object_a_row() -> None:
    lines = ndjson(answer(ROWS)).split(b"\n")
    assert lines.pop() == b""
    assert [list(json.loads(line).values()) for line in lines] == ROWS
    assert list(json.loads(lines[0])) == ["When", "n", "who", "ok", "more"]


def test_json_has_columns_and_rows() -> None:
    encoded = json.loads(msgspec.json.encode(json_fields(answer(ROWS))))
    assert encoded["columns"][:2] == [{"name": "When", "type": "datetime"}, {"name": "n", "type": "long"}]
    assert encoded["rows"] == ROWS


def test_an_empty_answer_still_has_its_columns() -> None:
    empty = answer([])
    assert csv_text(empty) == "When,n,who,ok,more\r\n"
    assert ndjson(empty) == b""
    assert "When" in drawn(empty)


def test_a_table_shows_each_value() -> None:
    shown = drawn(answer(ROWS))
    for piece in ("When", "2024-09-01T00:00:00.000000Z", str(2**70), "null", "true", '{"a":[1,null]}'):
        assert piece in shown


@pytest.mark.parametrize("harm", ["\x1b[2J", "\x9b2J", "\x07", "\r", "\u202e", "\x00", "[bold red]", "[/]"])
def test_a_table_shows_what_a_terminal_would_act_upon(harm: str) -> None:
    shown = drawn(answer([[f"<{harm}>"]], ((f"name{harm}", "string"),)))
    for character in harm:
        assert (character in shown) == character.isprintable()
    assert shown.count("[bold red]" if harm == "[bold red]" else "<") >= 1


def test_a_long_cell_is_cut_in_a_table_alone() -> None:
    long = answer([["x" * 1_000]], (("a", "string"),))
    assert "x" * 9 + "…" in drawn(long, cell_characters_max=10)
    assert "x" * 11 not in drawn(long, cell_characters_max=10)
    assert "x" * 1_000 in csv_text(long)
