"""Azure Monitor's Log Analytics query API, over a tenant's tables.

A tenant has one workspace, whose id is the tenant's name or GUID (``gapless.gateway.tenants``). Whoever asks
for a resource sees the rows of its tenant that say by ``_ResourceId`` that they are the resource's.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gapless import clock
from gapless.gateway.access import Access, forbidden
from gapless.gateway.bodies import declared_bytes, decode_json, read_body
from gapless.gateway.problems import Problem, json_response, status_of, text_of
from gapless.gateway.tenants import means, tenant_guid
from gapless.gateway.tokens import EVERY_TENANT, Token
from gapless.model.errors import Corrupt, GaplessError, Refused
from gapless.model.stream import check_name
from gapless.platform.completeness import Completeness
from gapless.platform.queries import BODY_BYTES_MAX, BODY_TIMEOUT_S
from gapless.platform.rows_response import RowsResponse
from gapless.platform.tenant_queries import TenantQueries, unless_gone
from gapless.query.failures import OutOfTime
from gapless.query.log_analytics.answers import Answer, AnswerTable, answer, failure
from gapless.query.log_analytics.metadata import metadata
from gapless.query.log_analytics.prefer import preferences
from gapless.query.log_analytics.timespan import window_us
from gapless.query.request import QueryLimits, QueryRequest, ResultColumn

#: Said with every answer; a request that has it with the value "table" gets the table Completeness, too.
COMPLETENESS = "X-Gapless-Completeness"

#: The API's own bounds on an answer and on a batch. A batch's answers share the bytes of one.
_ROWS_MAX = 500_000
_RESULT_BYTES_MAX = 64 << 20
_BATCH_MAX = 100
#: Queries of one batch that are under way at once: one tenant must not fill the pool by one request.
_BATCH_AT_ONCE = 2

_WORKSPACE = re.compile(
    r"/?subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.operationalinsights/workspaces/([^/]+)/?\Z",
    re.IGNORECASE,
)
_COLUMNS = (
    ResultColumn("Verdict", "string"),
    ResultColumn("Through", "datetime"),
    ResultColumn("Missing", "long"),
    ResultColumn("Lost", "long"),
    ResultColumn("Quarantined", "long"),
    ResultColumn("HoldingBack", "dynamic"),
)


class AzureQuery(msgspec.Struct, frozen=True):
    """A query in KQL. ``timespan``: an ISO 8601 duration or interval that TimeGenerated must be in, besides
    what the query says. ``workspaces``: further workspaces, which can only be the same one here."""

    query: str
    timespan: str | None = None
    workspaces: tuple[str, ...] | None = None


class BatchedQuery(msgspec.Struct, frozen=True):
    """One query of a batch. ``headers`` are as those of a request of its own."""

    id: str
    workspace: str
    body: AzureQuery
    headers: dict[str, str] | None = None


class QueryBatch(msgspec.Struct, frozen=True):
    """Up to 100 queries."""

    requests: tuple[BatchedQuery, ...]


class BatchedAnswer(msgspec.Struct, frozen=True):
    """What a request of its own would have been answered."""

    id: str
    status: int
    headers: dict[str, str]
    body: Answer


class BatchAnswer(msgspec.Struct, frozen=True):
    """The answers, in the order of the requests."""

    responses: tuple[BatchedAnswer, ...]


class LogAnalytics:
    """The handlers. Whoever goes away before the answer takes the queries along."""

    def __init__(self, access: Access, queries: TenantQueries) -> None:
        self._access = access
        self._queries = queries

    async def workspace(self, request: Request) -> Response:
        """``/v1/workspaces/{workspace}/query``"""
        return await self._query(request, request.path_params["workspace"], "")

    async def resource(self, request: Request) -> Response:
        """``/v1/{resource}/query``"""
        resource = "/" + request.path_params["resource"].strip("/")
        workspace = _WORKSPACE.match(resource)
        return await self._query(request, workspace[1] if workspace else None, "" if workspace else resource)

    async def batch(self, request: Request) -> Response:
        """``/v1/$batch``"""
        token = self._token(request)
        asked = decode_json(await _body(request), QueryBatch, "a batch of queries")
        if len(asked.requests) > _BATCH_MAX:
            raise Problem(400, "body", f"a batch has at most {_BATCH_MAX} requests: send more of them")
        bytes_max = _RESULT_BYTES_MAX // max(1, len(asked.requests))
        turn = asyncio.Semaphore(_BATCH_AT_ONCE)

        async def answered(each: BatchedQuery) -> BatchedAnswer:
            async with turn:
                try:
                    headers = {name.lower(): value for name, value in (each.headers or {}).items()}
                    body, known = await self._answered(
                        token, each.workspace, "", each.body, headers, bytes_max
                    )
                    return BatchedAnswer(each.id, 200, {COMPLETENESS: completeness_header(known)}, body)
                except GaplessError as error:
                    problem = as_problem(error)
                    said = Answer(error=failure(problem.code, text_of(problem)).error)
                    return BatchedAnswer(each.id, status_of(problem), {}, said)

        async def all_answered() -> BatchAnswer:
            async with asyncio.TaskGroup() as answering:
                tasks = [answering.create_task(answered(each)) for each in asked.requests]
            return BatchAnswer(tuple(task.result() for task in tasks))

        return json_response(await unless_gone(request, all_answered()))

    async def metadata(self, request: Request) -> Response:
        """``/v1/workspaces/{workspace}/metadata``"""
        token = self._token(request)
        tenant = _tenant(token, request.path_params["workspace"], ())
        schemas = await self._queries.schemas(token, tenant)
        return json_response(metadata(schemas, tenant, tenant_guid(tenant)))

    async def _query(self, request: Request, workspace: str | None, resource: str) -> Response:
        token = self._token(request)
        if request.method == "GET":
            asked = _of_parameters(request.query_params)
        else:
            asked = decode_json(await _body(request), AzureQuery, "a query")
        try:
            answering = self._answered(token, workspace, resource, asked, request.headers, _RESULT_BYTES_MAX)
            body, known = await unless_gone(request, answering)
        except GaplessError as error:
            raise as_problem(error) from error
        primary, *more = body.tables

        def with_rows(rows: msgspec.Raw) -> Answer:
            return msgspec.structs.replace(body, tables=(msgspec.structs.replace(primary, rows=rows), *more))

        return RowsResponse(with_rows, primary.rows, {COMPLETENESS: completeness_header(known)})

    def _token(self, request: Request) -> Token:
        if "authorization" not in request.headers:
            raise Problem(401, "AuthenticationFailed", "the Authorization header is missing: send a token")
        return self._access.require(request, "read")

    async def _answered(
        self,
        token: Token,
        workspace: str | None,
        resource: str,
        asked: AzureQuery,
        headers: Mapping[str, str],
        bytes_max: int,
    ) -> tuple[Answer, Completeness]:
        tenant = _tenant(token, workspace, asked.workspaces or ())
        preferred = preferences(headers.get("prefer", ""))
        from_us, to_us = window_us(asked.timespan, clock.now_us())
        query = QueryRequest(
            text=asked.query,
            language="kql",
            from_us=from_us,
            to_us=to_us,
            resource=resource,
            dynamic_as_text=True,
            limits=QueryLimits(rows_max=_ROWS_MAX, result_bytes_max=bytes_max, time_s_max=preferred.wait_s),
        )
        result, known = await self._queries.ask(token, tenant, query)
        wants_table = headers.get(COMPLETENESS.lower(), "").strip().lower() == "table"
        more = (_completeness_table(known),) if wants_table else ()
        return answer(result, more=more, statistics=preferred.statistics, render=preferred.render), known


def as_problem(error: GaplessError) -> Problem | GaplessError:
    """``error`` with the status that this API gives it."""
    match error:
        case Problem() if error.status != 422:
            return error
        case OutOfTime():
            return Problem(504, error.code, str(error))
        case Refused():
            return Problem(400, error.code, str(error))
        case Corrupt():
            return Problem(500, error.code, str(error))
    return error


def completeness_header(known: Completeness) -> str:
    """A structured field (RFC 9651): the verdict, and what it is made of."""
    through = f';through="{known.through}"' if known.through else ""
    return (
        f"{known.verdict}{through};missing={known.missing};lost={known.lost};quarantined={known.quarantined}"
    )


def _completeness_table(known: Completeness) -> AnswerTable:
    through = known.through and known.through.replace("Z", "0Z")  # seven digits
    row = (
        known.verdict,
        through,
        known.missing,
        known.lost,
        known.quarantined,
        msgspec.json.encode(known.holding_back).decode(),
    )
    return AnswerTable("Completeness", _COLUMNS, msgspec.Raw(msgspec.json.encode([row])))


def _tenant(token: Token, workspace: str | None, more: tuple[str, ...]) -> str:
    """The tenant whose workspace it is; None is the one that the token is for. Raises Problem 403 if it is
    another's, or if ``more`` names another's."""
    names = [*([] if workspace is None else [workspace]), *map(_workspace_of, more)]
    tenant = token.tenant
    if tenant == EVERY_TENANT:
        if not names:
            raise forbidden("a token of every tenant does not say whose resource it is: use a tenant's own")
        tenant = check_name("workspace", names[0])
    for name in names:
        if not means(name, tenant):
            raise forbidden(f"this token is not for the workspace {name[:80]!r}: use one that is")
    return tenant


def _workspace_of(name: str) -> str:
    found = _WORKSPACE.match(name)
    return found[1] if found else name


def _of_parameters(given: Mapping[str, str]) -> AzureQuery:
    if "query" not in given:
        raise Problem(400, "body", "there is no query: give ?query=...")
    named = tuple(name for name in given.get("workspaces", "").split(",") if name)
    return AzureQuery(given["query"], given.get("timespan"), named)


async def _body(request: Request) -> bytearray:
    declared_bytes(request, BODY_BYTES_MAX)
    return await read_body(request, bytes_max=BODY_BYTES_MAX, timeout_s=BODY_TIMEOUT_S)
