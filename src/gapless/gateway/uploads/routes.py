"""Uploads as Azure's clients make them, and the rules that they are for, on HTTP.

``POST /dataCollectionRules/{rule}/streams/{stream}`` is the request of Azure Monitor's Logs Ingestion API:
path, statuses and error codes are that API's, and so is the shape of its errors.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gapless.gateway.bodies import declared_bytes, decode_json, read_body
from gapless.gateway.gateway import Gateway
from gapless.gateway.openapi import JSON, Endpoint
from gapless.gateway.problems import Problem, guarded, json_response
from gapless.gateway.tokens import Token
from gapless.gateway.uploads.payloads import too_long
from gapless.gateway.uploads.rules import RuleRequest, Rules
from gapless.model.rule import Rule, RuleStream

#: What Azure's clients send with a request and with each of their own retries of it, and with no other.
_CLIENT_REQUEST = "x-ms-client-request-id"

#: Our codes as that API has them; those of its own stand as they are.
_AZURE_CODES = {
    "unauthorized": "InvalidAuthenticationToken",
    "forbidden": "OperationFailed",
    "timeout": "RequestTimeout",
    "refused": "InvalidPayload",
    "busy": "TooManyRequests",
    "unavailable": "ServiceUnavailable",
    "unexpected": "InternalServerError",
}


class AzureFailure(msgspec.Struct, frozen=True):
    """``code`` is for programs, ``message`` says what to do."""

    code: str
    message: str


class AzureNotDone(msgspec.Struct, frozen=True):
    """The answer to an upload of which nothing was stored."""

    error: AzureFailure


def azure_shape(code: str, text: str) -> object:
    """How Azure's API says what it did not do."""
    return AzureNotDone(AzureFailure(_AZURE_CODES.get(code, code), text))


class _Handlers:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._access = gateway.access
        self._uploads = gateway.uploads

    async def upload(self, request: Request) -> Response:
        token = self._access.require(request, "ingest")
        rule, stream = self._target(token, request.path_params["rule"], request.path_params["stream"])
        bounds = self._gateway.settings
        encoding = request.headers.get("content-encoding", "").strip().lower()
        try:
            size = declared_bytes(request, bounds.upload_bytes_max)
            size += bounds.upload_bytes_max if encoding else 0
            with self._gateway.batches_budget.hold(1, size, by=token.holders):
                body = await read_body(
                    request, bytes_max=bounds.upload_bytes_max, timeout_s=bounds.body_timeout_s
                )
                upload = await self._uploads.accept(
                    rule, stream, body, encoding=encoding, request=request.headers.get(_CLIENT_REQUEST, "")
                )
        except Problem as error:
            raise too_long(bounds.upload_bytes_max) if error.code == "too_large" else error from error
        if await request.is_disconnected():
            self._uploads.untold(upload)
        return Response(status_code=204)

    async def create(self, request: Request) -> Response:
        self._access.require(request, "admin")
        wanted = await self._body(request)
        admin = self._access.require(request, "admin", wanted.tenant)
        return json_response(await self._uploads.create(wanted, by=admin.id), 201)

    async def rules(self, request: Request) -> Response:
        admin = self._access.require(request, "admin")
        return json_response(Rules([r for r in self._uploads.rules() if admin.allows("admin", r.tenant)]))

    async def rule(self, request: Request) -> Response:
        return json_response(self._ruled(request)[0])

    async def delete(self, request: Request) -> Response:
        rule, admin = self._ruled(request)
        await self._uploads.delete(rule, by=admin.id)
        return json_response(rule)

    def _target(self, token: Token, id_: str, name: str) -> tuple[Rule, RuleStream]:
        """The stream of a rule that the token may upload to. A rule of another tenant is answered like one
        that does not exist: with 403."""
        rule = self._uploads.rule(id_)
        if rule is None or not token.allows("ingest", rule.tenant):
            raise Problem(
                403,
                "OperationFailed",
                f"this token may not upload for the data collection rule with the immutable id {id_[:80]!r}, "
                "or there is no such rule: `gapless dcr list` shows them",
            )
        stream = rule.stream(name)
        if stream is None:
            names = ", ".join(each.name for each in rule.streams)
            raise Problem(400, "InvalidStream", f"rule {id_} has no stream {name[:80]!r}: it has {names}")
        if not token.allows_table(stream.table):
            raise Problem(
                403, "OperationFailed", f"this token is not for table {stream.table}: use one that is"
            )
        return rule, stream

    def _ruled(self, request: Request) -> tuple[Rule, Token]:
        admin = self._access.require(request, "admin")
        rule = self._uploads.rule(request.path_params["id"])
        if rule is None or not admin.allows("admin", rule.tenant):
            raise Problem(404, "not_found", "there is no rule with this id: GET /v1/rules lists them")
        return rule, admin

    async def _body(self, request: Request) -> RuleRequest:
        bounds = self._gateway.settings
        size, token = declared_bytes(request, bounds.header_bytes_max), self._access.token(request)
        with self._gateway.claims_budget.hold(1, size, by=token.holders):
            body = await read_body(
                request, bytes_max=bounds.header_bytes_max, timeout_s=bounds.body_timeout_s
            )
        return decode_json(body, RuleRequest, "a data collection rule")


def upload_endpoint(gateway: Gateway) -> Endpoint:
    """The endpoint of Azure's clients."""
    return Endpoint(
        "POST",
        "/dataCollectionRules/{rule}/streams/{stream}",
        _Handlers(gateway).upload,
        "Upload records, as Azure Monitor's clients do",
        "The body is a JSON array of objects, with Content-Encoding gzip or none; any api-version. The whole "
        "array is stored or nothing of it. The same content once more is answered with 204 and not stored "
        f"twice, if it comes with the same {_CLIENT_REQUEST}, or without one, or if its client was perhaps "
        "never told.",
        scope="ingest",
        body=JSON,
        answer_text="the records are durable",
        status=204,
        errors=(400, 408, 413, 415, 429, 503),
        failure=AzureNotDone,
    )


def upload_route(endpoint: Endpoint, refused: Callable[[str], None]) -> Route:
    """Its route: failures have Azure's shape."""
    return Route(endpoint.path, guarded(endpoint.handler, refused, azure_shape), methods=[endpoint.method])


def rule_endpoints(gateway: Gateway) -> list[Endpoint]:
    """The endpoints for data collection rules; each change is durable before it is answered."""
    handlers = _Handlers(gateway)
    changes = (400, 408, 413, 422, 429, 503)
    return [
        Endpoint(
            "POST",
            "/v1/rules",
            handlers.create,
            "Make a data collection rule",
            "Its immutable id is in the answer; from then on its streams are claimed.",
            scope="admin",
            body=RuleRequest,
            answer=Rule,
            status=201,
            errors=changes,
        ),
        Endpoint("GET", "/v1/rules", handlers.rules, "All rules", scope="admin", answer=Rules, errors=(429,)),
        Endpoint(
            "GET", "/v1/rules/{id}", handlers.rule, "One rule", scope="admin", answer=Rule, errors=(404, 429)
        ),
        Endpoint(
            "DELETE",
            "/v1/rules/{id}",
            handlers.delete,
            "Delete a rule",
            "Its streams end where they stand; what was stored stays.",
            scope="admin",
            answer=Rule,
            errors=(404, 429, 503),
        ),
    ]
