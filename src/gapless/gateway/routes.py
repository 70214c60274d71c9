"""The gateway on HTTP: plain Starlette routes, for whoever composes the application.

That one adds its own routes, ``problems.problem_handlers()`` for paths that are nobody's, runs the server
and gives it TLS. Every answer to what could not be done is ``{"error": {"code", "text"}}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gapless.gateway.admin_routes import admin_endpoints
from gapless.gateway.answers import Result
from gapless.gateway.bodies import declared_bytes, read_body
from gapless.gateway.claims import ClaimsAnswer
from gapless.gateway.gateway import Gateway, Health
from gapless.gateway.oauth.routes import oauth_endpoints, oauth_routes
from gapless.gateway.openapi import BINARY, TEXT, Endpoint, document
from gapless.gateway.problems import guarded, json_response
from gapless.gateway.uploads.routes import rule_endpoints, upload_endpoint, upload_route
from gapless.log.frame import HEAD_BYTES
from gapless.model.signing import Signed


class BatchResults(msgspec.Struct, frozen=True):
    """The answers to the frames of a body, in their order."""

    results: list[Result]


class PublicKey(msgspec.Struct, frozen=True):
    """A key that signatures verify with; ``public_key`` in hex."""

    algorithm: str
    public_key: str


class Keys(msgspec.Struct, frozen=True):
    """The platform's public keys, by what they sign."""

    receipt: PublicKey


def ingest_routes(
    gateway: Gateway,
    *,
    more_paths: Mapping[str, Mapping[str, Any]] | None = None,
    more_schemas: Mapping[str, Any] | None = None,
) -> list[Route]:
    """The gateway's routes: ``/v1/...``, ``/dataCollectionRules/...``, the token endpoints, ``/healthz`` and
    ``/metrics``.

    ``more_paths`` and ``more_schemas`` are what others add to ``/v1/openapi.json``: path items by path
    (not templates of ours) and JSON schemas by name.
    """
    endpoints = [*_endpoints(_Handlers(gateway)), *admin_endpoints(gateway), *rule_endpoints(gateway)]
    upload = upload_endpoint(gateway)

    async def openapi(request: Request) -> Response:
        return described

    oauth = oauth_endpoints(gateway)
    endpoints.append(Endpoint("GET", "/v1/openapi.json", openapi, "This description of the API", answer=dict))
    described = json_response(document([*endpoints, *oauth, upload], more_paths, more_schemas))
    refused = gateway.metrics.refused
    ours = [Route(e.path, guarded(e.handler, refused), methods=[e.method]) for e in endpoints]
    return [*ours, *oauth_routes(oauth, refused), upload_route(upload, refused)]


class _Handlers:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def batches(self, request: Request) -> Response:
        gateway, bounds = self._gateway, self._gateway.settings
        token = gateway.access.require(request, "ingest")
        size = declared_bytes(request, bounds.body_bytes_max)
        with gateway.batches_budget.hold(1, size, by=token.holders):
            body = await read_body(request, bytes_max=bounds.body_bytes_max, timeout_s=bounds.body_timeout_s)
            return json_response(BatchResults(await gateway.intake.accept(token, body)))

    async def claims(self, request: Request) -> Response:
        gateway, bounds = self._gateway, self._gateway.settings
        token = gateway.access.require(request, "ingest")
        size = declared_bytes(request, bounds.claims_bytes_max)
        with gateway.claims_budget.hold(1, size, by=token.holders):
            body = await read_body(
                request, bytes_max=bounds.claims_bytes_max, timeout_s=bounds.body_timeout_s
            )
            return json_response(await gateway.claims.accept(token, body))

    async def keys(self, request: Request) -> Response:
        return json_response(Keys(PublicKey("Ed25519", self._gateway.receipt_key)))

    async def health(self, request: Request) -> Response:
        health = self._gateway.health()
        return json_response(health, 200 if health.status == "ok" else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(self._gateway.render_metrics(), media_type=self._gateway.metrics.content_type)


def _endpoints(handlers: _Handlers) -> list[Endpoint]:
    return [
        Endpoint(
            "POST",
            "/v1/batches",
            handlers.batches,
            "Journal batches and get their receipts",
            f"The body is frames, one after the other: a head of {HEAD_BYTES} bytes, a batch header as JSON, "
            "and the records as one zstd frame. Each frame is answered in its place. The same batch again "
            "gets the same receipt.",
            scope="ingest",
            body=BINARY,
            answer=BatchResults,
            answer_text="one result per frame; what has a receipt is durable",
            errors=(400, 408, 413, 429, 503),
        ),
        Endpoint(
            "POST",
            "/v1/claims",
            handlers.claims,
            "Journal what an agent says is in its streams",
            "The statement is a ClaimSet as JSON text, signed by the agent.",
            scope="ingest",
            body=Signed,
            answer=ClaimsAnswer,
            answer_text="the claims are durable",
            errors=(400, 408, 413, 422, 429, 503),
        ),
        Endpoint("GET", "/v1/keys", handlers.keys, "The keys that receipts verify with", answer=Keys),
        Endpoint(
            "GET",
            "/healthz",
            handlers.health,
            "Whether what waits gets on",
            "200 while it does or nothing waits; 503 with the same body when it has not for long.",
            answer=Health,
        ),
        Endpoint("GET", "/metrics", handlers.metrics, "Counters for Prometheus", answer=TEXT),
    ]
