"""Conditions: what is wrong with the books as of now, and lasts until it is over.

Each has a key of its own, so that whoever looks again tells one that goes on from a new one.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gapless.ledger.book import EpochBook
from gapless.ledger.events import name_of, quoted
from gapless.ledger.ledger import Ledger, StreamBook
from gapless.ledger.states import (
    Allowances,
    claims_down,
    ended,
    heard_us,
    leaves_out,
    reader_stuck,
    silent,
    silent_agents,
    spool_filling,
    upload_stalled,
)
from gapless.model.finding import FindingKind
from gapless.model.ranges import Range
from gapless.model.stream import StreamKey

_RANGES_SHOWN = 8


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong; fields as in ``Finding``. The key begins with its kind.

    ``opens`` is False where it cannot be known anew: a finding that is open stays so, none is opened.
    """

    key: str
    kind: FindingKind
    text: str
    tenant: str = ""
    table: str = ""
    agent: str = ""
    stream: str = ""
    epoch: str = ""
    count: int = 0
    edge: str = ""
    opens: bool = True


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the books themselves do not say.

    ``watched_us``: since when they have been brought up to date without a break; before that nobody could
    claim, and what stood still may have had to. ``lake_stalled_us``: for how long the lake's cursor has not
    moved, ``lake_behind_bytes`` behind the journal (None: that is not known yet). ``unbalanced``: what does
    not add up, by stream and epoch.
    """

    watched_us: int = 0
    lake_stalled_us: int | None = 0
    lake_behind_bytes: int = 0
    unbalanced: dict[tuple[str, str], list[str]] = msgspec.field(default_factory=dict)


def conditions(ledger: Ledger, around: Surroundings, now_us: int, allowed: Allowances) -> Iterator[Condition]:
    """All that is wrong as of ``now_us``. ``Ledger.review`` must have been called for that time."""
    yield from _of_lake(around, allowed)
    agents = _Agents(silent_agents(ledger, now_us, allowed))
    for stream_id, stream in ledger.streams.items():
        for epoch, book in stream.epochs.items():
            unclosed = book.closed_next is None and epoch != stream.current
            if unclosed or book.suspects or book.refused or book.jumps:
                yield from _of_epoch(stream_id, stream, epoch, book, around, now_us, allowed)
        if ended(stream):
            continue
        stale = silent(stream, now_us, allowed)
        if stale or upload_stalled(stream, now_us, allowed) or reader_stuck(stream, now_us, allowed):
            yield from _of_stream(stream_id, stream, stale, agents, around, now_us, allowed)
        if stream.fills_in_s is not None:
            opens = not stale and _settled(stream, around, now_us, allowed)
            agents.filling(stream, spool_filling(stream, now_us, allowed), opens=opens)
    for (stream_id, epoch), faults in around.unbalanced.items():
        text = f"{ledger.streams[stream_id].name}: its accounts contradict each other: {'; '.join(faults)}"
        yield _on(ledger.streams[stream_id].key, "books_unbalanced", stream_id, epoch, text)
    yield from agents.conditions(now_us)


def _of_lake(around: Surroundings, allowed: Allowances) -> Iterator[Condition]:
    stood_us = around.lake_stalled_us
    if around.lake_behind_bytes and (stood_us is None or stood_us > 0):
        text = (
            f"the lake: it has not moved for {(stood_us or 0) / 1e6:.0f} s, and is "
            f"{around.lake_behind_bytes} bytes behind the journal"
        )
        opens = stood_us is not None and stood_us > allowed.lake_stalled_s * 1e6
        yield Condition(key="lake_stalled", kind="lake_stalled", text=text, opens=opens)


def _of_epoch(
    stream_id: str,
    stream: StreamBook,
    epoch: str,
    book: EpochBook,
    around: Surroundings,
    now_us: int,
    allowed: Allowances,
) -> Iterator[Condition]:
    key, name = stream.key, stream.name
    lag_us = int(allowed.lag_s * 1e6)
    gaps = book.gaps(now_us, lag_us)
    # Books that were made anew do not know since when a seq is suspect: what was a gap may still be one.
    opens, recent = bool(gaps), now_us - around.watched_us <= lag_us
    if gaps or (book.suspects and recent):
        gaps = gaps or book.suspects
        missing = [(gap.first, gap.next) for gap in gaps]
        edges = ", ".join(sorted({book.edge(gap) for gap in gaps}))
        text = f"{name}: {_count(missing)} records missing, {_ranges(missing)}, {edges}"
        yield _on(key, "gap", stream_id, epoch, text, count=_count(missing), edge=edges, opens=opens)
    # What a spool that is gone held, and the gateway refused, is missing: the gap says so.
    refused = [each for first, next_ in book.refused for each in book.held.overlap(first, next_)]
    if refused:
        text = (
            f"{name}: the gateway refuses {_count(refused)} records that the spool holds, {_ranges(refused)}"
        )
        yield _on(key, "refused_batches", stream_id, epoch, text, count=_count(refused))
    if epoch != stream.current and book.closed_next is None:
        text = f"{name}: an epoch ended at {book.next} or later, and nothing says where"
        yield _on(key, "epoch_unclosed", stream_id, epoch, text)
    for jump_name, (jump, _) in book.jumps.items():
        passed = (
            f"{jump.end - jump.start} bytes were passed over" if jump.end > jump.start else "it went back"
        )
        text = (
            f"{name}: {passed} in file {quoted(jump.file)}, from {jump.start} to {jump.end}, without a reason"
        )
        yield _on(key, "discontinuity", stream_id, epoch, text, part=name_of(jump_name)[:16])


def _of_stream(
    stream_id: str,
    stream: StreamBook,
    stale: bool,
    agents: _Agents,
    around: Surroundings,
    now_us: int,
    allowed: Allowances,
) -> Iterator[Condition]:
    key, name = stream.key, stream.name
    settled = _settled(stream, around, now_us, allowed)
    if stale:
        yield from _of_silence(stream_id, stream, settled, agents, now_us, allowed)
    # Of a stream that is silent nobody knows whether these are over.
    opens = settled and not stale
    if upload_stalled(stream, now_us, allowed):
        held = _held(stream)
        stood_s = (now_us - stream.backlog_since_us) / 1e6
        text = (
            f"{name}: the spool holds {held} records from seq {stream.backlog_first} on, and none has "
            f"arrived for {stood_s:.0f} s"
        )
        yield _on(key, "upload_stalled", stream_id, stream.current, text, count=held, opens=opens)
    if reader_stuck(stream, now_us, allowed):
        text = f"{name}: {_what_is_unread(stream, now_us, allowed)}"
        yield _on(key, "reader_stuck", stream_id, stream.current, text, opens=opens)


def _what_is_unread(stream: StreamBook, now_us: int, allowed: Allowances) -> str:
    if leaves_out(stream, now_us, allowed):
        left_s = (now_us - stream.left_since_us) / 1e6
        return f"files or directories that cannot be read, or are too many, are left out for {left_s:.0f} s"
    stood_s = (now_us - stream.unread_since_us) / 1e6
    return f"{stream.unread_bytes} bytes are unread, and the reader has not moved for {stood_s:.0f} s"


def _of_silence(
    stream_id: str, stream: StreamBook, settled: bool, agents: _Agents, now_us: int, allowed: Allowances
) -> Iterator[Condition]:
    """One of three kinds; while it is not settled which, what was said stays."""
    key, name = stream.key, stream.name
    down = claims_down(stream, now_us, allowed)
    dead = not down and (key.tenant, key.agent) not in agents.silent
    unheard_s = (now_us - heard_us(stream)) / 1e6
    if down or not settled:
        text = f"{name}: records arrive, but no claim has for {unheard_s:.0f} s"
        yield _on(key, "claims_down", stream_id, stream.current, text, opens=settled)
    if dead or not settled:
        text = f"{name}: no claim for {unheard_s:.0f} s, while its agent makes others"
        yield _on(key, "stream_dead", stream_id, stream.current, text, opens=settled)
    if not (down or dead) or not settled:
        agents.unheard(stream, opens=settled)


def _settled(stream: StreamBook, around: Surroundings, now_us: int, allowed: Allowances) -> bool:
    """Whether it was watched for long enough: after a break everybody gets the time that they are allowed,
    from then on."""
    grace_us = max(allowed.stalled_s, allowed.claims_missed_max * stream.interval_s) * 1e6
    return now_us - around.watched_us > grace_us


class _Agents:
    """What is said once of an agent, however many streams it has."""

    def __init__(self, silent: set[tuple[str, str]]) -> None:
        self.silent = silent
        self._unheard: dict[tuple[str, str], tuple[int, int, bool]] = {}
        self._filling: dict[tuple[str, str], tuple[StreamBook, bool, bool]] = {}

    def unheard(self, stream: StreamBook, *, opens: bool) -> None:
        """A stream without a witness, of an agent that says nothing."""
        agent = stream.key.tenant, stream.key.agent
        streams, last_us, opened = self._unheard.get(agent, (0, 0, False))
        self._unheard[agent] = streams + 1, max(last_us, heard_us(stream)), opened or opens

    def filling(self, stream: StreamBook, is_so: bool, *, opens: bool) -> None:
        """A stream of an agent whose spool fills: it is so if none of them gets anything through."""
        agent = stream.key.tenant, stream.key.agent
        _, opened, others = self._filling.get(agent, (stream, True, True))
        self._filling[agent] = stream, opened and opens, others and is_so

    def conditions(self, now_us: int) -> Iterator[Condition]:
        for (tenant, agent), (streams, last_us, opens) in self._unheard.items():
            unheard_s = (now_us - last_us) / 1e6
            text = (
                f"agent {agent} of {tenant}: it has claimed nothing for {unheard_s:.0f} s, and {streams} "
                "streams have no witness"
            )
            yield _of_agent("agent_silent", tenant, agent, text, opens)
        for (tenant, agent), (stream, opens, is_so) in self._filling.items():
            if is_so:
                text = (
                    f"agent {agent} of {tenant}: its spool holds {stream.spool_used_bytes} of "
                    f"{stream.spool_limit_bytes} bytes and is full in {stream.fills_in_s:.0f} s"
                )
                yield _of_agent("spool_filling", tenant, agent, text, opens)


def _on(
    key: StreamKey,
    kind: FindingKind,
    stream_id: str,
    epoch: str,
    text: str,
    *,
    part: str = "",
    count: int = 0,
    edge: str = "",
    opens: bool = True,
) -> Condition:
    """A condition of an epoch, or of a part of it that ``part`` names."""
    return Condition(
        key=f"{kind}/{stream_id}/{epoch}" + (f"/{part}" if part else ""),
        kind=kind,
        text=text,
        tenant=key.tenant,
        table=key.table,
        agent=key.agent,
        stream=stream_id,
        epoch=epoch,
        count=count,
        edge=edge,
        opens=opens,
    )


def _of_agent(kind: FindingKind, tenant: str, agent: str, text: str, opens: bool) -> Condition:
    key = f"{kind}/{name_of(tenant, agent)}"
    return Condition(key=key, kind=kind, text=text, tenant=tenant, agent=agent, opens=opens)


def _held(stream: StreamBook) -> int:
    """Records that the spool holds and the gateway does not refuse."""
    book = stream.epochs[stream.current]
    return sum(b - a for first, next_ in book.held for a, b in book.refused.holes(first, next_))


def _count(ranges: list[Range]) -> int:
    return sum(next_ - first for first, next_ in ranges)


def _ranges(ranges: list[Range]) -> str:
    shown = ", ".join(f"[{first}, {next_})" for first, next_ in ranges[:_RANGES_SHOWN])
    more = len(ranges) - _RANGES_SHOWN
    return shown if more <= 0 else f"{shown} and {more} ranges more"
