"""A real journal, a lake that says what a test wants, and the ledger's process without the process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import sqlalchemy as sa

from gapless.lake.facts import Notice
from gapless.log.disk import OsDisk
from gapless.log.frame import HEAD_BYTES
from gapless.log.layout import segment_path
from gapless.log.reader import LogReader
from gapless.log.segments import LogWriter, Message
from gapless.model.batch import BatchHeader
from gapless.model.claim import ClaimSet, Loss, StreamClaim, statement_digest
from gapless.model.entry import BatchEntry, ClaimsEntry, Kind, LossEntry
from gapless.model.finding import Finding
from gapless.model.signing import Signer
from gapless.model.stream import EpochOpen, StreamKey
from gapless.platform.auditor_store import FILE, LedgerStore
from gapless.platform.books import Bookkeeper

SECOND = 1_000_000
STREAM = StreamKey("contoso", "SigninLogs", "host-7", "entra")
EPOCH = "1" * 32


@dataclass
class FakePosting:
    id: int
    first: int
    next: int
    until: int
    account: str = "stored"
    stream: str = STREAM.id
    epoch: str = EPOCH
    position: int = 0


@dataclass
class FakeNotice:
    id: int
    at_us: int
    notice: Notice


def messages(ledger: str, kind: str) -> list[bytes]:
    """What waits in the outbox."""
    engine = sa.create_engine(f"sqlite:///{ledger}/{FILE}")
    with engine.begin() as connection:
        query = sa.text("select message from outbox where kind = :kind order by n")
        rows = list(connection.execute(query, {"kind": kind}).scalars())
    engine.dispose()
    return rows


class FakeLake:
    """What the ledger asks the lake's catalogue for."""

    def __init__(self, postings: list[FakePosting]) -> None:
        self.postings = postings
        self.notices: list[FakeNotice] = []
        self.cursor = self.folded_id = 0

    def position(self) -> int:
        return self.cursor

    def posted_after(self, id_: int, limit: int) -> tuple[list[FakePosting], int]:
        return [posting for posting in self.postings if posting.id > id_][:limit], self.folded_id

    def notices_after(self, id_: int, limit: int) -> list[FakeNotice]:
        return [row for row in self.notices if row.id > id_][:limit]

    def damaged_files(self) -> list[tuple[str, str, str]]:
        return []


class Platform:
    """See the module."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = str(root / "ledger")
        self.journal = LogWriter(OsDisk(), str(root / "journal"), segment_bytes_max=4096)
        self.reader = LogReader(OsDisk(), str(root / "journal"))
        self.postings: list[FakePosting] = []
        self.lake = FakeLake(self.postings)
        self._signer = Signer(b"k" * 32)
        self._n, self._prev = 0, ""

    def bookkeeper(self, *, entries_bytes_max: int = 4 << 20) -> Bookkeeper:
        return Bookkeeper(
            LedgerStore(self.directory),
            self.reader,
            self.lake,
            postings_max=3,
            entries_bytes_max=entries_bytes_max,
        )

    def append(self, kind: Kind, entry: object, body: bytes = b"") -> int:
        """Append an entry durably; return its position."""
        position = self.journal.end
        self.journal.append([Message(kind, msgspec.json.encode(entry), body)])
        self.journal.sync()
        return position

    def journaled(
        self, first: int, next_: int, *, agent: str = "host-7", damaged: bool = False, header: bool = False
    ) -> tuple[int, int]:
        """Journal a batch, and damage its payload, or its header, on disk; return where it stands."""
        said = BatchHeader(
            stream=msgspec.structs.replace(STREAM, agent=agent),
            opened=EpochOpen(EPOCH),
            first=first,
            next=next_,
            digest="0" * 64,
            raw_bytes=next_ - first,
            read_from_us=SECOND,
            read_to_us=SECOND,
        )
        position = self.append(Kind.BATCH, BatchEntry(said, SECOND), b"payload")
        until = self.journal.end
        if damaged:
            with open(self._segment(position), "r+b") as file:
                base = int(Path(file.name).stem)
                file.seek(position - base + HEAD_BYTES + 5 if header else until - base - 3)
                file.write(b"\x00\x01\x02")
        return position, until

    def stored(self, first: int, next_: int, place: tuple[int, int] | None = None) -> None:
        """The lake posts records, of a batch that stands at ``place`` or somewhere before the end."""
        position, until = place or (0, self.journal.end)
        posting = FakePosting(len(self.postings) + 1, first, next_, until, position=position)
        self.postings.append(posting)

    def claimed(self, next_: int, at_us: int, **more: object) -> None:
        claim = StreamClaim(stream=STREAM, opened=EpochOpen(EPOCH), next=next_, **more)  # type: ignore[arg-type]
        said = ClaimSet(
            agent="host-7", n=self._n, prev=self._prev, at_us=at_us, interval_s=2.0, streams=(claim,)
        )
        signed = self._signer.sign(said)
        self._n, self._prev = self._n + 1, statement_digest(signed.statement)
        self.append(Kind.CLAIMS, ClaimsEntry(signed, at_us))

    def lost(self, first: int, next_: int) -> None:
        loss = Loss(
            id=f"loss-{first}",
            stream=STREAM,
            epoch=EPOCH,
            cause="operator",
            declared_us=SECOND,
            not_before_us=0,
            not_after_us=0,
            ranges=((first, next_),),
        )
        self.loss_entry(loss)

    def loss_entry(self, loss: Loss) -> None:
        self.append(Kind.LOSS, LossEntry(loss, "an operator"))

    def outbox(self) -> list[Finding]:
        """The findings that wait to be posted."""
        return [msgspec.json.decode(row, type=Finding) for row in messages(self.directory, "finding")]

    def losses(self) -> list[Loss]:
        """The losses that wait to be posted."""
        return [msgspec.json.decode(row, type=Loss) for row in messages(self.directory, "loss")]

    def _segment(self, position: int) -> str:
        directory = str(self.root / "journal")
        bases = [int(path.stem) for path in Path(directory).glob("*.log")]
        return segment_path(directory, max(base for base in bases if base <= position))
