"""``POST /v1/query``: a tenant and a text, and the answer."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gapless.gateway.access import Access
from gapless.gateway.bodies import declared_bytes, decode_json, read_body
from gapless.model.stream import check_name
from gapless.platform.completeness import Completeness
from gapless.platform.rows_response import RowsResponse
from gapless.platform.tenant_queries import TenantQueries, unless_gone
from gapless.query.request import Language, QueryRequest, ResultColumn

#: A query's body; more is answered with 413, and one that takes longer to arrive with 408.
BODY_BYTES_MAX = 1 << 20
BODY_TIMEOUT_S = 30.0


class QueryBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query over a tenant's tables; with a bound, only rows with TimeGenerated in ``[from_us, to_us)``,
    in microseconds since the Unix epoch. ``explain``: the answer has rows of ``form`` ("relational", "sql")
    and ``text``, how the query would be computed, instead of computing it."""

    tenant: str
    text: str
    language: Language = "kql"
    explain: bool = False
    from_us: int | None = None
    to_us: int | None = None


class QueryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Rows as arrays, one value for each column. ``truncated``: a limit cut them."""

    columns: list[ResultColumn]
    rows: msgspec.Raw
    truncated: bool
    elapsed_us: int
    scanned_files: int
    completeness: Completeness


class Queries:
    """The handler's state."""

    def __init__(self, access: Access, queries: TenantQueries) -> None:
        self._access = access
        self._queries = queries

    async def query(self, request: Request) -> Response:
        """The handler. Whoever goes away before the answer takes the query along."""
        self._access.require(request, "read")
        declared_bytes(request, BODY_BYTES_MAX)
        body = await read_body(request, bytes_max=BODY_BYTES_MAX, timeout_s=BODY_TIMEOUT_S)
        asked = decode_json(body, QueryBody, "a query")
        token = self._access.require(request, "read", asked.tenant)
        check_name("tenant", asked.tenant)
        query = QueryRequest(
            text=asked.text,
            language=asked.language,
            explain=asked.explain,
            from_us=asked.from_us,
            to_us=asked.to_us,
        )
        result, known = await unless_gone(request, self._queries.ask(token, asked.tenant, query))

        def answer(rows: msgspec.Raw) -> QueryAnswer:
            return QueryAnswer(
                columns=result.columns,
                rows=rows,
                truncated=result.truncated,
                elapsed_us=result.elapsed_us,
                scanned_files=result.scanned_files,
                completeness=known,
            )

        return RowsResponse(answer, result.rows_json, {})
