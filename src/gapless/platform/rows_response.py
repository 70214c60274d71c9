"""Answers with many rows: put together without a copy of the rows, and sent in pieces.

An answer may have 64 MiB. To decode, encode or send it at once would keep the event loop from claims and
batches for as long; so its rows are never looked at here, and others get their turn between two pieces.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_PIECE_BYTES = 256 << 10

#: Stands for the rows in what is encoded: no text holds it by chance, and nobody is told.
_HOLE = msgspec.Raw(b'"' + secrets.token_hex(16).encode() + b'"')


class RowsResponse(Response):
    """200, with the JSON of what ``content_of`` makes of ``rows``; ``content_of`` puts them in once, as they
    are."""

    def __init__(
        self, content_of: Callable[[msgspec.Raw], object], rows: msgspec.Raw, headers: Mapping[str, str]
    ) -> None:
        before, after = msgspec.json.encode(content_of(_HOLE)).split(bytes(_HOLE))
        self._parts = [memoryview(before), memoryview(rows), memoryview(after)]
        size = sum(len(part) for part in self._parts)
        super().__init__(None, 200, {**headers, "content-length": str(size)}, media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        for part in self._parts:
            for at in range(0, len(part), _PIECE_BYTES):
                piece = bytes(part[at : at + _PIECE_BYTES])
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})
