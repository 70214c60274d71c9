"""Asks the KQL engine in this process, without any table unless they are given."""

from __future__ import annotations

from typing import Any

from gapless.query.engine import execute
from gapless.query.request import QueryRequest, QueryResult, TableFiles


def result(text: str, *tables: TableFiles) -> QueryResult:
    """The answer to a query."""
    return execute(QueryRequest(text=text, language="kql", tables=tables))


def rows(text: str, *tables: TableFiles) -> list[list[Any]]:
    """The rows of the answer to a query."""
    return result(text, *tables).rows


def value(expression: str) -> Any:
    """The value of a scalar expression."""
    ((found,),) = rows(f"print x = {expression}")
    return found


def values(*expressions: str) -> list[Any]:
    """The values of scalar expressions, asked in one query."""
    (found,) = rows("print " + ", ".join(f"x{at} = {each}" for at, each in enumerate(expressions)))
    return found


def check(cases: dict[str, Any]) -> None:
    """That each expression has its value; numbers may differ in their last digits."""
    for (expression, wanted), found in zip(cases.items(), values(*cases), strict=True):
        assert found == wanted or _close(found, wanted), f"{expression} is {found!r}, not {wanted!r}"


def _close(found: Any, wanted: Any) -> bool:
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_close, found, wanted))
    if isinstance(found, dict) and isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(_close(found[key], wanted[key]) for key in found)
    if isinstance(found, float) and isinstance(wanted, int | float):
        return abs(found - wanted) <= 1e-9 * max(1.0, abs(wanted))
    return bool(found == wanted)
