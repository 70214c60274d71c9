"""``POST /v1/query``: from a tenant and a text to the tenant's own files, and the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gapless import clock
from gapless.gateway.bodies import declared_bytes, decode_json, read_body
from gapless.gateway.gateway import Gateway
from gapless.gateway.problems import json_response
from gapless.gateway.tokens import Token
from gapless.lake.catalog import Catalog
from gapless.model.errors import Unavailable
from gapless.model.stream import check_name
from gapless.model.tables import QUARANTINE, known_tables, table_schema
from gapless.platform.auditor_reader import Books, BooksReader
from gapless.platform.completeness import Completeness, completeness
from gapless.query.pool import QueryPool
from gapless.query.request import Language, QueryRequest, QueryResult, ResultColumn, TableFiles

_BODY_BYTES_MAX = 1 << 20
_BODY_TIMEOUT_S = 30.0


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
    """Answers queries over the lake, each for one tenant."""

    def __init__(self, gateway: Gateway, catalog: Catalog, pool: QueryPool, books: BooksReader) -> None:
        self._gateway = gateway
        self._books = books
        self._catalog = catalog
        self._pool = pool

    async def query(self, request: Request) -> Response:
        """The handler. Whoever goes away before the answer takes the query along."""
        self._gateway.access.require(request, "read")
        declared_bytes(request, _BODY_BYTES_MAX)
        body = await read_body(request, bytes_max=_BODY_BYTES_MAX, timeout_s=_BODY_TIMEOUT_S)
        asked = decode_json(body, QueryBody, "a query")
        token = self._gateway.access.require(request, "read", asked.tenant)
        check_name("tenant", asked.tenant)
        books = await asyncio.to_thread(self._read_books)
        tables, damaged = await asyncio.to_thread(self._tables, token, asked)
        query = QueryRequest(
            text=asked.text,
            language=asked.language,
            explain=asked.explain,
            tables=tables,
            from_us=asked.from_us,
            to_us=asked.to_us,
        )
        result = await _unless_gone(request, self._pool.run(query))
        return json_response(await asyncio.to_thread(self._answer, asked, books, damaged, result))

    def _read_books(self) -> Books | None:
        try:
            return self._books.books()
        except Unavailable:
            return None

    def _answer(
        self, asked: QueryBody, books: Books | None, damaged: dict[str, int], result: QueryResult
    ) -> QueryAnswer:
        return QueryAnswer(
            columns=result.columns,
            rows=result.rows_json,
            truncated=result.truncated,
            elapsed_us=result.elapsed_us,
            scanned_files=result.scanned_files,
            completeness=completeness(
                books, asked.tenant, result.tables, asked.from_us, clock.now_us(), damaged=damaged
            ),
        )

    def _tables(self, token: Token, asked: QueryBody) -> tuple[tuple[TableFiles, ...], dict[str, int]]:
        """Every table that the token may read, with the tenant's files; those without rows are empty. And the
        tables that are without some of their records until these are made again, with how many."""
        written = set(self._catalog.tables(asked.tenant))
        schemas = {**known_tables(), QUARANTINE.name: QUARANTINE}
        schemas |= {name: table_schema(name) for name in written - schemas.keys()}
        tables, damaged = [], {}
        for name, schema in schemas.items():
            if not token.allows_table(name):
                continue
            paths: tuple[str, ...] = ()
            if name in written:
                content = self._catalog.content(asked.tenant, name, asked.from_us, asked.to_us)
                paths = tuple(file.path for file in content.files)
                if content.damaged_records:
                    damaged[name] = content.damaged_records
            tables.append(TableFiles(schema, paths))
        return tuple(tables), damaged


async def _unless_gone(request: Request, answer: Any) -> QueryResult:
    """Await ``answer``, and cancel it when the client goes away. Raises ClientDisconnect then."""
    running: asyncio.Task[QueryResult] = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((running, gone), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            raise ClientDisconnect
        return running.result()
    finally:
        gone.cancel()
        running.cancel()
        await asyncio.gather(gone, running, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
