"""The platform's HTTP application: ingest, queries and the catalogue of services in one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gapless.gateway.gateway import Gateway
from gapless.gateway.metrics import GatewayMetrics
from gapless.gateway.openapi import Endpoint, document
from gapless.gateway.problems import guarded, json_response, problem_handlers
from gapless.gateway.routes import ingest_routes
from gapless.journal.local import LocalJournal
from gapless.lake.catalog import Catalog
from gapless.log.disk import OsDisk
from gapless.log.lock import DirectoryLock
from gapless.log.segments import Recovery
from gapless.model.errors import GaplessError
from gapless.platform.auditor_api import AuditorApi
from gapless.platform.auditor_reader import BooksReader
from gapless.platform.audits import FindingsAnswer
from gapless.platform.journal_retention import keep
from gapless.platform.layout import journal_directory, lake_directory, ledger_directory
from gapless.platform.log_analytics import LogAnalytics
from gapless.platform.log_analytics_routes import log_analytics_endpoints, log_analytics_routes
from gapless.platform.queries import Queries, QueryAnswer, QueryBody
from gapless.platform.record_answer import RecordAnswer
from gapless.platform.records import Records
from gapless.platform.sieve import SieveProcess
from gapless.platform.tenant_queries import TenantQueries
from gapless.query.pool import QueryPool
from gapless.services.catalogue import Service, services

_log = structlog.get_logger("gapless.platform")

#: How long the start waits for queries to be answered; records are taken in without them.
_POOL_WAIT_S = 15.0
_POOL_RETRY_S = 2.0


class Services(msgspec.Struct, frozen=True):
    """The services whose logs Gapless knows."""

    services: tuple[Service, ...]


def platform_app(directory: str) -> Starlette:
    """The application over the data directory ``directory``, whose one writer it is until its end.

    Raises Unavailable if another process writes there, Misconfigured or Corrupt for what it cannot use.
    The journal is closed when the application's lifespan ends, after the last request.
    """
    lock = DirectoryLock(journal_directory(directory))
    metrics = GatewayMetrics()
    catalog = Catalog(lake_directory(directory))
    books = BooksReader(ledger_directory(directory))
    read_to = _read_to(catalog, books)
    journal = LocalJournal(OsDisk(), journal_directory(directory), on_sync_s=metrics.synced, read_to=read_to)
    if journal.recovery != Recovery():
        _log.warning("journal_recovered", **journal.recovery._asdict())
    sieve = SieveProcess()
    gateway = Gateway(directory, journal, metrics=metrics, sieve=sieve)
    pool = QueryPool()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            await gateway.start()
            retention = asyncio.create_task(keep(OsDisk(), journal_directory(directory), catalog))
            async with _answering(pool):
                yield
            await _ended(retention)
            await gateway.stop()
        finally:
            # A crash before this leaves nothing undone: what has a receipt is durable already.
            await asyncio.to_thread(sieve.close)
            books.close()
            catalog.close()
            await asyncio.to_thread(journal.close)
            lock.close()

    return Starlette(
        routes=_routes(
            gateway,
            TenantQueries(catalog, pool, books, gateway.uploads.declared),
            AuditorApi(gateway.access, books),
            Records(gateway, catalog, journal.reader(), books, directory),
        ),
        exception_handlers=problem_handlers(),
        lifespan=lifespan,
    )


def _read_to(catalog: Catalog, books: BooksReader) -> int:
    """How far lake and books have read the journal. Beyond its end if it was set back, from a copy: what is
    appended then must stand behind what they have read, or they would never see it."""
    read_to = 0
    for reader in (catalog, books):
        with suppress(GaplessError):  # not there yet, or damaged: its own process says so
            read_to = max(read_to, reader.position())
    return read_to


@asynccontextmanager
async def _answering(pool: QueryPool) -> AsyncIterator[None]:
    """The pool at work, as soon as it can: queries that do not start stop no record from coming in."""
    starting = asyncio.create_task(_started(pool))
    await asyncio.wait((starting,), timeout=_POOL_WAIT_S)
    try:
        yield
    finally:
        await _ended(starting)
        await pool.close()


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task, and wait for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _started(pool: QueryPool) -> None:
    while True:
        try:
            return await pool.start()
        except (GaplessError, OSError) as error:
            _log.error("queries_do_not_start", error=str(error), retry_in_s=_POOL_RETRY_S)
            await asyncio.sleep(_POOL_RETRY_S)


def _routes(
    gateway: Gateway, tenant_queries: TenantQueries, auditor: AuditorApi, records: Records
) -> list[Route]:
    queries = Queries(gateway.access, tenant_queries)
    log_analytics = log_analytics_endpoints(LogAnalytics(gateway.access, tenant_queries))
    endpoints = [
        Endpoint(
            "POST",
            "/v1/query",
            queries.query,
            "Ask a tenant's tables",
            "Read-only SQL over the tenant's own rows; the answer says whether its window is complete.",
            scope="read",
            body=QueryBody,
            answer=QueryAnswer,
            errors=(400, 408, 413, 422, 429, 503),
        ),
        Endpoint(
            "GET",
            "/v1/audit",
            auditor.audit,
            "Audit a tenant's streams",
            "What was claimed, journaled, stored, quarantined, lost, pending and missing, and the verdict on "
            "the window. Query parameters: tenant (left out: all, for operators), table, from_us, to_us.",
            scope="read",
            errors=(403, 422, 503),
        ),
        Endpoint(
            "GET",
            "/v1/findings",
            auditor.findings,
            "What the auditor saw",
            "Findings, newest first. Query parameters: tenant (left out: all, for operators), table, state "
            "(open, the default, or all), limit (1 to 1000, the default).",
            scope="read",
            answer=FindingsAnswer,
            errors=(403, 422, 503),
        ),
        Endpoint(
            "GET",
            "/v1/records/{stream}/{epoch}/{seq}",
            records.record,
            "Show one record",
            "Its bytes, where it is, and the receipt of its batch. Query parameters: tenant, table.",
            scope="read",
            answer=RecordAnswer,
            errors=(404, 422, 429, 503),
        ),
        Endpoint("GET", "/v1/services", _services, "The catalogue of services", answer=Services),
    ]
    described = document([*endpoints, *log_analytics])
    guard = partial(guarded, refused=gateway.metrics.refused)
    ours = [Route(e.path, guard(e.handler), methods=[e.method]) for e in endpoints]
    ingest = ingest_routes(
        gateway, more_paths=described["paths"], more_schemas=described["components"]["schemas"]
    )
    return [*ingest, *ours, *log_analytics_routes(log_analytics, gateway.metrics.refused)]


async def _services(request: Request) -> Response:
    return json_response(Services(services()))
