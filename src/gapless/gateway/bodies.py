"""Reading request bodies, bounded in size and time."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from gapless.gateway.problems import Problem
from gapless.log.disk import Buffer
from gapless.model.errors import UNDECODABLE

T = TypeVar("T")


def declared_bytes(request: Request, bytes_max: int) -> int:
    """How much a body will take at most. Raises Problem 413 if it says itself that it is too large."""
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        return bytes_max  # sent in chunks: nobody knows
    if len(length) > 18 or int(length) > bytes_max:
        raise _too_large(bytes_max)
    return int(length)


async def read_body(request: Request, *, bytes_max: int, timeout_s: float) -> bytearray:
    """The whole body; never more than ``bytes_max`` is held.

    Raises Problem 413 beyond that, Problem 408 when it takes longer than ``timeout_s``, and
    ClientDisconnect when the client goes away.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunk = message.get("body", b"")
                if len(body) + len(chunk) > bytes_max:
                    raise _too_large(bytes_max)
                body += chunk
                if not message.get("more_body", False):
                    return body
    except TimeoutError as error:
        raise Problem(
            408, "timeout", f"the body did not arrive within {timeout_s:g} s: send it again"
        ) from error


def decode_json(data: Buffer | str, kind: type[T], what: str) -> T:
    """``data`` as ``kind``. Raises Problem 400 for anything else, however deep it is nested."""
    try:
        return msgspec.json.decode(data, type=kind)
    except UNDECODABLE as error:
        raise Problem(400, "body", f"this is not {what}: {error}") from error


def _too_large(bytes_max: int) -> Problem:
    return Problem(413, "too_large", f"the body is larger than {bytes_max} bytes: send less at a time")
