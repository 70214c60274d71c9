"""Runs KQL on Spark: the same files, the same answers. PySpark is an extra: who opens a session loads it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
from sqlglot import exp

from gapless import clock
from gapless.model.errors import GaplessError, Refused, Unavailable
from gapless.model.tables import SYSTEM_COLUMNS
from gapless.query.engine import check_files, check_length, out_of_time
from gapless.query.kql.errors import KqlError
from gapless.query.kql.translate import Question, Translation, translate_knowing
from gapless.query.request import QueryRequest, QueryResult, TableFiles
from gapless.query.results import answer_of
from gapless.query.sandbox import limit_memory, open_connection
from gapless.query.spark.batches import Batches
from gapless.query.spark.functions import BatchFunctions
from gapless.query.spark.kinds import KINDS_OF_TABLES, spark_type
from gapless.query.spark.refused import refuse
from gapless.query.spark.statements import Statements

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: What the meaning of a query depends on.
_SETTINGS = {
    "spark.sql.ansi.enabled": "true",  # what overflows fails
    "spark.sql.caseSensitive": "true",  # as names are in KQL
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.variable.substitute": "false",  # ${...} in a text is that text
    "spark.sql.groupByOrdinal": "true",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",  # times before 1900 are what they say
}
_MESSAGE_CHARACTERS_MAX = 300
_CANCEL_EVERY_S = 0.5


def open_session(master: str, **settings: str) -> SparkSession:
    """A session of the cluster at ``master`` (``local[2]``: two threads of this machine). ``settings`` are
    Spark's own, with ``_`` for ``.``. A cluster's executors need this package, too."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(master).appName("gapless")
    if master.startswith("local"):
        own = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"}
        own |= {"spark.driver.bindAddress": "127.0.0.1"}
        # Its workers are of this environment.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = builder.config(map=own)
    return builder.config(
        map={name.replace("_", "."): value for name, value in settings.items()}
    ).getOrCreate()


def execute(request: QueryRequest, session: SparkSession) -> QueryResult:
    """Answer a query in KQL as ``engine.execute`` does. Of its limits, memory and threads are the cluster's;
    a query that takes longer than it may is cancelled there.

    Raises KqlError for what Spark cannot do, with line and column; Refused; OutOfTime; Unavailable.
    """
    if request.language != "kql" or request.explain or request.resource:
        raise Refused("Spark answers queries in KQL alone: without --explain, and not those of one resource")
    query = _Query(request, session)
    with query.within_time():
        return query.answer()


class _Query:
    def __init__(self, request: QueryRequest, session: SparkSession) -> None:
        self._request = request
        # Views and functions of its own, on the same cluster.
        self._session = session.newSession()
        for name, value in _SETTINGS.items():
            self._session.conf.set(name, value)
        self._is_late = False

    def answer(self) -> QueryResult:
        started_ns = time.monotonic_ns()
        request, limits = self._request, self._request.limits
        check_length(request)
        refuse(request.text)
        translation = self._translation()
        reads = self._reads(translation.tables)
        rows = self._rows(translation.select, translation.tables).limit(limits.rows_max + 1)
        columns, taken = _taken(rows.toArrow(), translation, request)
        return QueryResult(
            columns=columns,
            rows_json=msgspec.Raw(taken.rows_json),
            truncated=taken.truncated,
            elapsed_us=(time.monotonic_ns() - started_ns) // 1000,
            scanned_files=sum(len(files.paths) for files in reads),
            tables=tuple(files.table.name for files in reads),
            drawn_as=translation.drawn_as,
        )

    def _translation(self) -> Translation:
        """The query's translation, once its questions are answered."""
        request = self._request
        tables = [files.table for files in request.tables]
        facts: list[Sequence[Sequence[Any]]] = []
        now_us = clock.now_us()
        while True:
            found = translate_knowing(facts, request.text, tables, now_us)
            if isinstance(found, Translation):
                return found
            facts.append(self._fact(found))

    def _fact(self, question: Question) -> Sequence[Sequence[Any]]:
        with contextlib.closing(open_connection()) as connection:
            connection.register("answer", self._rows(question.select, question.tables).toArrow())
            return connection.execute("SELECT * FROM answer").fetchall()

    def _reads(self, names: Sequence[str]) -> list[TableFiles]:
        return [files for files in self._request.tables if files.table.name in names]

    def _rows(self, select: exp.Expression, names: Sequence[str]) -> DataFrame:
        """The rows of DuckDB's SELECT over the tables of those names."""
        from pyspark.sql.functions import arrow_udf

        reads = self._reads(names)
        check_files(self._request, sum(len(files.paths) for files in reads))
        functions = BatchFunctions()
        statements = Statements({files.table.name: files.table for files in reads}, functions)
        try:
            sql = statements.query(select).sql("spark")
        except KqlError as error:
            raise error.located(self._request.text) from None
        for files in reads:
            self._rows_of(files).createOrReplaceTempView(files.table.name)
        for name, batches, kind in functions.all():
            self._session.udf.register(name, arrow_udf(_function(batches), spark_type(kind)))
        return self._session.sql(sql)

    def _rows_of(self, files: TableFiles) -> DataFrame:
        """A table as ``views.create_view`` has it."""
        columns = [
            (each.name, KINDS_OF_TABLES[each.type]) for each in (*files.table.columns, *SYSTEM_COLUMNS)
        ]
        schema = ", ".join(f"`{name.replace('`', '``')}` {spark_type(kind)}" for name, kind in columns)
        if files.paths:
            rows = self._session.read.schema(schema).parquet(*files.paths)
        else:
            rows = self._session.createDataFrame([], schema)
        is_declared = any(each.name == "TimeGenerated" for each in files.table.declared)
        for sign, us in ((">=", self._request.from_us), ("<", self._request.to_us)):
            if us is not None and is_declared:
                raise Refused(f"the window of {files.table.name} must be in the query on Spark: use where")
            if us is not None:
                rows = rows.where(f"TimeGenerated {sign} timestamp_micros({us})")
        return rows

    @contextlib.contextmanager
    def within_time(self) -> Iterator[None]:
        """Cancels what the query does on the cluster when its time is over."""
        from py4j.protocol import Py4JJavaError
        from pyspark.errors import PySparkException

        context, tag = self._session.sparkContext, uuid.uuid4().hex
        done = threading.Event()

        def cancel() -> None:
            left_s = self._request.limits.time_s_max
            while not done.wait(left_s):
                # Again and again: a job that has not begun yet is not cancelled.
                self._is_late, left_s = True, _CANCEL_EVERY_S
                context.cancelJobsWithTag(tag)

        context.addJobTag(tag)
        watching = threading.Thread(target=cancel, daemon=True)
        watching.start()
        try:
            yield
        except (PySparkException, Py4JJavaError) as error:
            raise self._explained(error) from None
        finally:
            done.set()
            watching.join()
            context.removeJobTag(tag)

    def _explained(self, error: Exception) -> GaplessError:
        if self._is_late:
            return out_of_time(self._request)
        # A worker's failure ends with what it was, after its traceback.
        lines = [line for line in str(error).split("\n\n")[0].splitlines() if line.strip()]
        message = (lines[-1] if "Traceback" in str(error) else lines[0])[:_MESSAGE_CHARACTERS_MAX]
        return Unavailable(f"Spark could not answer: {message}")


def _function(batches: Batches) -> Callable[..., pa.Array]:
    """As Spark wants it: it looks at the types that a function says it takes and gives."""

    def compute(*arrays: pa.Array) -> pa.Array:
        return batches(*arrays)

    return compute


def _taken(answer: pa.Table, translation: Translation, request: QueryRequest) -> Any:
    """The columns of the answer, and its rows within the limits."""
    with contextlib.closing(open_connection()) as connection:
        limit_memory(connection, request.limits.memory_bytes_max)
        connection.register("answer", answer)
        return answer_of(connection, "answer", translation.columns, request)
