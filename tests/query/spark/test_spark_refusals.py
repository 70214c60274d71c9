"""What Spark cannot do is refused by name and position, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from gapless.model.errors import Refused
from gapless.model.tables import Column, TableSchema
from gapless.query.failures import OutOfTime
from gapless.query.kql.errors import KqlError
from gapless.query.kql.translate import translate
from gapless.query.request import QueryLimits
from gapless.query.spark.functions import BatchFunctions
from gapless.query.spark.refused import FUNCTIONS, OPERATORS, refuse
from gapless.query.spark.statements import Statements

EVENTS = TableSchema("Events", (Column("TimeGenerated", "datetime"), Column("Id", "long")))
TABLE = "datatable(t: datetime, k: string, n: long, d: dynamic)[]"
REFUSED = {
    "partition": f"{TABLE}\n| partition by k (take 1)",
    "sample": f"{TABLE}\n| sample 1",
    "scan": f"{TABLE}\n| scan with (step s: true;)",
    "rand": f"{TABLE}\n| extend r = rand()",
    "row_window_session": f"{TABLE}\n| sort by t asc | extend s = row_window_session(t, 1h, 1m)",
}


@pytest.mark.parametrize("name", [*OPERATORS, *FUNCTIONS])
def test_refused_with_its_place(name: str) -> None:
    text = REFUSED[name]
    translate(text, ())  # DuckDB can do it
    column = text.splitlines()[1].index(name) + 1
    with pytest.raises(
        KqlError, match=f"line 2, column {column}: (operator|function) {name} on Spark is not"
    ):
        refuse(text)


@pytest.mark.parametrize("name", [*OPERATORS, *FUNCTIONS])
def test_refused_however_it_is_called(name: str) -> None:
    """What looks at the text alone is no more than the better message: the SQL itself is refused, too."""
    with pytest.raises(KqlError, match="on Spark is not supported"):
        Statements({}, BatchFunctions()).query(translate(REFUSED[name], ()).select)


@pytest.mark.parametrize(
    "text",
    [
        "Events | serialize r = row_number()",
        "datatable(n: long)[1] | extend b = iff(n in ((datatable(m: long)[1])), toupper('a'), strcat(n, ''))",
    ],
)
def test_sql_that_spark_lacks(text: str) -> None:
    with pytest.raises(KqlError, match="on Spark is not supported"):
        Statements({"Events": EVENTS}, BatchFunctions()).query(translate(text, [EVENTS]).select)


def test_limits_on_what_is_read(session: Any, ask: Any) -> None:
    from gapless.query.spark.engine import execute

    for limits, what in (
        ({"text_bytes_max": 5}, "longer than 5 bytes"),
        ({"files_max": 1}, "more than 1 files"),
    ):
        with pytest.raises(Refused, match=what):
            execute(ask("union SigninLogs, AuditLogs | count", limits=QueryLimits(**limits)), session)
    with pytest.raises(KqlError, match="line 2, column 3"):
        execute(ask("SigninLogs\n| wehre 1"), session)


def test_only_kql(session: Any, ask: Any) -> None:
    from gapless.query.spark.engine import execute

    with pytest.raises(Refused, match="KQL alone"):
        execute(ask("SigninLogs | count", explain=True), session)


def test_only_the_tenants_rows(session: Any, ask: Any) -> None:
    """The other tenant's rows are in the same lake, and not among the files of the catalogue's answer."""
    from gapless.query.spark.engine import execute

    ((count,),) = execute(ask("SigninLogs | count"), session).rows
    assert count == 900
    with pytest.raises(KqlError, match="there is no table parquet"):
        execute(ask("parquet | count"), session)


def test_window_and_limits(session: Any, ask: Any) -> None:
    from gapless.query import engine
    from gapless.query.spark.engine import execute

    first, last = 1_725_150_000_000_000, 1_725_153_600_000_000
    request = ask("SigninLogs | sort by TimeGenerated asc, Id asc | project Id", from_us=first, to_us=last)
    assert execute(request, session).rows == engine.execute(request).rows
    cut = execute(ask("SigninLogs | project Id", limits=QueryLimits(rows_max=5, time_s_max=300.0)), session)
    assert cut.truncated and len(cut.rows) == 5


def test_out_of_time(session: Any, ask: Any) -> None:
    from gapless.query.spark.engine import execute

    text = (
        "range x from 1 to 1000000 step 1 | extend k = 1 | join kind=inner (range y from 1 to 1000000 step 1"
    )
    text += " | extend k = 1) on k | where x * y % 1000003 == 7 | count"
    with pytest.raises(OutOfTime):
        execute(ask(text, limits=QueryLimits(time_s_max=2.0)), session)
