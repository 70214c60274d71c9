"""KQL over a tenant's tables: what is read, and that nothing else can be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from query_lake import Ask

from gapless.query.kql.translate import translate
from gapless.query.pool import QueryPool
from gapless.query.request import QueryRequest, TableFiles


def test_tables_are_those_that_the_text_reads(ask: Ask) -> None:
    assert ask("Events | count", language="kql").tables == ("Events",)
    assert ask("print 1", language="kql").tables == ()
    joined = "let unused = Alerts; Events | where Name in ((Alerts | project Title)) | count"
    assert sorted(ask(joined, language="kql").tables) == ["Alerts", "Events"]


def test_filter_bin_and_dynamic(ask: Ask) -> None:
    text = "Events | where TimeGenerated >= datetime(2024-09-01 00:01:00)"
    text += " | summarize n = count() by bin(TimeGenerated, 1m)"
    found = ask(f"{text} | sort by TimeGenerated asc | take 2", language="kql").rows
    assert found == [["2024-09-01T00:01:00.0000000Z", 60], ["2024-09-01T00:02:00.0000000Z", 60]]


def test_a_join_has_the_columns_that_every_table_has_of_both(ask: Ask) -> None:
    both = "Events | where Id == 1 | join kind=inner Events on Id | take 1 | project Type, Type1"
    assert ask(both, language="kql").rows == [["Events", "Events"]]
    right = "Events | where Id == 1 | project Id | join kind=inner Events on Id | take 1 | project Type"
    assert ask(right, language="kql").rows == [["Events"]]
    none = "Events | where Id == 1 | join kind=leftouter (Events | where Id == 2) on Id | take 1"
    assert ask(f"{none} | project Type, Type1, isempty(Type1)", language="kql").rows == [["Events", "", True]]
    semi = "Events | project Id | join kind=rightsemi Events on Id | take 1 | project Type"
    assert ask(semi, language="kql").rows == [["Events"]]


def test_conditions_reach_the_files(tables: tuple[TableFiles, ...]) -> None:
    """A time that is compared with a constant stays a column of the file, whose statistics can then help."""
    schemas = [files.table for files in tables]
    sql = translate("Events | where TimeGenerated > datetime(2024-09-01) and Name == 'x'", schemas).sql
    assert '"TimeGenerated" > CAST(\'2024-09-01' in sql
    assert "\"Name\" = 'x'" in sql


def test_only_needed_columns_are_read(tables: tuple[TableFiles, ...]) -> None:
    schemas = [files.table for files in tables]
    text = "Events | extend a = strcat(Name, 'x') | extend b = Level + 1 | where Id > 5 | project b"
    sql = translate(text, schemas).sql
    assert "Name" not in sql and sql.count("SELECT") == 1


def test_through_the_pool(request_for: Callable[..., QueryRequest]) -> None:
    async def ask_pool() -> list[list[object]]:
        async with QueryPool(workers_max=1) as pool:
            answered = await pool.run(request_for("Events | summarize n = count()", language="kql"))
            return answered.rows

    assert asyncio.run(ask_pool()) == [[300]]


def test_the_length_limit_is_of_the_text(ask: Ask) -> None:
    with pytest.raises(Exception, match="longer than"):
        ask("print " + "1" * 200, language="kql", text_bytes_max=100)
    assert ask("print 1", language="kql", text_bytes_max=100).rows == [[1]]
