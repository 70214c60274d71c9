"""Quiet is not dead: the state of a stream, from claims, data and the source's end."""

from __future__ import annotations

from typing import Literal

import msgspec

from gapless.ledger.ledger import Ledger, StreamBook

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
    stalled_s: float = 5.0  #: a backlog may stand still for so long
    reader_stalled_s: float = 20.0  #: unread bytes may: a possible copy, or a line without end, is held back
    spool_fills_in_s: float = 3600.0  #: a spool that is full sooner is filling
    lake_stalled_s: float = 15.0  #: the lake may stand still for so long while the journal goes on
    audited_s: float = 10.0  #: books that were brought up to date longer ago prove nothing of now


def silent(stream: StreamBook, now_us: int, allowed: Allowances) -> bool:
    """No claim for longer than allowed: nobody witnesses this stream (I10). A new one gets as long."""
    return now_us - heard_us(stream) > allowed.claims_missed_max * stream.interval_s * 1e6


def heard_us(stream: StreamBook) -> int:
    """When the stream last claimed, or was registered."""
    return max(stream.last_claim_us, stream.registered_us)


def silent_agents(ledger: Ledger, now_us: int, allowed: Allowances) -> set[tuple[str, str]]:
    """The agents, as (tenant, agent), none of whose streams has a fresh claim."""
    agents: set[tuple[str, str]] = set()
    speaking: set[tuple[str, str]] = set()
    for stream in ledger.streams.values():
        agent = stream.key.tenant, stream.key.agent
        agents.add(agent)
        if agent not in speaking and not silent(stream, now_us, allowed):
            speaking.add(agent)
    return agents - speaking


def arriving(stream: StreamBook, now_us: int, allowed: Allowances) -> bool:
    """A batch came a short while ago."""
    return now_us - stream.last_batch_us <= allowed.stalled_s * 1e6


def claims_down(stream: StreamBook, now_us: int, allowed: Allowances) -> bool:
    """Of a silent stream: batches arrive, and did after a claim was due. An agent that dies has its last
    batch about when it has its last claim."""
    overdue_us = heard_us(stream) + 2 * stream.interval_s * 1e6
    return arriving(stream, now_us, allowed) and stream.last_batch_us > overdue_us


def upload_stalled(stream: StreamBook, now_us: int, allowed: Allowances) -> bool:
    """By the latest claim: a backlog, and none of it has arrived for longer than allowed."""
    return stream.backlog_first is not None and now_us - stream.backlog_since_us > allowed.stalled_s * 1e6


def reader_stuck(stream: StreamBook, now_us: int, allowed: Allowances) -> bool:
    """By the latest claim: bytes unread, and the reader has not moved for longer than allowed, or has left
    them out."""
    stands = stream.unread_bytes > 0 and now_us - stream.unread_since_us > allowed.reader_stalled_s * 1e6
    return stands or leaves_out(stream, now_us, allowed)


def leaves_out(stream: StreamBook, now_us: int, allowed: Allowances) -> bool:
    """By the latest claim: a part of its source was left unread while the rest was read, or could not be
    looked at. The agent has allowed for what its settings let wait."""
    return stream.left_since_us > 0 and now_us - stream.left_since_us > allowed.stalled_s * 1e6


def spool_filling(stream: StreamBook, now_us: int, allowed: Allowances) -> bool:
    """By the latest claim: the spool is full before long, and nothing of this stream arrives."""
    soon = stream.fills_in_s is not None and stream.fills_in_s < allowed.spool_fills_in_s
    return soon and not arriving(stream, now_us, allowed)


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
    if silent(stream, now_us, allowed):
        if claims_down(stream, now_us, allowed):
            return "claims down"
        return "agent silent" if agent_silent else "stream dead"
    if upload_stalled(stream, now_us, allowed):
        return "upload stalled"
    if spool_filling(stream, now_us, allowed):
        return "spool filling"
    if reader_stuck(stream, now_us, allowed):
        return "reader stuck"
    return "active" if arriving(stream, now_us, allowed) else "quiet"
