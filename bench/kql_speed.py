"""KQL beside hand-written SQL: a part of ``python -m bench``.

Both read the same Parquet files, laid out as the lake's compaction leaves them, with the same threads, in
turn: hand-written DuckDB SQL on a plain connection, KQL as the query process answers it (translation, checks,
views and rows as JSON included). Beyond the first 200,000 records the rows are the same again, later in time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import duckdb

from bench.kql import generate
from bench.report import Row
from gapless.model.tables import known_tables
from gapless.query.engine import execute
from gapless.query.request import QueryLimits, QueryRequest, TableFiles

_GENERATED = 200_000
#: As compaction sorts them.
_ORDERS = {"SigninLogs": "UserPrincipalName, TimeGenerated", "AuditLogs": "TimeGenerated"}
#: What the lake stores with each record.
_SYSTEM_VALUES = (
    "CAST(NULL AS VARCHAR) AS _Extra, 'record' AS _TimeSource, TimeGenerated AS _IngestionTime,"
    " 'contoso/entra/host-7' AS _Stream, '01JABCDEFGHJKMNPQRSTVWXYZ0' AS _Epoch, row_number() OVER () AS _Seq"
)
_ROW_GROUP_ROWS = 20_000
_FILE_ROWS = 1_000_000
_THREADS = 2
_RATIO_MAX = 1.3
_LIMITS = QueryLimits(time_s_max=600.0, memory_bytes_max=8 << 30, threads_max=_THREADS)


class Pair(NamedTuple):
    """The same question twice. ``{SigninLogs}`` and ``{AuditLogs}`` stand for the files."""

    name: str
    kql: str
    sql: str


PAIRS = (
    Pair(
        "filter by user",
        'SigninLogs | where UserPrincipalName == "{user}"'
        " | project TimeGenerated, ResultType, IPAddress, AppDisplayName",
        "SELECT TimeGenerated, ResultType, IPAddress, AppDisplayName FROM {SigninLogs}"
        " WHERE UserPrincipalName = '{user}'",
    ),
    Pair(
        "count by hour",
        "SigninLogs | summarize count() by bin(TimeGenerated, 1h)",
        "SELECT time_bucket(INTERVAL 1 hour, TimeGenerated), count(*) FROM {SigninLogs} GROUP BY 1",
    ),
    Pair(
        "top by",
        "SigninLogs | top 100 by TimeGenerated desc | project TimeGenerated, UserPrincipalName, ResultType",
        "SELECT TimeGenerated, UserPrincipalName, ResultType FROM {SigninLogs}"
        " ORDER BY TimeGenerated DESC LIMIT 100",
    ),
    Pair(
        "dcount",
        "SigninLogs | summarize dcount(UserPrincipalName) by ResultType",
        "SELECT ResultType, count(DISTINCT UserPrincipalName) FROM {SigninLogs} GROUP BY 1",
    ),
    Pair(
        "dynamic field filter",
        'SigninLogs | where DeviceDetail.browser == "Edge 127.0.0" | summarize count() by ResultType',
        "SELECT ResultType, count(*) FROM {SigninLogs}"
        " WHERE json_extract_string(DeviceDetail, '$.browser') = 'Edge 127.0.0' GROUP BY 1",
    ),
    Pair(
        "has over a column",
        'SigninLogs | where UserAgent has "iphone" | summarize count() by Location',
        "SELECT Location, count(*) FROM {SigninLogs}"
        " WHERE regexp_matches(UserAgent, '(^|[^a-zA-Z0-9])iphone([^a-zA-Z0-9]|$)', 'i') GROUP BY 1",
    ),
    Pair(
        "join of two tables",
        "SigninLogs | where ResultType != '0' | join kind=inner (AuditLogs | where Result == 'failure')"
        " on CorrelationId | summarize count() by UserPrincipalName",
        "SELECT s.UserPrincipalName, count(*) FROM {SigninLogs} s JOIN {AuditLogs} a USING (CorrelationId)"
        " WHERE s.ResultType != '0' AND a.Result = 'failure' GROUP BY 1",
    ),
)


def speed_rows(directory: Path, rows: int, rounds: int) -> Iterable[Row]:
    """A row for each pair: the median of the rounds' ratios."""
    directory.mkdir()
    return _compared(_laid_out(directory, rows), rounds)


def _laid_out(directory: Path, rows: int) -> dict[str, tuple[str, ...]]:
    """The files of both tables, as compaction writes them: sorted, in row groups of its size."""
    generated = generate(directory, min(rows, _GENERATED), ("SigninLogs", "AuditLogs"))
    return {name: tuple(_files(directory, name, path, rows)) for name, path in generated.items()}


def _files(directory: Path, name: str, path: str, rows: int) -> Iterable[str]:
    span_s = min(rows, _GENERATED)
    for number, first in enumerate(range(0, rows, _FILE_ROWS)):
        copies = range(first // span_s, -(-min(rows, first + _FILE_ROWS) // span_s))
        shifted = " UNION ALL ".join(
            f"SELECT * REPLACE (TimeGenerated + INTERVAL {copy * span_s} second AS TimeGenerated)"
            f" FROM '{path}'"
            for copy in copies
        )
        target = directory / f"{name}.{number}.parquet"
        duckdb.sql(
            f"COPY (SELECT *, {_SYSTEM_VALUES} FROM ({shifted}) ORDER BY {_ORDERS[name]}) TO '{target}'"
            f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP_ROWS})"
        )
        yield str(target)


def _compared(files: dict[str, tuple[str, ...]], rounds: int) -> Iterable[Row]:
    tables = tuple(TableFiles(known_tables()[name], paths) for name, paths in files.items())
    sources = {name: f"read_parquet({list(paths)})" for name, paths in files.items()}
    user = duckdb.sql(f"SELECT UserPrincipalName FROM {sources['SigninLogs']} LIMIT 1").fetchall()[0][0]
    for pair in PAIRS:
        kql = pair.kql.replace("{user}", user)
        sql = pair.sql.replace("{user}", user).format(**sources)
        theirs, ours = [], []
        for _ in range(rounds):
            theirs.append(_seconds(partial(_plain, sql)))
            ours.append(_seconds(partial(_kql, kql, tables)))
        ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
        ratio = statistics.median(ratios)
        yield Row(
            part="kql",
            input=pair.name,
            figure="time against hand-written SQL",
            value=ratio,
            unit="x",
            goal=f"<= {_RATIO_MAX}",
            holds=ratio <= _RATIO_MAX,
            spread=(ratios[0], ratios[-1]),
            note=f"{statistics.median(ours):.2f} s against {statistics.median(theirs):.2f} s",
        )


def _plain(sql: str) -> int:
    with duckdb.connect(config={"threads": _THREADS}) as connection:
        return len(connection.sql(sql).to_arrow_table())


def _kql(text: str, tables: tuple[TableFiles, ...]) -> int:
    result = execute(QueryRequest(text=text, language="kql", tables=tables, limits=_LIMITS))
    return len(result.rows_json)


def _seconds(work: Callable[[], int]) -> float:
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s
