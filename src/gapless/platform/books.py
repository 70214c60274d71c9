"""The ledger on disk: folded from the journal and the lake's postings, audited, and kept.

One process folds (``Bookkeeper``), any may read (``read_ledger``, or ``auditor_reader`` for whoever reads
often). All is a fold of the journal and of the lake's postings: delete the file and it is made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from gapless.lake.catalog_schema import ERA_BITS
from gapless.ledger.auditor import Auditor
from gapless.ledger.ledger import Ledger
from gapless.ledger.passed import Passed
from gapless.ledger.states import Allowances
from gapless.log.frame import DAMAGED, Frame
from gapless.log.port import EntryReader
from gapless.model.entry import BatchEntry, ClaimsEntry, DecommissionEntry, Kind, LossEntry
from gapless.model.errors import UNDECODABLE, Refused, Unavailable
from gapless.model.finding import Finding, FindingKind
from gapless.platform.auditor_notices import file_forgotten, finding_of, id_of_file, loss_of, loss_of_file
from gapless.platform.auditor_reader import BooksReader
from gapless.platform.auditor_store import Step

_NOTICES_MAX = 100  # in one step


class LakeView(Protocol):
    """The lake's catalogue as the ledger sees it: see ``Catalog``. Each method may raise Unavailable while
    there is no lake yet."""

    def position(self) -> int: ...
    def posted_after(self, id_: int, limit: int) -> Any: ...
    def notices_after(self, id_: int, limit: int) -> list[Any]: ...
    def damaged_files(self) -> list[Any]: ...


class BooksStore(Protocol):
    """Where the books are kept: see ``LedgerStore``."""

    def in_place(self) -> bool: ...
    def doubt(self, error: Exception) -> None: ...
    def discard(self, why: str) -> None: ...
    def load(self) -> tuple[Ledger, dict[str, int], list[Finding]]: ...
    def unknown(self, findings: Sequence[Finding]) -> list[Finding]: ...
    def opened(self, kind: FindingKind) -> list[Finding]: ...
    def commit(self, ledger: Ledger, step: Step) -> None: ...
    def close(self) -> None: ...


class Bookkeeper:
    """Folds the journal and the lake's postings into the ledger of ``store``, audits it, and keeps it.

    ``caught_up`` tells whether the last step had folded all that was durable when it began.
    """

    def __init__(
        self,
        store: BooksStore,
        reader: EntryReader,
        lake: LakeView,
        *,
        allowed: Allowances | None = None,
        entries_bytes_max: int = 4 << 20,
        postings_max: int = 10_000,
    ) -> None:
        self._store = store
        self._reader = reader
        self._lake = lake
        self._entries_bytes_max = entries_bytes_max
        self._postings_max = postings_max
        self._auditor = Auditor(allowed or Allowances())
        self._passed = Passed()
        self.caught_up = self._loaded = False
        self._load()

    @property
    def cursor(self) -> int:
        """The journal position up to which the books are folded."""
        return self._state["journal"]

    def step(self, now_us: int) -> int:
        """Fold what there is, up to the bounds; audit the books as of ``now_us`` if they have caught up and
        it is time; commit it. Returns how many entries, postings and notices it was. Raises Unavailable:
        call it again."""
        try:
            if not self._loaded or not self._store.in_place():
                self._load()
            return self._step(now_us)
        except Exception as error:
            # What is in memory may be ahead of what is kept: go back to that, or entries count twice.
            self._loaded = self.caught_up = False
            self._store.doubt(error)
            if isinstance(error, sa.exc.DBAPIError):
                raise Unavailable("the books could not be kept: will be tried again") from error
            raise

    def _load(self) -> None:
        self.ledger, self._state, known = self._store.load()
        self._auditor.start_from(self.ledger, known, self._state["told_us"])
        self._passed.forget()
        self._loaded = self._lake_may_be_new = True

    def _step(self, now_us: int) -> int:
        began, durable = self.cursor, self._reader.durable()
        step = Step(cursors={name: self._state[name] for name in ("journal", "posting", "folded", "notice")})
        taken = self._fold_entries(step, now_us)
        damaged = self._damaged_files()  # before the notices: what was mended until then is among them
        lake = self._lake_position()  # before the postings: what was posted until then is among them
        posted, all_posted = self._fold_postings(step, now_us)
        taken += posted
        if all_posted:  # of a batch that is damaged, the lake may have stored another copy
            taken += self._fold_notices(step)
        if damaged is not None and not taken:
            taken += self._close_forgotten(step, damaged, now_us)
        self._adopt(step)
        self._auditor.touched(self.ledger.changed)
        # A journal that ends before the cursor lost its end: what the books say of now is not known then.
        self.caught_up = began <= durable <= step.cursors["journal"]
        audited = self.caught_up and self._auditor.due(now_us)
        if audited:
            if lake is not None and all_posted:
                self._passed.look(self.ledger, journal=step.cursors["journal"], lake=lake)
            self._audit(step, now_us, lake)
        if taken or audited:
            step.cursors["told_us"] = self._auditor.last_us
            self._store.commit(self.ledger, step)
            self._state |= step.cursors
        return taken

    def close(self) -> None:
        self._store.close()

    def _fold_entries(self, step: Step, now_us: int) -> int:
        entries = self._reader.read(step.cursors["journal"], bytes_max=self._entries_bytes_max, bodies=False)
        for entry in entries:
            fold(self.ledger, entry, step, now_us)
            step.cursors["journal"] = entry.next_position
        return len(entries)

    def _fold_postings(self, step: Step, now_us: int) -> tuple[int, bool]:
        """How many were folded, and whether those were all."""
        taken = 0
        try:
            postings, folded_id = self._lake.posted_after(step.cursors["posting"], self._postings_max)
        except Unavailable:
            return 0, False
        self._check_not_set_back(step, folded_id)
        for posting in postings:
            if posting.until > step.cursors["journal"]:  # the batches it speaks of are not folded yet
                return taken, False
            self._enter_era(step, posting.id, folded_id)
            if posting.account == "lost":
                self._declare_lost(step, posting, now_us)
            self._believe(posting)
            step.told += self.ledger.posting(
                posting.account, posting.stream, posting.epoch, posting.first, posting.next, at_us=now_us
            )
            step.cursors["posting"] = posting.id
            taken += 1
        return taken, len(postings) < self._postings_max

    def _check_not_set_back(self, step: Step, folded_id: int) -> None:
        """The lake folds postings that the books have read. Books that are read again from their beginning
        are told the same; books that went on from before what was folded, as a restored copy of them would,
        are not, and are made anew. Raises Unavailable then."""
        cursor = step.cursors["posting"]
        if cursor >> ERA_BITS == folded_id >> ERA_BITS and max(cursor, step.cursors["folded"]) < folded_id:
            self._store.discard("it is older than what the lake was told of it")
            raise Unavailable("the books were set back: they are made anew")

    def _enter_era(self, step: Step, id_: int, folded_id: int) -> None:
        """A posting or notice of another lake, which is made from the journal anew, and says all of it. Up to
        ``folded_id`` its postings were folded when they began to be read."""
        if id_ >> ERA_BITS != step.cursors["posting"] >> ERA_BITS:
            self.ledger.forget_lake()  # nothing, if it is the first one
            self._passed.forget()
            step.cursors["posting"] = id_ >> ERA_BITS << ERA_BITS
            step.cursors["folded"] = folded_id
            self._lake_may_be_new = True

    def _damaged_files(self) -> set[str] | None:
        """Of a lake that may be a new one, the ids of the findings of its damaged files."""
        try:
            return (
                {id_of_file(*each) for each in self._lake.damaged_files()} if self._lake_may_be_new else None
            )
        except Unavailable:
            return None

    def _close_forgotten(self, step: Step, damaged: set[str], now_us: int) -> int:
        """Findings of damaged files that the lake knows nothing of: it was made anew, without them. Returns
        how many were closed."""
        forgotten = [each for each in self._store.opened("file_damaged") if each.id not in damaged]
        step.told += [file_forgotten(each, now_us) for each in forgotten]
        self._lake_may_be_new = False
        return len(forgotten)

    def _believe(self, posting: Any) -> None:
        """Seqs that the journal never had are no business of the lake's (I2), unless the journal cannot say:
        where it is damaged just there, the lake read before what the books could not."""
        if posting.account not in ("stored", "quarantined", "filtered"):
            return
        unheard = self.ledger.unheard(posting.stream, posting.epoch, posting.first, posting.next)
        if unheard and self._is_damaged(posting.position, posting.until):
            self.ledger.vouch(posting.stream, posting.epoch, unheard)

    def _is_damaged(self, position: int, until: int) -> bool:
        """Whether the journal has something in ``[position, until)`` that cannot be read."""
        while position < until:
            frames = self._reader.read(position, bytes_max=self._entries_bytes_max, bodies=False)
            if any(frame.kind == DAMAGED and frame.position < until for frame in frames):
                return True
            if not frames:
                return False
            position = frames[-1].next_position
        return False

    def _declare_lost(self, step: Step, posting: Any, now_us: int) -> None:
        """What the lake gave up is a loss of its own in the journal."""
        stream = self.ledger.streams.get(posting.stream)
        book = stream.epochs.get(posting.epoch) if stream else None
        if stream is None or book is None:
            return  # the posting itself is told of
        loss = loss_of_file(stream.key, book, posting, now_us)
        if loss.id not in stream.losses:
            step.losses.append(loss)

    def _fold_notices(self, step: Step) -> int:
        taken = 0
        try:
            notices = self._lake.notices_after(step.cursors["notice"], _NOTICES_MAX)
        except Unavailable:
            return 0
        for row in notices:
            if row.notice.until > step.cursors["journal"]:
                break
            step.told.append(finding_of(row.notice, row.at_us))
            self._enter_era(step, row.id, 0)
            loss = loss_of(row.notice, row.at_us, self._reader)
            if loss is not None and not self.ledger.at_rest(loss):
                if self._knows(loss.stream.id, loss.id):
                    self.ledger.lose(loss)  # this lake has none of it, as the one before
                else:
                    step.losses.append(loss)
            step.cursors["notice"] = row.id
            taken += 1
        return taken

    def _knows(self, stream_id: str, loss_id: str) -> bool:
        stream = self.ledger.streams.get(stream_id)
        return stream is not None and loss_id in stream.losses

    def _adopt(self, step: Step) -> None:
        """Findings of the journal that are not known here: the gateway's, or one's own of an earlier file."""
        unknown = {finding.id for finding in self._store.unknown(step.journaled)}
        for finding in step.journaled:
            if finding.state == "closed" or finding.id in unknown:
                step.told += self._auditor.adopt(finding)

    def _lake_position(self) -> int | None:
        try:
            return self._lake.position()
        except Unavailable:
            return None

    def _audit(self, step: Step, now_us: int, lake: int | None) -> None:
        changes = self._auditor.look(self.ledger, now_us, journal=step.cursors["journal"], lake=lake)
        step.told += changes.told
        step.grown += changes.grown
        step.cursors["audited_us"] = now_us


def fold(ledger: Ledger, entry: Frame, step: Step, now_us: int) -> None:
    """What one journal entry does to the books, and what it tells, which goes to ``step``. Kinds that are
    none of theirs do nothing; an entry that says nothing this version knows is told of, and passed over."""
    try:
        _fold(ledger, entry, step)
    except (*UNDECODABLE, Refused) as error:
        unreadable = Finding(
            id=f"journal_damaged/{entry.position}-{entry.next_position}/meta",
            kind="journal_damaged",
            at_us=now_us,
            state="opened",
            text=f"the platform: the ledger passed over the journal's entry at {entry.position}: {error}",
        )
        step.told.append(unreadable)


def _fold(ledger: Ledger, entry: Frame, step: Step) -> None:
    match entry.kind:
        case Kind.BATCH:
            batch = msgspec.json.decode(entry.meta, type=BatchEntry)
            ledger.batch(batch.header.check(), batch.journaled_us)
        case Kind.CLAIMS:
            claims = msgspec.json.decode(entry.meta, type=ClaimsEntry)
            step.told += ledger.claims(claims.signed, claims.received_us, claims.not_allowed)
        case Kind.LOSS:
            loss = msgspec.json.decode(entry.meta, type=LossEntry).loss
            step.told += ledger.loss(loss)
            step.journaled_losses.append(loss.id)
        case Kind.FINDING:
            finding = msgspec.json.decode(entry.meta, type=Finding)
            ledger.finding(finding)
            step.journaled.append(finding)
        case Kind.DECOMMISSION:
            gone = msgspec.json.decode(entry.meta, type=DecommissionEntry)
            ledger.decommission(gone.stream, gone.at_us)


def read_ledger(directory: str) -> Ledger:
    """The books as last committed, read once. Raises Unavailable while there are none."""
    reader = BooksReader(directory)
    try:
        return reader.books().ledger
    finally:
        reader.close()
