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
