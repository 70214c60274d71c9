"""``GET /v1/audit`` and ``GET /v1/findings``: what the books say, and what the auditor saw."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gapless import clock
from gapless.gateway.access import Access, forbidden
from gapless.gateway.problems import json_response
from gapless.ledger.audit import audit
from gapless.ledger.states import Allowances
from gapless.model.errors import Refused
from gapless.platform.auditor_reader import BooksReader
from gapless.platform.audits import FindingsAnswer, audit_json, finding_shown, iso

FINDINGS_MAX = 1000  # in one answer


class AuditorApi:
    """The handlers."""

    def __init__(self, access: Access, books: BooksReader) -> None:
        self._access = access
        self._books = books

    async def audit(self, request: Request) -> Response:
        """`GET /v1/audit?tenant=&table=&from_us=&to_us=`: the books, judged now."""
        tenant, table = self._scope(request)
        bounds = {name: _number(request, name) for name in ("from_us", "to_us")}
        return json_response(await asyncio.to_thread(self._audited, tenant, table, bounds))

    async def findings(self, request: Request) -> Response:
        """`GET /v1/findings?tenant=&table=&state=open|all&limit=`: newest first."""
        tenant, table = self._scope(request)
        state = request.query_params.get("state", "open")
        if state not in ("open", "all"):
            raise Refused("state is open or all")
        limit = _number(request, "limit")
        if limit is None:
            limit = FINDINGS_MAX
        if not 0 < limit <= FINDINGS_MAX:
            raise Refused(f"limit is a number from 1 to {FINDINGS_MAX}")
        known, audited_us = await asyncio.to_thread(
            self._books.findings, tenant, table, open_only=state == "open", limit=limit
        )
        return json_response(
            FindingsAnswer(audited=iso(audited_us), findings=[finding_shown(*each) for each in known])
        )

    def _audited(
        self, tenant: str | None, table: str | None, bounds: dict[str, int | None]
    ) -> dict[str, Any]:
        books = self._books.books()
        report = audit(
            books.ledger,
            clock.now_us(),
            tenant=tenant,
            table=table,
            from_us=bounds["from_us"],
            to_us=bounds["to_us"],
            audited_us=books.audited_us,
            allowed=Allowances(),
        )
        known, _ = self._books.findings(tenant, table, open_only=True, limit=FINDINGS_MAX)
        return audit_json(report, books.audited_us, [finding_shown(*each) for each in known])

    def _scope(self, request: Request) -> tuple[str | None, str | None]:
        """The tenant and table asked about, if the token may read them; without a tenant the token must be an
        operator's, and one for some tables has to name one of them."""
        tenant, table = request.query_params.get("tenant"), request.query_params.get("table")
        if tenant is None:
            self._access.require_operator(request)
            return None, table
        token = self._access.require(request, "read", tenant)
        if token.tables and table not in token.tables:
            raise forbidden(f"this token is for {', '.join(token.tables)}: name one of them as the table")
        return tenant, table


def _number(request: Request, name: str) -> int | None:
    try:
        return int(request.query_params[name]) if name in request.query_params else None
    except ValueError as error:
        raise Refused(f"{name} is not a number") from error
