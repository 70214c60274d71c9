"""What the platform keeps in databases, in memory: the smallest stand-ins that commit all or nothing.

The decisions are the product's (``gateway.fold``, ``lake.writer``, ``platform.books``); here is only what
SQLite and Parquet files do for them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from gapless.gateway.admission import EpochKey, Row
from gapless.gateway.chains import ChainKey
from gapless.gateway.fold import ChainRow, Changes, fold
from gapless.lake.catalog_schema import ERA_BITS
from gapless.lake.changes import NewFile, NewPosting, StepCommit
from gapless.lake.commits import Fenced
from gapless.lake.facts import Account, NoticeRow, Posted, Posting, Window
from gapless.lake.facts import EpochKey as LakeKey
from gapless.lake.intake import Batch, Undecodable, unpack
from gapless.lake.limits import StepLimits
from gapless.lake.writer import LakeWriter
from gapless.ledger.encoding import decode_agent, decode_stream, encode_book
from gapless.ledger.ledger import Ledger, StreamBook
from gapless.log.port import EntryReader
from gapless.model.errors import Busy, Corrupt
from gapless.model.finding import LASTING, Finding, FindingKind
from gapless.model.ranges import Range, RangeSet
from gapless.platform.auditor_store import Message, Step
from gapless.testing.oracle import BAD_MARK, FILTERED_MARK, Oracle

_STEP_BYTES = 4 << 20


class MemoryIndex:
    """The gateway's index. ``open`` is what a restart does to it; with ``anew`` its file was lost."""

    def __init__(self) -> None:
        self._batches: dict[EpochKey, dict[int, Row]] = {}
        self._firsts: dict[EpochKey, list[int]] = {}
        self._ranges: dict[EpochKey, RangeSet] = {}
        self._chains: dict[ChainKey, ChainRow] = {}
        self._fences: dict[EpochKey, Finding] = {}
        self.cursor = 0

    def open(self, reader: EntryReader, *, anew: bool) -> None:
        self._reader = reader
        self._target = reader.durable()
        if anew or self.cursor > self._target:
            self.__init__()  # type: ignore[misc]
            self.open(reader, anew=False)

    @property
    def complete(self) -> bool:
        return self.cursor >= self._target

    def step(self) -> Changes | None:
        frames = self._reader.read(self.cursor, bytes_max=_STEP_BYTES, bodies=False)
        if not frames:
            return None
        changes = fold(frames, self.cursor)
        for key, rows in changes.batches.items():
            known = self._batches.setdefault(key, {})
            for first, row in rows.items():
                known.setdefault(first, row)
            self._firsts[key] = sorted(known)
        for key, ranges in changes.ranges.items():
            self._ranges.setdefault(key, RangeSet()).update(ranges)
        for chain, newest in changes.chains.items():
            before = self._chains.get(chain)
            if before is None or newest.n > before.n:
                self._chains[chain] = newest
        self._fences.update(changes.fences)
        self.cursor = changes.position
        return changes

    def ranges(self, key: EpochKey) -> RangeSet:
        self._check()
        return self._ranges.get(key, RangeSet()).copy()

    def lookup(self, key: EpochKey, first: int) -> Row | None:
        self._check()
        return self._batches.get(key, {}).get(first)

    def chain(self, key: ChainKey) -> ChainRow | None:
        return self._chains.get(key)

    def fences(self) -> list[EpochKey]:
        return list(self._fences)

    def _check(self) -> None:
        if not self.complete:
            raise Busy("the gateway's index is catching up with its journal: send it again in a moment")


class MemoryCatalog:
    """The lake's catalogue and its tables: cursor, postings and rows move together or not at all. One that
    takes the place of another has the next ``era``."""

    root = "lake"

    def __init__(self, oracle: Oracle, era: int = 1) -> None:
        self._oracle = oracle
        self._base = era << ERA_BITS
        self._position = 0
        self._accounted: dict[tuple[str, str], RangeSet] = defaultdict(RangeSet)
        self._postings: list[Posting] = []
        self._notices: list[NoticeRow] = []
        self.rows: list[tuple[NewPosting, list[bytes]]] = []  # of the step that is about to commit

    def position(self) -> int:
        return self._position

    @property
    def last_id(self) -> int:
        """Of a posting; 0 while there is none."""
        return self._postings[-1].id if self._postings else 0

    def accounted(self, windows: Iterable[Window]) -> dict[tuple[str, str], RangeSet]:
        known: dict[tuple[str, str], RangeSet] = defaultdict(RangeSet)
        for window in windows:
            key = (window.stream, window.epoch)
            known[key].update(self._accounted[key].overlap(window.first, window.next))
        return known

    def commit_step(self, step: StepCommit, now_us: int) -> None:
        step.check()
        if step.position != self._position:
            raise Fenced("the cursor is not where the step began")
        for posting in step.postings:
            held = self._accounted[posting.key.stream, posting.key.epoch]
            if held.add(posting.first, posting.next) != posting.next - posting.first:
                raise Corrupt(f"records of [{posting.first}, {posting.next}) would be stored twice")
            self._postings.append(
                Posting(
                    self._base + len(self._postings) + 1,
                    posting.key.stream,
                    posting.key.epoch,
                    posting.account,
                    posting.first,
                    posting.next,
                    now_us,
                    posting.position,
                    posting.until,
                )
            )
        self._notices += [
            NoticeRow(self._base + len(self._notices) + at + 1, now_us, notice)
            for at, notice in enumerate(step.notices)
        ]
        self._position = step.until
        for posting, lines in self.rows:
            keep = self._oracle.kept_out if posting.account == "filtered" else self._oracle.stored
            keep(posting.key, posting.first, lines)
        self.rows = []

    def posted_after(self, id_: int, limit: int) -> Posted:
        at = bisect_left(self._postings, id_ + 1, key=lambda posting: posting.id)
        return Posted(self._postings[at : at + limit], 0)

    def notices_after(self, id_: int, limit: int) -> list[NoticeRow]:
        at = max(0, id_ - self._base)
        return self._notices[at : at + limit]

    def damaged_files(self) -> list[tuple[str, str, str]]:
        return []


class _NoFiles:
    def sync_names(self, paths: Sequence[str]) -> None: ...

    def unlink(self, paths: Sequence[str]) -> None: ...


class MemoryLake(LakeWriter):
    """The lake's writer, whose tables are lists of lines: what begins with a mark is quarantined, or filtered
    by a rule."""

    def __init__(self, catalog: MemoryCatalog, reader: EntryReader) -> None:
        limits = StepLimits(entries_max=200)
        super().__init__(catalog, _NoFiles(), reader, None, limits)  # type: ignore[arg-type]
        self._memory = catalog

    def mend(self, now_us: int) -> None:
        """Nothing: its files are never damaged."""

    def _store(self, batches: Sequence[Batch], commit: StepCommit) -> None:
        self._memory.rows = []
        for batch in batches:
            header = batch.header
            try:
                lines = unpack(batch, raw_bytes_max=self._limits.raw_bytes_max).split(b"\n")[:-1]
            except Undecodable as error:
                raise Corrupt(f"a batch of the journal cannot be unpacked: {error}") from error
            for first, next_ in batch.new:
                self._store_run(batch, first, lines[first - header.first : next_ - header.first], commit)

    def _store_run(self, batch: Batch, first: int, lines: list[bytes], commit: StepCommit) -> None:
        stream = batch.header.stream
        key = LakeKey(stream.tenant, stream.table, batch.stream, batch.header.epoch)
        at, held = 0, list[Range]()
        while at < len(lines):
            end, account = at, _account(lines[at])
            while end < len(lines) and _account(lines[end]) == account:
                end += 1
            posting = NewPosting(key, account, first + at, first + end, batch.position, batch.until)
            commit.post(posting)
            self._memory.rows.append((posting, lines[at:end]))
            if account != "filtered":
                held.append((posting.first, posting.next))
            at = end
        if not held:
            return
        count = sum(next_ - first for first, next_ in held)
        tenant, table = stream.tenant, stream.table
        holds = {(batch.stream, batch.header.epoch): np.array(held)}
        commit.files.append(NewFile(tenant, table, "mixed", "memory", count, count, 1, 0, 0, 0, "", holds))


def _account(line: bytes) -> Account:
    if line.startswith(BAD_MARK):
        return "quarantined"
    return "filtered" if line.startswith(FILTERED_MARK) else "stored"


class MemoryLedgerStore:
    """The ledger's file: books, findings, outbox and cursors, as they were last committed."""

    def __init__(self) -> None:
        self._state = dict.fromkeys(
            ("format", "step", "journal", "posting", "folded", "notice", "audited_us", "told_us"), 0
        )
        self._books: dict[str, bytes] = {}
        self._decoded: dict[str, tuple[bytes, StreamBook]] = {}
        self._agents: dict[tuple[str, str], bytes] = {}
        self.findings: dict[str, Finding] = {}
        self.closed_us: dict[str, int] = {}
        self._sent: set[str] = set()
        self._numbers = 0
        self.outbox: dict[int, tuple[str, Message]] = {}

    @property
    def read_upto(self) -> int:
        """The cursor in the lake's postings."""
        return self._state["posting"]

    @property
    def audited_us(self) -> int:
        return self._state["audited_us"]

    def close(self) -> None: ...

    def in_place(self) -> bool:
        return True

    def doubt(self, error: Exception) -> None: ...

    def discard(self, why: str) -> None: ...

    def load(self) -> tuple[Ledger, dict[str, int], list[Finding]]:
        ledger = Ledger()
        ledger.streams = {id_: decode_stream(book) for id_, book in self._books.items()}
        ledger.agents = {key: decode_agent(book) for key, book in self._agents.items()}
        known = [f for f in self.findings.values() if f.kind in LASTING and f.id not in self.closed_us]
        return ledger, dict(self._state), known

    def seen(self) -> Ledger:
        """The books as last committed. Not to be changed."""
        ledger = Ledger()
        for id_, book in self._books.items():
            known = self._decoded.get(id_)
            if known is None or known[0] is not book:
                known = self._decoded[id_] = book, decode_stream(book)
            ledger.streams[id_] = known[1]
        return ledger

    def unknown(self, findings: Sequence[Finding]) -> list[Finding]:
        return [each for each in findings if each.id not in self.findings]

    def opened(self, kind: FindingKind) -> list[Finding]:
        of_kind = [each for each in self.findings.values() if each.kind == kind]
        return [each for each in of_kind if each.id not in self.closed_us]

    def commit(self, ledger: Ledger, step: Step) -> None:
        for id_ in ledger.changed:
            self._books[id_] = encode_book(ledger.streams[id_])
        for key in ledger.changed_agents:
            self._agents[key] = encode_book(ledger.agents[key])
        self._keep_findings(step)
        for loss in step.losses:
            self._send(f"loss {loss.id}", "loss", msgspec.json.encode(loss))
        gone = {f"{each.state} {each.id}" for each in step.journaled}
        gone |= {f"loss {id_}" for id_ in step.journaled_losses}
        for n in [n for n, (name, _) in self.outbox.items() if name in gone]:
            del self.outbox[n]
        self._state |= step.cursors
        self._state["step"] += 1
        ledger.changed.clear()
        ledger.changed_agents.clear()

    def _keep_findings(self, step: Step) -> None:
        for each in step.told:
            if each.state == "closed" or each.id not in self.findings:
                self._send(f"{each.state} {each.id}", "finding", msgspec.json.encode(each))
        for each in (*step.journaled, *step.told):
            self.findings.setdefault(each.id, each)
            if each.state == "closed":
                self.closed_us.setdefault(each.id, each.at_us)
        for each in step.grown:
            self.findings[each.id] = each

    def first(self, limit: int) -> list[Message]:
        """The outbox, as who posts it sees it."""
        return [message for _, (_, message) in sorted(self.outbox.items())[:limit]]

    def remove(self, rows: Sequence[Message]) -> None:
        """These were posted."""
        for row in rows:
            self.outbox.pop(row.n, None)

    def _send(self, name: str, kind: Any, message: bytes) -> None:
        if name not in {known for known, _ in self.outbox.values()}:
            self._numbers += 1
            self.outbox[self._numbers] = (name, Message(self._numbers, kind, message))
