"""Journals to fold into lakes, disks that crash, and the checks that every lake must pass."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import sqlalchemy as sa
import zstandard

from gapless.lake.balance import imbalances
from gapless.lake.catalog import Catalog
from gapless.lake.decode import Decoder
from gapless.lake.facts import Posting
from gapless.lake.lake import Lake, LakeSettings
from gapless.log.disk import Buffer, OsDisk, OsFile
from gapless.log.segments import LogReader, LogWriter, Message
from gapless.model.batch import BatchHeader, Mark, Upload, payload_digest
from gapless.model.entry import BatchEntry, Kind
from gapless.model.ranges import RangeSet
from gapless.model.stream import EpochOpen, StreamKey
from gapless.model.tables import QUARANTINE

NOW_US = 1_725_282_000_000_000  # 2024-09-02 13:00 UTC
DAY_US = 86_400_000_000
EPOCH = "a" * 32
TABLE = "SigninLogs"

DECODER = Decoder()

Identity = tuple[str, str, int]  # stream, epoch, seq


def stream_of(tenant: str = "contoso", table: str = TABLE, agent: str = "host") -> StreamKey:
    return StreamKey(tenant, table, agent, "source")


def record(number: int, at: str = "2024-09-02T12:00:00Z", **more: Any) -> bytes:
    return msgspec.json.encode({"TimeGenerated": at, "Id": f"r{number}", **more})


def records(first: int, next_: int, **more: Any) -> list[bytes]:
    return [record(number, **more) for number in range(first, next_)]


def batch(
    lines: Sequence[bytes],
    *,
    first: int = 0,
    stream: StreamKey | None = None,
    epoch: str = EPOCH,
    at_us: int = NOW_US,
    count: int | None = None,
    raw_bytes: int | None = None,
    body: bytes | None = None,
    marks: Sequence[Mark] = (),
    upload: Upload | None = None,
) -> Message:
    """A batch as the journal has it; what is given beyond ``lines`` makes its header a lie."""
    raw = b"".join(line + b"\n" for line in lines)
    body = zstandard.compress(raw) if body is None else body
    header = BatchHeader(
        stream=stream or stream_of(),
        opened=EpochOpen(epoch),
        first=first,
        next=first + (len(lines) if count is None else count),
        digest=payload_digest(body),
        raw_bytes=len(raw) if raw_bytes is None else raw_bytes,
        read_from_us=at_us,
        read_to_us=at_us,
        marks=tuple(marks),
        upload=upload,
    )
    return Message(Kind.BATCH, msgspec.json.encode(BatchEntry(header, at_us)), body)


class World:
    """A journal and the lake that is made from it, in one directory."""

    def __init__(self, path: Path) -> None:
        self.root = str(path / "lake")
        self.journal_directory = str(path / "journal")
        self.journal = LogWriter(OsDisk(), self.journal_directory, segment_bytes_max=1 << 20)

    def append(self, *messages: Message) -> list[int]:
        positions = self.journal.append(messages)
        self.journal.sync()
        return positions

    def open(self, settings: LakeSettings | None = None, **more: Any) -> Lake:
        more.setdefault("decoder", DECODER)
        return Lake(self.root, LogReader(OsDisk(), self.journal_directory), settings, **more)

    def files_on_disk(self) -> set[str]:
        return {str(path) for path in Path(self.root, "tables").rglob("*.parquet")}


def read(catalog: Catalog, tenant: str, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for file in catalog.files(tenant, table):
        rows += pq.ParquetFile(file.path).read().to_pylist()
    return rows


def identities(rows: Iterable[dict[str, Any]]) -> Counter[Identity]:
    return Counter((row["_Stream"], row["_Epoch"], row["_Seq"]) for row in rows)


def identities_of(stream: StreamKey, first: int, next_: int, epoch: str = EPOCH) -> Counter[Identity]:
    return Counter((stream.id, epoch, seq) for seq in range(first, next_))


def posted(postings: Iterable[Posting], account: str) -> dict[tuple[str, str], RangeSet]:
    """The ranges of one account by epoch; each seq must have been posted once."""
    found: dict[tuple[str, str], RangeSet] = {}
    for posting in postings:
        if posting.account == account:
            ranges = found.setdefault((posting.stream, posting.epoch), RangeSet())
            assert ranges.add(posting.first, posting.next) == posting.next - posting.first
    return found


def posted_now(postings: Iterable[Posting]) -> Counter[Identity]:
    """What is stored or quarantined after postings, in their order; each says something new of each
    record."""
    settled = Counter[Identity]()
    for posting in postings:
        taken = Counter((posting.stream, posting.epoch, seq) for seq in range(posting.first, posting.next))
        if posting.account in ("stored", "quarantined"):
            settled.update(taken)
        elif posting.account not in ("lost", "filtered"):
            settled.subtract(taken)
        assert set(settled.values()) <= {0, 1}, posting
    return settled


def check_lake(world: World, catalog: Catalog, tenants: Iterable[str]) -> None:
    """The books agree with each other and with the rows in the files, which are all there."""
    assert imbalances(catalog) == []
    postings = catalog.postings_after(0, 1_000_000)
    assert [posting.id for posting in postings] == sorted({posting.id for posting in postings})
    assert all(posting.position <= posting.until <= catalog.position() for posting in postings)
    settled = posted_now(postings)
    held = Counter[Identity]()
    for tenant in tenants:
        for table in catalog.tables(tenant):
            for file in catalog.files(tenant, table):
                rows = pq.ParquetFile(file.path).read().to_pylist()
                assert len(rows) == file.rows
                assert Path(file.path).stat().st_size == file.bytes
                times = [int(row["TimeGenerated"].timestamp() * 1_000_000) for row in rows]
                assert (min(times), max(times)) == (file.min_us, file.max_us)
                held.update(_records_of(table, rows))
    assert held == +settled


def _records_of(table: str, rows: Iterable[dict[str, Any]]) -> Iterator[Identity]:
    for row in rows:
        next_ = row["_Seq"] + 1
        if table == QUARANTINE.name and row["_Extra"]:
            next_ = msgspec.json.decode(row["_Extra"])["next"]
        for seq in range(row["_Seq"], next_):
            yield row["_Stream"], row["_Epoch"], seq


class Crash(BaseException):
    """The process is gone: nothing after it runs, no handler of ours sees it."""


class CrashingDisk(OsDisk):
    """Counts what changes the disk, and crashes or fails at one of these effects: in its middle or after."""

    def __init__(self, at: int = -1, *, after: bool = False, error: Exception | None = None) -> None:
        self.effects: list[str] = []
        self._at = at
        self._after = after
        self._error = error

    def effect(self, name: str, do: Callable[[], Any], half: Callable[[], Any] = lambda: None) -> Any:
        here = len(self.effects) == self._at
        self.effects.append(name)
        if here and not self._after:
            half()
            raise self._error or Crash(name)
        result = do()
        if here:
            raise self._error or Crash(name)
        return result

    def create(self, path: str) -> OsFile:
        file = self.effect("create", lambda: super(CrashingDisk, self).create(path))
        return _CrashingFile(file, self)

    def open(self, path: str, *, writable: bool) -> OsFile:
        return _CrashingFile(super().open(path, writable=writable), self)

    def unlink(self, path: str) -> None:
        self.effect("unlink", lambda: super(CrashingDisk, self).unlink(path))

    def make_dirs(self, directory: str) -> None:
        self.effect("make_dirs", lambda: super(CrashingDisk, self).make_dirs(directory))

    def sync_dir(self, directory: str) -> None:
        self.effect("sync_dir", lambda: super(CrashingDisk, self).sync_dir(directory))


class _CrashingFile(OsFile):
    def __init__(self, file: OsFile, disk: CrashingDisk) -> None:
        super().__init__(file._fd)
        self._disk = disk

    def write(self, buffers: Sequence[Buffer], offset: int) -> None:
        data = b"".join(bytes(buffer) for buffer in buffers)
        write = super().write
        self._disk.effect(
            "write", lambda: write([data], offset), lambda: write([data[: len(data) // 2]], offset)
        )

    def sync(self) -> None:
        self._disk.effect("sync", super().sync)


class ForgetfulDisk(OsDisk):
    """Knows what would be there after a loss of power: only bytes that were synced, under names that were."""

    def __init__(self) -> None:
        self._synced: set[str] = set()
        self._named: set[str] = set()

    def open(self, path: str, *, writable: bool) -> OsFile:
        return _ForgetfulFile(super().open(path, writable=writable), path, self._synced)

    def create(self, path: str) -> OsFile:
        return _ForgetfulFile(super().create(path), path, self._synced)

    def sync_dir(self, directory: str) -> None:
        super().sync_dir(directory)
        self._named.update(f"{directory}/{name}" for name in self.names(directory))

    def lose_power(self, directory: Path) -> None:
        for path in sorted(directory.rglob("*"), reverse=True):
            if str(path) not in self._named or (path.is_file() and str(path) not in self._synced):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


class _ForgetfulFile(OsFile):
    def __init__(self, file: OsFile, path: str, synced: set[str]) -> None:
        super().__init__(file._fd)
        self._path = path
        self._synced_paths = synced

    def write(self, buffers: Sequence[Buffer], offset: int) -> None:
        super().write(buffers, offset)
        self._synced_paths.discard(self._path)

    def sync(self) -> None:
        super().sync()
        self._synced_paths.add(self._path)


@contextmanager
def crashing_catalog(lake: Lake, at: int) -> Iterator[list[str]]:
    """Crash the lake's catalogue before its ``at``-th statement or commit; yields what it was asked to do."""
    engine = lake.catalog._writer
    asked: list[str] = []

    def ask(what: str) -> None:
        asked.append(what)
        if len(asked) == at + 1:
            raise Crash(what)

    def on_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        ask(statement)

    def on_commit(_connection: Any) -> None:
        ask("COMMIT")

    sa.event.listen(engine, "before_cursor_execute", on_statement)
    sa.event.listen(engine, "commit", on_commit)
    try:
        yield asked
    finally:
        sa.event.remove(engine, "before_cursor_execute", on_statement)
        sa.event.remove(engine, "commit", on_commit)
