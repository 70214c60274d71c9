"""An answer for people (a table) and for programs (CSV, newline-delimited JSON, JSON)."""

from __future__ import annotations

import csv
import io
import unicodedata
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from gapless.query.request import QueryResult

_NUMBERS = frozenset({"int", "long", "real", "decimal"})

#: Unicode's categories of what a terminal would act upon instead of showing: controls, formats (among them
#: the marks that turn the direction of text), surrogates, line and paragraph separators.
_UNSHOWABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def table(result: QueryResult, cell_characters_max: int = 200) -> Table:
    """A table to print. What a log's author could do a terminal harm with is shown as its code point."""
    drawn = Table(show_edge=False, pad_edge=False)
    for column in result.columns:
        drawn.add_column(
            _shown(column.name, cell_characters_max),
            justify="right" if column.type in _NUMBERS else "left",
            overflow="fold",
        )
    for row in result.rows:
        drawn.add_row(*(_cell(value, cell_characters_max) for value in row))
    return drawn


def csv_text(result: QueryResult) -> str:
    """CSV (RFC 4180) with a line of column names. NULL is an empty field; a dynamic value is JSON text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(column.name for column in result.columns)
    for row in result.rows:
        writer.writerow(["" if value is None else _plain(value) for value in row])
    return out.getvalue()


def ndjson(result: QueryResult) -> bytes:
    """One JSON object a row, with its columns by name, each ended by a newline."""
    names = [column.name for column in result.columns]
    lines = [msgspec.json.encode(dict(zip(names, row, strict=True))) for row in result.rows]
    return b"".join(line + b"\n" for line in lines)


def json_fields(result: QueryResult) -> dict[str, Any]:
    """``columns`` and ``rows``, to encode by msgspec beside what else is said of the answer."""
    return {"columns": result.columns, "rows": result.rows_json}


def _cell(value: Any, characters_max: int) -> Text:
    if value is None:
        return Text("null", style="dim")
    return _shown(_plain(value), characters_max)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _shown(text: str, characters_max: int) -> Text:
    cut = text if len(text) <= characters_max else text[: characters_max - 1] + "…"
    return Text("".join(_showable(character) for character in cut))


def _showable(character: str) -> str:
    if unicodedata.category(character) in _UNSHOWABLE:
        return f"\\u{{{ord(character):x}}}"
    return character
