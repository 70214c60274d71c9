"""The Log Analytics query API on HTTP: its paths, and what they are described as."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.routing import Route

from gapless.gateway.openapi import Endpoint
from gapless.gateway.problems import Handler, guarded
from gapless.platform.log_analytics import (
    COMPLETENESS,
    AzureQuery,
    BatchAnswer,
    LogAnalytics,
    QueryBatch,
)
from gapless.query.log_analytics.answers import Answer, QueryFailed, failure
from gapless.query.log_analytics.metadata import Metadata

_ERRORS = (400, 408, 413, 429, 503, 504)
_SAID = (
    "As Azure Monitor's query API, in KQL. The header Prefer takes wait=SECONDS, include-statistics=true and "
    f"include-render=true. {COMPLETENESS} in the answer says whether the window is complete; with "
    f"{COMPLETENESS}: table in the request there is a table of it, too."
)


def log_analytics_endpoints(handlers: LogAnalytics) -> list[Endpoint]:
    """The endpoints; the one for resources is the last, since its path fits much."""

    def endpoint(method: str, path: str, handler: Handler, summary: str, said: str, **more: Any) -> Endpoint:
        return Endpoint(
            method, path, handler, summary, said, scope="read", errors=_ERRORS, failure=QueryFailed, **more
        )

    by_get = "Query parameters: query, timespan, workspaces. "
    both: list[tuple[str, str, dict[str, Any]]] = [("POST", "", {"body": AzureQuery}), ("GET", by_get, {})]
    batch = endpoint(
        "POST",
        "/v1/$batch",
        handlers.batch,
        "Ask several queries at once",
        "Each has its own status, headers and body in the answer.",
        body=QueryBatch,
        answer=BatchAnswer,
    )
    metadata = endpoint(
        "GET",
        "/v1/workspaces/{workspace}/metadata",
        handlers.metadata,
        "What tables a workspace has",
        "Each with the columns that queries see, and their types.",
        answer=Metadata,
    )
    paths = (
        ("/v1/workspaces/{workspace}/query", handlers.workspace, "Ask a workspace, as Azure's clients do"),
        ("/v1/{resource}/query", handlers.resource, "Ask for a resource's rows, as Azure's clients do"),
    )
    return [
        batch,
        metadata,
        *(
            endpoint(method, path, handler, summary, words + _SAID, answer=Answer, **more)
            for path, handler, summary in paths
            for method, words, more in both
        ),
    ]


def log_analytics_routes(endpoints: list[Endpoint], refused: Callable[[str], None]) -> list[Route]:
    """The routes of ``log_analytics_endpoints``, whose failures have the shape of that API."""
    return [
        Route(
            e.path.replace("{resource}", "{resource:path}"),
            guarded(e.handler, refused, failure),
            methods=[e.method],
        )
        for e in endpoints
    ]
