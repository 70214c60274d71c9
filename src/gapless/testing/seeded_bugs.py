"""Seeded bugs: each puts one wrong line into the product, until its stack is closed.

The product has no switch for any of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any
from unittest.mock import patch

import msgspec

from gapless.agent import claim, claims, dispatch, reload, restarts, target, uploader, watching
from gapless.agent import collector as collecting
from gapless.agent import spool as spooling
from gapless.agent.acks import Acks, Outcome
from gapless.agent.collector import Collector, Tick, _Intake
from gapless.agent.config import AgentConfig, parse_config
from gapless.agent.refused import RefusedBatches
from gapless.agent.spool import Spool
from gapless.agent.spool_room import SpoolRoom
from gapless.agent.uploader import Uploader
from gapless.gateway.admission import Admission, Duplicate, Fork, Offer
from gapless.journal.local import LocalJournal
from gapless.lake.changes import StepCommit
from gapless.ledger import audit as auditing
from gapless.ledger.book import EpochBook
from gapless.ledger.ledger import Ledger
from gapless.log.disk import write_atomically
from gapless.log.segments import LogWriter
from gapless.model.errors import Misconfigured, Unavailable
from gapless.model.ranges import RangeSet
from gapless.model.stream import EpochOpen
from gapless.testing import platform_host

Mutation = Callable[[ExitStack], None]


def _replaced(stack: ExitStack, owner: Any, name: str, new: Any) -> None:
    stack.enter_context(patch.object(owner, name, new))


# -- the journal and the logs -----------------------------------------------------------------------------


def _ack_before_fsync(stack: ExitStack) -> None:
    def commit(journal: Any, group: Any) -> Any:
        positions = journal._writer.append([message for waiter in group for message in waiter.messages])
        journal._writer._synced = journal._writer._size
        if journal._writer._size >= journal._writer._segment_bytes_max:
            journal._writer._seal()
        journal._writer._publish()
        return positions

    _replaced(stack, LocalJournal, "_commit", commit)


def _fsync_retried(stack: ExitStack) -> None:
    sync = LogWriter.sync

    class Again:
        def __init__(self, file: Any) -> None:
            self._file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def sync(self) -> None:
            for _ in range(20):
                try:
                    return self._file.sync()  # type: ignore[no-any-return]
                except OSError:
                    pass
            self._file.sync()

    def retried(writer: Any) -> None:
        if writer._file is not None and not isinstance(writer._file, Again):
            writer._file = Again(writer._file)
        sync(writer)

    _replaced(stack, LogWriter, "sync", retried)


def _no_directory_fsync(stack: ExitStack) -> None:
    """A rename whose directory is not synced: small files, and the first name of a segment."""

    class Lazy:
        def __init__(self, disk: Any) -> None:
            self._disk = disk

        def __getattr__(self, name: str) -> Any:
            return getattr(self._disk, name)

        def sync_dir(self, directory: str) -> None:
            return

    def lazily(disk: Any, path: str, data: bytes) -> None:
        lazy: Any = Lazy(disk)
        write_atomically(lazy, path, data)

    for module in (claim, claims, restarts, spooling, target, watching):
        _replaced(stack, module, "write_atomically", lazily)


# -- the agent --------------------------------------------------------------------------------------------


def _free_on_send(stack: ExitStack) -> None:
    begun = Uploader._begun

    def sent(self: Any, url: str, now_s: float, batches: Any, frames: Any) -> Any:
        attempt = begun(self, url, now_s, batches, frames)
        with suppress(Unavailable):
            self._acks.write(Outcome.of(batch, "receipt", 0) for batch in batches)
        return attempt

    _replaced(stack, Uploader, "_begun", sent)


def _free_without_receipt(stack: ExitStack) -> None:
    def believed(batch: Any, answer: Any, receipt_key: str, now_us: int) -> Outcome | None:
        if answer is not None and answer.status == "receipt":
            return Outcome.of(batch, "receipt", now_us, receipt=answer.receipt)
        return dispatch.outcome_of(batch, answer, receipt_key, now_us)

    _replaced(stack, uploader, "outcome_of", believed)


def _cursor_before_spool(stack: ExitStack) -> None:
    flush = _Intake.flush

    def cursors_first(self: Any) -> None:
        if self._count and self._cursors:
            self._spool.add_cursors(self._stream, tuple(self._cursors.values()))
            self._spool.commit()
            self._cursors = {}
        flush(self)

    _replaced(stack, collecting._Intake, "flush", cursors_first)


def _epoch_reused(stack: ExitStack) -> None:
    epoch = Spool._epoch

    def reused(self: Any, stream: Any) -> EpochOpen:
        opened = epoch(self, stream)
        if opened.prev_epoch is None:  # as far as it knows
            return EpochOpen(hashlib.sha256(stream.id.encode()).hexdigest()[:32])
        return opened

    _replaced(stack, Spool, "_epoch", reused)


def _claim_ahead(stack: ExitStack) -> None:
    made = claims.stream_claims

    def ahead(*arguments: Any) -> Any:
        return tuple(msgspec.structs.replace(claim, next=claim.next + 1) for claim in made(*arguments))

    _replaced(stack, claims, "stream_claims", ahead)


def _blank_drops_all(stack: ExitStack) -> None:
    last: list[AgentConfig] = []

    def parsed(text: str) -> AgentConfig:
        try:
            last[:] = [parse_config(text)]
        except Misconfigured:
            if text.strip() or not last:
                raise
            return msgspec.structs.replace(last[0], sources=(), text=text)
        return last[0]

    tick = Collector.tick

    def idle(self: Any, now_us: int, elapsed_us: int, acks: Acks) -> Tick:
        return tick(self, now_us, elapsed_us, acks) if self._factories else Tick()

    _replaced(stack, reload, "parse_config", parsed)
    _replaced(stack, Collector, "tick", idle)


# -- gateway, lake, ledger --------------------------------------------------------------------------------


def _dedupe_by_id(stack: ExitStack) -> None:
    """A batch counts as received if its seqs were: whatever is in it gets a receipt."""
    decide = Admission.decide

    def by_id(admission: Any, offer: Offer, ticket: Any) -> Any:
        decision = decide(admission, offer, ticket)
        if not isinstance(decision, Fork):
            return decision
        epoch = admission._epochs[offer.key]
        row = epoch.unindexed.get(offer.first) or admission._index.lookup(offer.key, offer.first)
        if row is None or row.next != offer.next:
            return decision
        return Duplicate(row._replace(digest=offer.digest))

    _replaced(stack, Admission, "decide", by_id)


def _quarantine_not_counted(stack: ExitStack) -> None:
    post = StepCommit.post
    _replaced(
        stack,
        StepCommit,
        "post",
        lambda commit, posting: None if posting.account == "quarantined" else post(commit, posting),
    )
    _replaced(stack, StepCommit, "check", lambda commit: None)


def _filtered_as_delivered(stack: ExitStack) -> None:
    account = EpochBook._account
    _replaced(
        stack,
        EpochBook,
        "_account",
        lambda book, name: account(book, "stored" if name == "filtered" else name),
    )


def _backfill_twice(stack: ExitStack) -> None:
    """A lake that is made anew is filled from the journal, beside what the one before had posted."""
    _replaced(stack, Ledger, "forget_lake", lambda ledger: None)


def _nothing_is_complete(stack: ExitStack) -> None:
    def judged(ledger: Any, now_us: int, **options: Any) -> Any:
        report = auditing.audit(ledger, now_us, **options)
        return report if report.streams else msgspec.structs.replace(report, verdict="complete")

    _replaced(stack, platform_host, "audit", judged)


def _silent_left_out(stack: ExitStack) -> None:
    judge = auditing._judge_reach

    def spoken(report: Any, *arguments: Any) -> None:
        if report.state not in ("agent silent", "stream dead", "claims down"):
            judge(report, *arguments)

    _replaced(stack, auditing, "_judge_reach", spoken)


def _range_edge(stack: ExitStack) -> None:
    holes = RangeSet.holes

    def short(self: RangeSet, first: int, next_: int) -> Any:
        return [(a, b - 1 if b - a > 1 else b) for a, b in holes(self, first, next_)]

    _replaced(stack, RangeSet, "holes", short)


def _freed_by_edge(stack: ExitStack) -> None:
    """A second edge: the spool takes a segment's last batch for the next one's."""
    free = SpoolRoom.free

    def early(self: Any, acks: Acks) -> int:
        between = self._log.view.between
        self._log.view.between = lambda base, end: between(base, end)[:-1]
        try:
            return free(self, acks)
        finally:
            del self._log.view.between

    _replaced(stack, SpoolRoom, "free", early)


def _refused_for_ever(stack: ExitStack) -> None:
    """Not of the specification: what was refused stays in the spool, also once the gateway would take it."""
    _replaced(stack, RefusedBatches, "due", lambda refused, now_s: [])


#: By the names of the specification, which has all but the last.
MUTANTS: dict[str, Mutation] = {
    "acknowledge before fsync": _ack_before_fsync,
    "free on send": _free_on_send,
    "free on the gateway's word without a receipt": _free_without_receipt,
    "cursor before spool": _cursor_before_spool,
    "epoch reused after a lost spool": _epoch_reused,
    "dedupe by id alone": _dedupe_by_id,
    "claim ahead of what is durable": _claim_ahead,
    "filtered counted as delivered": _filtered_as_delivered,
    "0 of 0 complete": _nothing_is_complete,
    "quarantine not counted": _quarantine_not_counted,
    "silent stream left out of the watermark": _silent_left_out,
    "rename without directory fsync": _no_directory_fsync,
    "fsync retried after it failed": _fsync_retried,
    "off by one at a range's edge": _range_edge,
    "off by one at a segment's edge": _freed_by_edge,
    "backfill posted twice": _backfill_twice,
    "blank config drops all": _blank_drops_all,
    "refused for ever": _refused_for_ever,
}
