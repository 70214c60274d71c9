"""Bounds on what others say: every number fits where it will be stored, every name is one.

JSON numbers have no size. Whoever folds the journal keeps them in 64 bits: so nothing larger enters it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from gapless.model.batch import ORIGINS_MAX, BatchHeader
from gapless.model.claim import ClaimSet, Loss, StreamClaim
from gapless.model.entry import DecommissionEntry
from gapless.model.errors import Refused
from gapless.model.finding import Finding
from gapless.model.stream import GATEWAY_AGENT, EpochOpen, check_epoch, check_name

_NUMBER_MAX = 1 << 62
_INTERVAL_S_MAX = 86_400.0
_ID_CHARACTERS_MAX = 256
_REASON_CHARACTERS_MAX = 2_000
_STREAM = re.compile(r"[0-9a-f]{32}\Z")
_DIGEST = re.compile(r"([0-9a-f]{64})?\Z")


def check_header(header: BatchHeader) -> None:
    """Raises Refused for a batch header that is inconsistent or holds a number out of range."""
    header.check()
    _check_agent(header.stream.agent)
    if header.upload is not None:
        raise Refused("an agent's batch names an upload: only the gateway's own come from one")
    _check_opened(header.opened)
    _check_numbers("a batch's header", (header.read_from_us, header.read_to_us))
    if len(header.renumbers) > ORIGINS_MAX:
        raise Refused(f"the batch names more than {ORIGINS_MAX} earlier places of its seqs")
    for origin in header.renumbers:
        _check_numbers("a renumbered batch", (origin.first + header.count,))
    for part in header.parts:
        _check_numbers("a part of a batch", (part.start, part.end, part.count))


def check_claims(claims: ClaimSet, *, items_max: int) -> None:
    """Raises Refused for claims of another format, with more than ``items_max`` streams, losses, restarts
    and ranges together, that speak of another agent's streams, or that hold a number out of range."""
    if claims.v != 1:
        raise Refused(f"claims format {claims.v} is not known here: upgrade the platform before its agents")
    _check_agent(check_name("agent", claims.agent))
    if not _DIGEST.match(claims.prev):
        raise Refused(
            "the claims name no digest of the statement before them: prev is 64 hex digits, or empty"
        )
    if _items(claims) > items_max:
        raise Refused(f"the claims hold more than {items_max} streams, losses and ranges: use more agents")
    if not 0 < claims.interval_s <= _INTERVAL_S_MAX:
        raise Refused(f"the claims' interval is not between 0 and {_INTERVAL_S_MAX:g} seconds")
    if claims.fills_in_s is not None and not 0 <= claims.fills_in_s < math.inf:
        raise Refused("the claims' fills_in_s is not a number of seconds")
    _check_numbers("the claims", (claims.n, claims.at_us, claims.spool_used_bytes, claims.spool_limit_bytes))
    _check_numbers("a restart", (restart.at_us for restart in claims.restarts))
    for claim in claims.streams:
        _check_stream_claim(claim, claims.agent)
    for loss in claims.losses:
        check_loss(loss)


def check_loss(loss: Loss) -> None:
    """Raises Refused for a loss without identity, or with a number or a range that cannot be."""
    loss.stream.check()
    check_epoch(loss.epoch)
    if not 0 < len(loss.id) <= _ID_CHARACTERS_MAX:
        raise Refused(f"a loss needs an id of 1 to {_ID_CHARACTERS_MAX} characters")
    _check_numbers("a loss", (loss.declared_us, loss.not_before_us, loss.not_after_us, loss.records_min))
    _check_numbers("a loss", (loss.records_max or 0, loss.bytes_lost or 0, loss.ended_at or 0))
    if loss.skipped is not None:
        _check_numbers("a loss", (loss.skipped.start, loss.skipped.end))
    _check_ranges(loss.ranges)


def check_finding(finding: Finding) -> None:
    """Raises Refused for a finding without identity or with a number out of range."""
    if not 0 < len(finding.id) <= _ID_CHARACTERS_MAX:
        raise Refused(f"a finding needs an id of 1 to {_ID_CHARACTERS_MAX} characters")
    _check_numbers("a finding", (finding.at_us, finding.count))


def check_decommission(entry: DecommissionEntry) -> None:
    """Raises Refused without a stream's identity, or without a reason."""
    if not _STREAM.match(entry.stream):
        raise Refused("name the stream by its identity, 32 hex digits: `gapless audit` shows it")
    if not 0 < len(entry.reason.strip()) <= _REASON_CHARACTERS_MAX:
        raise Refused(f"give a reason of 1 to {_REASON_CHARACTERS_MAX} characters")


def _check_agent(agent: str) -> None:
    if agent == GATEWAY_AGENT:
        raise Refused(f"the agent name {GATEWAY_AGENT} is the gateway's own: choose another")


def _check_stream_claim(claim: StreamClaim, agent: str) -> None:
    claim.stream.check()
    if claim.stream.agent != agent:
        raise Refused(f"agent {agent} claims for agent {claim.stream.agent}: each agent claims for itself")
    _check_opened(claim.opened)
    numbers = (claim.next, claim.read_bytes, claim.unread_bytes, claim.reader_us, claim.left_us)
    _check_numbers("a claim", numbers)
    _check_ranges(claim.held)
    _check_ranges(claim.refused)


def _items(claims: ClaimSet) -> int:
    ranges = sum(len(claim.held) + len(claim.refused) for claim in claims.streams)
    ranges += sum(len(loss.ranges) for loss in claims.losses)
    return ranges + len(claims.streams) + len(claims.losses) + len(claims.restarts)


def _check_opened(opened: EpochOpen) -> None:
    check_epoch(opened.epoch)
    if opened.prev_epoch is not None:
        check_epoch(opened.prev_epoch)
    _check_numbers("an epoch", (opened.prev_next or 0,))


def _check_ranges(ranges: Iterable[tuple[int, int]]) -> None:
    for first, next_ in ranges:
        if not 0 <= first < next_ < _NUMBER_MAX:
            raise Refused(f"[{first}, {next_}) is empty or not a range of seqs")


def _check_numbers(what: str, numbers: Iterable[int]) -> None:
    for number in numbers:
        if not 0 <= number < _NUMBER_MAX:
            raise Refused(f"{what} holds {number}: numbers are from 0 to 2^62")
