"""Answers: tables of typed columns, and errors that say in their innermost part what is wrong."""

from __future__ import annotations

from typing import Any

import msgspec

from gapless.query.request import QueryResult, ResultColumn

#: Our codes, as that API has them. Those that stand below another are the innermost.
_CODES = {
    "unauthorized": "InvalidAuthenticationToken",
    "forbidden": "InsufficientAccessError",
    "busy": "ThrottledError",
    "query_timeout": "GatewayTimeout",
    "unavailable": "ServiceUnavailable",
    "unexpected": "InternalServerError",
    "timeout": "RequestTimeout",
    "too_large": "RequestEntityTooLarge",
}
_BAD_ARGUMENT = "BadArgumentError"
_INNER_CODES = {
    "query_syntax": "SyntaxError",
    "query_semantics": "SemanticError",
    "query_memory": "QueryTooExpensive",
    "body": "MalformedBody",
}


class InnerError(msgspec.Struct, frozen=True):
    """What is wrong exactly."""

    code: str
    message: str


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """``code`` is for programs; the innermost ``message`` says what to do."""

    code: str
    message: str
    innererror: InnerError | None = None
    details: tuple[InnerError, ...] = ()


class QueryFailed(msgspec.Struct, frozen=True):
    """The answer to a query that has none."""

    error: ErrorInfo


class AnswerTable(msgspec.Struct, frozen=True):
    """Rows as arrays, one value for each column. datetime: text with seven digits of fractions. timespan:
    ``[-][d.]hh:mm:ss[.fffffff]``. guid, decimal: text. dynamic: text, a string as it is, anything else as
    JSON. real: a number, or "NaN", "Infinity", "-Infinity"."""

    name: str
    columns: tuple[ResultColumn, ...]
    rows: msgspec.Raw


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """``error`` has the code PartialError where a limit cut the rows; without tables, in a batch, it is why
    there are none."""

    tables: tuple[AnswerTable, ...] = ()
    statistics: dict[str, Any] | None = None
    render: dict[str, Any] | None = None
    error: ErrorInfo | None = None


def answer(
    result: QueryResult, *, more: tuple[AnswerTable, ...] = (), statistics: bool = False, render: bool = False
) -> Answer:
    """``result`` with ``more`` tables, and with what else was asked for."""
    primary = AnswerTable("PrimaryResult", tuple(result.columns), result.rows_json)
    return Answer(
        (primary, *more),
        statistics=_statistics(result) if statistics else None,
        render={"visualization": result.drawn_as or "table"} if render else None,
        error=_cut() if result.truncated else None,
    )


def failure(code: str, text: str) -> QueryFailed:
    """The answer to what was not done, from our own ``code`` and ``text``."""
    if code in _CODES or code[:1].isupper():
        return QueryFailed(ErrorInfo(_CODES.get(code, code), text))
    inner = InnerError(_INNER_CODES.get(code, _BAD_ARGUMENT), text)
    return QueryFailed(ErrorInfo(_BAD_ARGUMENT, "The request had some invalid properties", inner))


def _cut() -> ErrorInfo:
    inner = InnerError(
        "ResultTooLarge", "The rows are cut at a limit of this platform: filter, or ask for fewer columns"
    )
    return ErrorInfo("PartialError", "The answer does not have all rows", inner, (inner,))


def _statistics(result: QueryResult) -> dict[str, Any]:
    return {
        "query": {
            "executionTime": result.elapsed_us / 1e6,
            "inputDatasetStatistics": {"extents": {"scanned": result.scanned_files}},
        }
    }
