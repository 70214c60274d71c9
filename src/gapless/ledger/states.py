"""Quiet is not dead: the state of a stream, from claims, data and the source's end."""

from __future__ import annotations

from typing import Literal

import msgspec

from gapless.ledger.ledger import StreamBook

State = Literal[
    "active",
    "quiet",
    "reader stuck",
    "upload stalled",
    "claims down",
    "stream dead",
    "agent silent",
    "spool filling",
    "closed",
    "decommissioned",
]


class Allowances(msgspec.Struct, frozen=True):
    """How long things may take before they count as wrong."""

    lag_s: float = 5.0  #: a seq may be nowhere for so long before it is a gap
    settle_s: float = 15.0  #: what was read longer ago than this should be at rest
    claims_missed_max: int = 3  #: so many claim intervals without a claim are silence
    stalled_s: float = 6.0  #: a backlog, or unread bytes, may stand still for so long
    spool_fills_in_s: float = 3600.0  #: a spool that is full sooner is filling


def silent(stream: StreamBook, now_us: int, allowed: Allowances) -> bool:
    """No claim for longer than allowed: nobody witnesses this stream (I10)."""
    return now_us - stream.last_claim_us > allowed.claims_missed_max * stream.interval_s * 1e6


def ended(stream: StreamBook) -> bool:
    """Its last epoch is closed or it was decommissioned: silence is no alarm."""
    current = stream.epochs.get(stream.current)
    return bool(stream.decommissioned_us) or (current is not None and current.closed_next is not None)


def state_of(stream: StreamBook, agent_silent: bool, now_us: int, allowed: Allowances) -> State:
    """The state of a stream. ``agent_silent``: none of its agent's streams has a fresh claim."""
    if stream.decommissioned_us:
        return "decommissioned"
    if ended(stream):
        return "closed"
    stalled_us = allowed.stalled_s * 1e6
    arriving = now_us - stream.last_batch_us <= stalled_us
    if silent(stream, now_us, allowed):
        if arriving:
            return "claims down"
        return "agent silent" if agent_silent else "stream dead"
    if stream.backlog_first is not None and now_us - stream.backlog_since_us > stalled_us:
        return "upload stalled"
    if stream.fills_in_s is not None and stream.fills_in_s < allowed.spool_fills_in_s and not arriving:
        return "spool filling"
    if stream.unread_bytes and now_us - stream.unread_since_us > stalled_us:
        return "reader stuck"
    return "active" if arriving else "quiet"
