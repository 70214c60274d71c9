"""The token endpoint for Azure's clients: the client-credentials grant of OAuth 2.0 (RFC 6749, 4.4) with its
discovery document, and App Service's endpoint for managed identities."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gapless.gateway.bodies import declared_bytes, read_body
from gapless.gateway.gateway import Gateway
from gapless.gateway.openapi import Endpoint
from gapless.gateway.problems import Problem, Shape, guarded, json_response
from gapless.gateway.tenants import means
from gapless.gateway.tokens import Token
from gapless.model.stream import check_name

_FORM = "application/x-www-form-urlencoded"
_FORM_FIELDS_MAX = 64
#: RFC 6749, 5.1.
_NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class AccessToken(msgspec.Struct, frozen=True):
    """A token to send as ``Authorization: Bearer``; it holds for ``expires_in`` seconds."""

    access_token: str
    expires_in: int
    ext_expires_in: int
    token_type: str = "Bearer"


class IdentityToken(msgspec.Struct, frozen=True):
    """A token for a managed identity; ``expires_on`` is in seconds since the Unix epoch."""

    access_token: str
    expires_on: str
    resource: str
    client_id: str
    token_type: str = "Bearer"


class Discovery(msgspec.Struct, frozen=True):
    """Where a tenant's clients get their tokens (OpenID Connect Discovery 1.0, 3)."""

    issuer: str
    token_endpoint: str
    #: Clients ask for it; there is nothing there, since nobody signs in here.
    authorization_endpoint: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_post", "client_secret_basic")
    grant_types_supported: tuple[str, ...] = ("client_credentials",)
    response_types_supported: tuple[str, ...] = ("token",)


class OAuthNotDone(msgspec.Struct, frozen=True):
    """Why there is no token: ``error`` is one of RFC 6749, 5.2; ``error_description`` says what to do."""

    error: str
    error_description: str


class IdentityNotDone(msgspec.Struct, frozen=True):
    """Why a managed identity gets no token."""

    statusCode: int
    message: str


_OAUTH_ERRORS = {
    "busy": "temporarily_unavailable",
    "unavailable": "temporarily_unavailable",
    "unexpected": "server_error",
    "invalid_client": "invalid_client",
    "unsupported_grant_type": "unsupported_grant_type",
}
_IDENTITY_STATUS = {"busy": 429, "unavailable": 503, "unexpected": 500, "invalid_client": 401}


def _oauth_shape(code: str, text: str) -> object:
    return OAuthNotDone(_OAUTH_ERRORS.get(code, "invalid_request"), text)


def _identity_shape(code: str, text: str) -> object:
    return IdentityNotDone(_IDENTITY_STATUS.get(code, 400), text)


class _Handlers:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def discovery(self, request: Request) -> Response:
        tenant = check_name("tenant", request.path_params["tenant"])
        base = f"{_base(request)}/{tenant}"
        return json_response(
            Discovery(f"{base}/v2.0", f"{base}/oauth2/v2.0/token", f"{base}/oauth2/v2.0/authorize")
        )

    async def token(self, request: Request) -> Response:
        form = await self._form(request)
        if form.get("grant_type") != "client_credentials":
            raise Problem(
                400, "unsupported_grant_type", "grant_type is client_credentials here, and nothing else"
            )
        client_id, secret = _basic(request) or (form.get("client_id", ""), form.get("client_secret", ""))
        client = self._gateway.tokens.client(secret)
        named = request.path_params["tenant"]
        if client is None or client.id != client_id or not means(named, client.tenant):
            raise _unknown_client(f"client {client_id[:60]!r} of tenant {named[:60]!r}")
        audience = form.get("scope", "").removesuffix("/.default")
        text, _ = self._issue(request, client, audience)
        lifetime_s = self._gateway.access_tokens.lifetime_s
        return json_response(AccessToken(text, lifetime_s, lifetime_s), headers=_NOT_KEPT)

    async def identity(self, request: Request) -> Response:
        self._count(request)
        client = self._gateway.tokens.client(request.headers.get("x-identity-header", ""))
        wanted = request.query_params.get("client_id")
        if client is None or wanted not in (None, client.id):
            raise _unknown_client("this X-IDENTITY-HEADER (IDENTITY_HEADER holds a client's secret)")
        resource = request.query_params.get("resource", "")
        text, expires_s = self._issue(request, client, resource)
        return json_response(IdentityToken(text, str(expires_s), resource, client.id), headers=_NOT_KEPT)

    def _issue(self, request: Request, client: Token, audience: str) -> tuple[str, int]:
        issuer = f"{_base(request)}/{client.tenant}/v2.0"
        return self._gateway.access_tokens.issue(client, issuer, audience[:1000], self._gateway.now_us())

    def _count(self, request: Request) -> None:
        self._gateway.token_rate.take(request.client.host if request.client else "")

    async def _form(self, request: Request) -> dict[str, str]:
        self._count(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            raise Problem(400, "body", f"the body is {_FORM}: send it as that")
        bounds = self._gateway.settings
        bytes_max = bounds.token_form_bytes_max
        with self._gateway.token_budget.hold(1, declared_bytes(request, bytes_max)):
            body = await read_body(request, bytes_max=bytes_max, timeout_s=bounds.token_form_timeout_s)
        try:
            fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FORM_FIELDS_MAX)
        except ValueError as error:
            raise Problem(400, "body", f"the body is not {_FORM}: {error}") from error
        form = dict(fields)
        if len(form) < len(fields):
            raise Problem(400, "body", "a parameter stands twice in the body: send each once")
        return form


def oauth_endpoints(gateway: Gateway) -> list[Endpoint]:
    """The endpoints; nobody needs a token for them."""
    handlers = _Handlers(gateway)
    return [
        Endpoint(
            "POST",
            "/{tenant}/oauth2/v2.0/token",
            handlers.token,
            "Give a client an access token",
            "OAuth 2.0's client-credentials grant: grant_type, client_id, client_secret and scope as a form, "
            "or the client by HTTP Basic.",
            body=_FORM,
            answer=AccessToken,
            errors=(400, 401, 408, 413, 429),
            failure=OAuthNotDone,
        ),
        Endpoint(
            "GET",
            "/{tenant}/v2.0/.well-known/openid-configuration",
            handlers.discovery,
            "Where a tenant's clients get access tokens",
            answer=Discovery,
            errors=(422,),
            failure=OAuthNotDone,
        ),
        Endpoint(
            "GET",
            "/msi/token",
            handlers.identity,
            "Give a managed identity an access token",
            "As App Service does, api-version 2019-08-01: IDENTITY_ENDPOINT is this URL, and IDENTITY_HEADER "
            "a client's secret, sent as X-IDENTITY-HEADER. Query parameters: resource, client_id.",
            answer=IdentityToken,
            errors=(401, 429),
            failure=IdentityNotDone,
        ),
    ]


def oauth_routes(endpoints: list[Endpoint], refused: Callable[[str], None]) -> list[Route]:
    """The routes of ``oauth_endpoints``, whose failures have the shape that their clients know."""
    shapes: dict[type, Shape] = {OAuthNotDone: _oauth_shape, IdentityNotDone: _identity_shape}
    return [
        Route(e.path, guarded(e.handler, refused, shapes[e.failure]), methods=[e.method]) for e in endpoints
    ]


def _base(request: Request) -> str:
    """The platform as the client calls it."""
    return f"{request.url.scheme}://{request.url.netloc}"


def _basic(request: Request) -> tuple[str, str] | None:
    """The client's id and secret, where they are in the Authorization header (RFC 6749, 2.3.1)."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(credentials, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _unknown_client("this Authorization header") from error
    return unquote_plus(client_id), unquote_plus(secret)


def _unknown_client(what: str) -> Problem:
    problem = Problem(
        401, "invalid_client", f"{what} is unknown or revoked: `gapless token create --client` makes one"
    )
    problem.challenge = 'Basic realm="Gapless"'  # RFC 6749, 5.2; RFC 7617, 2
    return problem
