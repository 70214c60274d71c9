"""A query for one tenant: from its token to the files that it may read, and to what is missing there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from gapless import clock
from gapless.gateway.tokens import Token
from gapless.lake.catalog import Catalog
from gapless.model.declared import Declared
from gapless.model.errors import Busy, Unavailable
from gapless.model.tables import QUARANTINE, TableSchema, known_tables, table_schema
from gapless.platform.auditor_reader import Books, BooksReader
from gapless.platform.completeness import Completeness, completeness
from gapless.query.pool import QueryPool
from gapless.query.request import QueryRequest, QueryResult, TableFiles

T = TypeVar("T")


class Answered(NamedTuple):
    """An answer, and whether the window that it looked at is complete."""

    result: QueryResult
    completeness: Completeness


class TenantQueries:
    """Answers queries over the lake, each for one tenant. ``declared`` says what rules declare of a tenant's
    custom tables, or raises Busy."""

    def __init__(
        self,
        catalog: Catalog,
        pool: QueryPool,
        books: BooksReader,
        declared: Callable[[str], Mapping[str, Declared]],
    ) -> None:
        self._catalog = catalog
        self._declared = declared
        self._pool = pool
        self._books = books

    async def ask(self, token: Token, tenant: str, query: QueryRequest) -> Answered:
        """Answer ``query`` over the tables of ``tenant`` that ``token`` may read; whether it may at all was
        asked before. Cancelling the call kills the query. Raises what ``QueryPool.run`` raises, and Busy
        while it is not known what columns the tenant's custom tables have."""
        books = await asyncio.to_thread(self._read_books)
        written = await asyncio.to_thread(self._catalog.tables, tenant)
        schemas = self._schemas(token, tenant, written)
        tables, damaged = await asyncio.to_thread(self._tables, schemas, tenant, written, query)
        result = await self._pool.run(msgspec.structs.replace(query, tables=tables), tenant=tenant)
        now_us = clock.now_us()
        known = await asyncio.to_thread(
            partial(completeness, books, tenant, result.tables, query.from_us, now_us, damaged=damaged)
        )
        return Answered(result, known)

    def _read_books(self) -> Books | None:
        try:
            return self._books.books()
        except Unavailable:
            return None

    async def schemas(self, token: Token, tenant: str) -> list[TableSchema]:
        """Every table of the tenant that the token may read. Raises Busy as ``ask`` does."""
        return self._schemas(token, tenant, await asyncio.to_thread(self._catalog.tables, tenant))

    def _schemas(self, token: Token, tenant: str, written: list[str]) -> list[TableSchema]:
        fixed = {**known_tables(), QUARANTINE.name: QUARANTINE}
        custom = set(written) - fixed.keys()
        declared: Mapping[str, Declared] = {}
        try:
            declared = self._declared(tenant)
        except Busy:
            if custom:
                raise
        custom |= declared.keys()
        made = []
        for name in sorted(custom):
            known = declared.get(name, Declared())
            made.append(table_schema(name, known.columns, known.computed))
        return [schema for schema in (*fixed.values(), *made) if token.allows_table(schema.name)]

    def _tables(
        self, schemas: list[TableSchema], tenant: str, written: list[str], query: QueryRequest
    ) -> tuple[tuple[TableFiles, ...], dict[str, int]]:
        """The tables with the tenant's files; those that are not ``written`` are empty. And the tables that
        are without some of their records until these are made again, with how many."""
        tables, damaged = [], {}
        for schema in schemas:
            paths: tuple[str, ...] = ()
            if schema.name in written:
                content = self._catalog.content(tenant, schema.name, query.from_us, query.to_us)
                paths = tuple(file.path for file in content.files)
                if content.damaged_records:
                    damaged[schema.name] = content.damaged_records
            tables.append(TableFiles(schema, paths))
        return tuple(tables), damaged


async def unless_gone(request: Request, answer: Coroutine[Any, Any, T]) -> T:
    """Await ``answer``, and cancel it when the client goes away. Raises ClientDisconnect then."""
    running = asyncio.ensure_future(answer)
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
