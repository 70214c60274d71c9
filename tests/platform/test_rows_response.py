"""Answers with many rows: as one JSON text, in pieces, without the event loop standing still."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import msgspec
import pytest
from starlette.types import Message

from gapless.platform.rows_response import RowsResponse


class Table(msgspec.Struct):
    name: str
    rows: msgspec.Raw
    more: int


async def sent(response: RowsResponse) -> tuple[list[MutableMapping[str, Any]], int]:
    """What is sent, and how often others had their turn meanwhile."""
    messages: list[Message] = []
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is asked")

    running = asyncio.ensure_future(others())
    await response({"type": "http"}, receive, send)
    running.cancel()
    return list(messages), turns


@pytest.mark.parametrize("count", [0, 1, 100_000])
def test_an_answer_is_one_text_in_pieces_between_which_others_have_their_turn(count: int) -> None:
    rows = [[n, 'a "quoted" \u00e4'] for n in range(count)]
    response = RowsResponse(
        lambda raw: Table("t", raw, 7), msgspec.Raw(msgspec.json.encode(rows)), {"X-Known": "yes"}
    )
    (start, *bodies), turns = asyncio.run(sent(response))
    whole = b"".join(each["body"] for each in bodies)
    assert json.loads(whole) == {"name": "t", "rows": rows, "more": 7}
    headers = dict(start["headers"])
    assert headers[b"content-length"] == str(len(whole)).encode()
    assert (headers[b"x-known"], headers[b"content-type"]) == (b"yes", b"application/json")
    assert [each.get("more_body", False) for each in bodies] == [True] * (len(bodies) - 1) + [False]
    assert turns >= len(bodies) - 1 > len(whole) // (256 << 10)
