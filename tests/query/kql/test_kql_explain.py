"""What --explain shows: each operation, columns by their names, what is shared once, and the SQL itself."""

from __future__ import annotations

import re

import msgspec
import pytest

from gapless.model.errors import Refused
from gapless.model.tables import known_tables
from gapless.query.engine import execute
from gapless.query.request import QueryRequest, TableFiles

TABLES = tuple(TableFiles(known_tables()[name]) for name in ("SigninLogs", "AuditLogs"))


def explain(text: str, language: str = "kql") -> dict[str, str]:
    request = QueryRequest(text=text, language=language, tables=TABLES, explain=True)  # type: ignore[arg-type]
    return dict(execute(request).rows)  # type: ignore[arg-type]


def test_operations_are_told_from_the_answer_down_to_the_tables() -> None:
    forms = explain(
        'SigninLogs | where ResultType != "0" | join kind=leftouter AuditLogs on CorrelationId'
        " | summarize n = count() by UserPrincipalName | top 3 by n"
    )
    operations = [line.split()[0] for line in forms["relational"].splitlines()]
    assert operations[:6] == ["answer", "sort", "first", "aggregate", "extend", "join"]
    assert operations[6:] == ["extend", "filter", "scan", "extend", "scan"]
    assert "scan SigninLogs (CorrelationId, ResultType, UserPrincipalName)" in forms["relational"]
    assert "scan AuditLogs (CorrelationId)" in forms["relational"]


def test_what_is_read_twice_is_told_once() -> None:
    forms = explain(
        "let t = materialize(SigninLogs | where IsRisky); t | union t | extend all = toscalar(t | count)"
    )
    assert forms["relational"].count("scan SigninLogs") == 1
    told = re.findall(r"^shared \d+(?: \(computed once\))?$", forms["relational"], re.MULTILINE)
    read = re.findall(r"read (shared \d+(?: \(computed once\))?)$", forms["relational"], re.MULTILINE)
    assert len(told) == len(set(told)) < len(read)
    assert set(read) == set(told)


def test_the_sql_is_what_would_run() -> None:
    forms = explain("SigninLogs | where ResultType == '50126' | count")
    request = QueryRequest(text=forms["sql"], language="sql", tables=TABLES)
    assert msgspec.json.decode(execute(request).rows_json) == [[0]]


def test_sql_is_its_own_explanation() -> None:
    assert explain("select 'it''s'", "sql") == {"sql": "select 'it''s'"}


def test_what_has_no_meaning_is_refused_as_ever() -> None:
    with pytest.raises(Refused, match="line 1, column 14"):
        explain("SigninLogs | wher true")
