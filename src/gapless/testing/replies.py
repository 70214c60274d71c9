"""From what the simulated network brought to what the uploader's transport would have said of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec

from gapless.agent import transport
from gapless.agent.transport import Reply
from gapless.model.errors import UNDECODABLE
from gapless.testing.network import Outcome


def reply_of(url: str, outcome: Outcome, *, batches: bool) -> Reply:
    """Judged by the transport's own rules for status codes, answers and what cannot be understood."""
    if outcome == "unreachable":
        return Reply(met="unreachable", error=f"{url} cannot be reached")
    if isinstance(outcome, str):
        return Reply(met="failed", error=f"no answer from {url}")
    response: Any = SimpleNamespace(status=outcome.status, headers=dict(outcome.headers))
    reply = transport._reply(url, response, outcome.data)
    if reply.met != "answers":
        return reply
    try:
        if batches:
            answers = msgspec.json.decode(outcome.data, type=transport._Results).results
            return msgspec.structs.replace(reply, answers=answers)
        key = msgspec.json.decode(outcome.data, type=transport._Keys).receipt.public_key
        return msgspec.structs.replace(reply, key=key)
    except UNDECODABLE:
        return transport._not_understood(url, reply.status)
