"""The HTTP application as it is served: what it says of itself."""

from __future__ import annotations

import asyncio
import tempfile
from functools import cache
from typing import Any, NamedTuple

import httpx
import structlog.testing

from gapless.platform.app import platform_app


class Served(NamedTuple):
    """``/v1/openapi.json`` and ``/metrics`` of a platform that was just started, and the answers to requests
    that are nobody's: (status, code)."""

    openapi: dict[str, Any]
    metrics: str
    strays: tuple[tuple[int, str], ...]


@cache
def served() -> Served:
    """Start the application over an empty directory, ask it, stop it."""
    with structlog.testing.capture_logs():
        return asyncio.run(_served())


async def _served() -> Served:
    with tempfile.TemporaryDirectory() as directory:
        app = platform_app(directory)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://platform") as client,
        ):
            openapi = (await client.get("/v1/openapi.json")).json()
            metrics = (await client.get("/metrics")).text
            strays = [await client.get("/v1/nothing"), await client.put("/healthz")]
    codes = tuple((answer.status_code, answer.json()["error"]["code"]) for answer in strays)
    return Served(openapi, metrics, codes)
