"""What operators and the auditor change over HTTP. An admin token of one tenant administers that one."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gapless.gateway.bodies import declared_bytes, decode_json, read_body
from gapless.gateway.gateway import Gateway
from gapless.gateway.openapi import Endpoint
from gapless.gateway.problems import Problem, json_response
from gapless.gateway.tokens import Scope, Token
from gapless.model.claim import Loss
from gapless.model.finding import Finding

T = TypeVar("T")


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token to be made; no ``tables`` are all of the tenant's. Tenant ``*`` goes with scope admin only.
    ``client``: make a client, which gets access tokens for its secret."""

    tenant: str
    scope: Scope
    tables: tuple[str, ...] = ()
    client: bool = False


class NewToken(msgspec.Struct, frozen=True):
    """A token's text, or a client's secret, which is never shown again."""

    id: str
    token: str


class TokenShown(msgspec.Struct, frozen=True):
    """What is known of a token."""

    id: str
    tenant: str
    scope: Scope
    tables: tuple[str, ...]
    created_us: int
    by: str
    revoked_us: int | None
    client: bool


class Tokens(msgspec.Struct, frozen=True):
    tokens: list[TokenShown]


class Decommission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stream, by its identity, that ends for good."""

    stream: str
    reason: str


class Accepted(msgspec.Struct, frozen=True):
    """It is durable."""

    status: str = "accepted"


class _AdminHandlers:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._access = gateway.access
        self._administration = gateway.administration

    async def create_token(self, request: Request) -> Response:
        admin = self._access.require(request, "admin")
        wanted = await self._body(request, TokenRequest, "a token request")
        self._access.require(request, "admin", wanted.tenant)
        token, secret = await self._administration.create_token(
            wanted.tenant, wanted.tables, wanted.scope, by=admin.id, client=wanted.client
        )
        return json_response(NewToken(token.id, secret), 201)

    async def list_tokens(self, request: Request) -> Response:
        admin = self._access.require(request, "admin")
        tokens = [t for t in self._gateway.tokens.all() if admin.allows("admin", t.tenant)]
        return json_response(Tokens([_shown(token) for token in tokens]))

    async def revoke_token(self, request: Request) -> Response:
        admin = self._access.require(request, "admin")
        token = self._gateway.tokens.get(request.path_params["id"])
        if token is None or not admin.allows("admin", token.tenant):
            raise Problem(404, "not_found", "there is no token with this id: GET /v1/tokens lists them")
        return json_response(_shown(await self._administration.revoke_token(token, by=admin.id)))

    async def declare_loss(self, request: Request) -> Response:
        self._access.require(request, "admin")
        loss = await self._body(request, Loss, "a loss")
        admin = self._access.require(request, "admin", loss.stream.tenant)
        await self._administration.declare_loss(loss, by=admin.id)
        return json_response(Accepted())

    async def post_findings(self, request: Request) -> Response:
        self._access.require_operator(request)
        await self._administration.post_findings(
            await self._body(request, list[Finding], "a list of findings")
        )
        return json_response(Accepted())

    async def decommission(self, request: Request) -> Response:
        admin = self._access.require_operator(request)
        wanted = await self._body(request, Decommission, "a decommission")
        await self._administration.decommission(wanted.stream, wanted.reason, by=admin.id)
        return json_response(Accepted())

    async def _body(self, request: Request, kind: type[T], what: str) -> T:
        bounds = self._gateway.settings
        size, token = declared_bytes(request, bounds.claims_bytes_max), self._access.token(request)
        with self._gateway.claims_budget.hold(1, size, by=token.holders):
            body = await read_body(
                request, bytes_max=bounds.claims_bytes_max, timeout_s=bounds.body_timeout_s
            )
        return decode_json(body, kind, what)


def admin_endpoints(gateway: Gateway) -> list[Endpoint]:
    """The endpoints for scope ``admin``; each change is durable before it is answered."""
    handlers = _AdminHandlers(gateway)
    changes = (400, 408, 413, 422, 429, 503)
    return [
        Endpoint("GET", "/v1/tokens", handlers.list_tokens, "All tokens", scope="admin", answer=Tokens),
        Endpoint(
            "POST",
            "/v1/tokens",
            handlers.create_token,
            "Make a token",
            "The answer is the only place where its text is ever seen.",
            scope="admin",
            body=TokenRequest,
            answer=NewToken,
            status=201,
            errors=changes,
        ),
        Endpoint(
            "DELETE",
            "/v1/tokens/{id}",
            handlers.revoke_token,
            "Revoke a token",
            scope="admin",
            answer=TokenShown,
            errors=(404, 429, 503),
        ),
        Endpoint(
            "POST",
            "/v1/losses",
            handlers.declare_loss,
            "Declare records lost",
            "It stays visible for ever.",
            scope="admin",
            body=Loss,
            answer=Accepted,
            errors=changes,
        ),
        Endpoint(
            "POST",
            "/v1/findings",
            handlers.post_findings,
            "Journal what the auditor saw",
            scope="admin of every tenant",
            body=list[Finding],
            answer=Accepted,
            errors=changes,
        ),
        Endpoint(
            "POST",
            "/v1/decommissions",
            handlers.decommission,
            "End a stream for good",
            scope="admin of every tenant",
            body=Decommission,
            answer=Accepted,
            errors=changes,
        ),
    ]


def _shown(token: Token) -> TokenShown:
    return TokenShown(
        id=token.id,
        tenant=token.tenant,
        scope=token.scope,
        tables=token.tables,
        created_us=token.created_us,
        by=token.by,
        revoked_us=token.revoked_us,
        client=token.client,
    )
