"""Runs one query in this process: check, lock, views, rows."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import msgspec

from gapless import clock
from gapless.model.errors import Corrupt, GaplessError, Refused, Unavailable
from gapless.query import allowed
from gapless.query.check import Checked, check
from gapless.query.failures import OutOfMemory, OutOfTime
from gapless.query.languages import Question, Statement, to_sql
from gapless.query.request import QueryRequest, QueryResult
from gapless.query.results import answer_of
from gapless.query.sandbox import TOP_ROWS_MAX, limit_memory, lock, open_connection
from gapless.query.views import create_view

_MESSAGE_CHARACTERS_MAX = 500
_DETAILS = re.compile(r"\n\n|Candidate functions:")
_CALLS_COMPUTED = re.compile(rf"\b(?:{'|'.join(allowed.COMPUTED)})\(", re.IGNORECASE)
#: What the engine puts before the words with which a computed function refuses.
_FROM_COMPUTED = re.compile(
    r"Invalid Input Error: Python exception occurred while executing the UDF: ValueError: "
)
_LINE = re.compile(r"^LINE (\d+):", re.MULTILINE)


class Query:
    """A query that has been checked, on a connection of ``open_connection`` that serves nothing else.

    ``paths`` are the files that it is going to read. Raises Refused (the text, or a limit), and Corrupt or
    Unavailable as ``run`` does.
    """

    def __init__(self, request: QueryRequest, connection: duckdb.DuckDBPyConnection) -> None:
        self._started_ns = time.monotonic_ns()
        self._request = request
        self._connection = connection
        check_length(request)
        self._now_us = clock.now_us()
        self._facts: list[Sequence[Sequence[Any]]] = []
        self._computed: set[str] = set()
        self._statement = self._as_sql()
        with _explaining(request):
            limit_memory(connection, request.limits.memory_bytes_max)
            self._checked = self._check(self._statement)
        names = self._statement.tables if isinstance(self._statement, Question) else self._checked.tables
        self._reads = [files for files in request.tables if files.table.name in names]
        self.paths = [path for files in self._reads for path in files.paths]
        check_files(request, len(self.paths))

    def _as_sql(self) -> Statement | Question:
        request = self._request
        tables = (files.table for files in request.tables)
        return to_sql(
            request.text,
            request.language,
            tables,
            now_us=self._now_us,
            facts=self._facts,
            explain=request.explain,
        )

    def _check(self, statement: Statement | Question) -> Checked:
        """What the statement is once it is checked, and the engine knows the functions that it calls."""
        checked = check(self._connection, statement.sql, (files.table.name for files in self._request.tables))
        if _CALLS_COMPUTED.search(statement.sql):
            # Not at the top: few queries need it, and it takes longer to load than they take.
            from gapless.query.computed.registry import register

            register(self._connection, statement.sql, self._computed)
        return checked

    def run(self) -> QueryResult:
        """Lock the connection and answer, once. Raises Refused (the text, or a limit), Unavailable (a file is
        gone: resolve the files again and retry) and Corrupt (a file is not readable as Parquet)."""
        with _explaining(self._request):
            return self._answer()

    def _answer(self) -> QueryResult:
        request, connection = self._request, self._connection
        lock(connection, self.paths, request.limits)
        # What a question's answer leads to may read any column.
        read = None if isinstance(self._statement, Question) else self._statement.columns_read
        for files in self._reads:
            wanted = None if read is None else read.get(files.table.name, frozenset())
            create_view(connection, files, wanted, request.from_us, request.to_us, request.resource)
        statement = self._settled()
        subquery = self._checked.subquery
        columns, fetched = answer_of(connection, subquery, statement.columns, request)
        return QueryResult(
            columns=columns,
            rows_json=msgspec.Raw(fetched.rows_json),
            truncated=fetched.truncated,
            elapsed_us=(time.monotonic_ns() - self._started_ns) // 1000,
            scanned_files=len(self.paths),
            tables=tuple(files.table.name for files in self._reads),
            drawn_as=statement.drawn_as,
        )

    def _settled(self) -> Statement:
        """The statement, once its questions are answered."""
        while isinstance(self._statement, Question):
            answer = self._connection.execute(f"SELECT * FROM {self._checked.subquery}").fetchall()
            self._facts.append(answer)
            self._statement = self._as_sql()
            self._checked = self._check(self._statement)
        return self._statement


def execute(request: QueryRequest) -> QueryResult:
    """Answer ``request`` in this process. Raises what ``Query`` raises.

    Limits that can only be kept by ending a process (a value of many GB, a step that does not look at the
    clock) are not kept here: see ``pool``.
    """
    with contextlib.closing(open_connection()) as connection:
        return Query(request, connection).run()


def check_length(request: QueryRequest) -> None:
    """Raise Refused if the text is longer than it may be."""
    bytes_max = request.limits.text_bytes_max
    if len(request.text.encode(errors="replace")) > bytes_max:
        raise Refused(f"the query is longer than {bytes_max} bytes: make it shorter")


def check_files(request: QueryRequest, files: int) -> None:
    """Raise Refused if a query of so many files may not read them all."""
    if files > request.limits.files_max:
        raise Refused(f"the query reads more than {request.limits.files_max} files: narrow --from and --to")


@contextlib.contextmanager
def _explaining(request: QueryRequest) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise _explained(error, request) from None
    except MemoryError:
        raise _out_of_memory(request) from None


def _explained(error: duckdb.Error, request: QueryRequest) -> GaplessError:
    """What the engine's failure means to the one who asked; paths of files stay out of it."""
    match error:
        case duckdb.OutOfMemoryException():
            return _out_of_memory(request)
        case duckdb.InterruptException():
            return out_of_time(request)
        case duckdb.PermissionException() | duckdb.IOException() if _lacks_a_file(request):
            return Unavailable("a data file was replaced while the query began: run it again")
        case duckdb.PermissionException():
            return Refused("the query reaches outside the tables: read tables by their names")
        case duckdb.IOException() | duckdb.HTTPException():
            return Unavailable("a data file cannot be read: see the platform's log, then run the query again")
        case duckdb.InternalError() | duckdb.FatalException():
            return Unavailable("the query engine failed inside: run the query again, or write it differently")
    message = _first_sentence(_FROM_COMPUTED.sub("", str(error)))
    for files in request.tables:
        for path in files.paths:
            if path in message:
                return Corrupt(f"a data file of {files.table.name} cannot be read: audit the lake's files")
    return Refused(message)


def _lacks_a_file(request: QueryRequest) -> bool:
    return not all(os.path.exists(path) for files in request.tables for path in files.paths)


def _first_sentence(message: str) -> str:
    """The engine's message with the line that it points at, without its excerpt of the text and its lists."""
    line = _LINE.search(message)
    summary = " ".join(_DETAILS.split(message)[0].split())[:_MESSAGE_CHARACTERS_MAX]
    # The text stands one line lower than its author wrote it: after the opening parenthesis.
    return f"{summary} (line {int(line[1]) - 1})" if line else summary


def _out_of_memory(request: QueryRequest) -> OutOfMemory:
    mebibytes = request.limits.memory_bytes_max >> 20
    return OutOfMemory(
        f"the query needs more than {mebibytes} MiB of memory: narrow --from and --to, give an ORDER BY a "
        f"LIMIT of up to {TOP_ROWS_MAX}, or aggregate before you sort and join"
    )


def out_of_time(request: QueryRequest) -> OutOfTime:
    """The refusal of a query that used up its time."""
    return OutOfTime(
        f"the query took longer than {request.limits.time_s_max:g} s: narrow --from and --to, "
        "or filter before you join"
    )
