"""What really happened, kept from outside, and what must never be.

The oracle hears of each record when it is written, each batch when it is spooled, each receipt when it is
given and each row when it is stored. It reads the platform's disk itself, below the page cache.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import msgspec
import zstandard

from gapless.agent.frames import Batch, SpoolKind
from gapless.lake.facts import EpochKey
from gapless.log.frame import HEAD_BYTES, decode_head
from gapless.model.batch import BatchHeader
from gapless.model.claim import ClaimSet, Loss
from gapless.model.entry import BatchEntry, ClaimsEntry, Kind, LossEntry
from gapless.model.finding import FindingKind
from gapless.model.ranges import RangeSet
from gapless.model.receipt import Receipt
from gapless.model.signing import Signed
from gapless.testing.clock import Loop
from gapless.testing.network import HttpAnswer
from gapless.testing.source_host import Content, SourceDisk

if TYPE_CHECKING:
    from gapless.agent.follow import Spooled
    from gapless.agent.spool import Spool
    from gapless.testing.disk import SimDisk
    from gapless.testing.platform_stores import MemoryLedgerStore

Epoch = tuple[str, str]

#: How a record begins that the tables' rule keeps out of them, and one that they cannot decode.
FILTERED_MARK, BAD_MARK = b"~", b"!"

#: Whose excuse it is when something was done to the platform.
PLATFORM = "the platform"

#: What may be told only where its cause was made to happen: which excuse each kind needs.
_NEEDS: dict[FindingKind, tuple[str, ...]] = {
    "fork": ("rolled back", "spool damaged"),
    "rollback": ("rolled back",),
    "agent_key_changed": ("disk lost", "rolled back", "claims damaged", "agent key damaged"),
    "epoch_unclosed": ("rolled back", "disk lost", "spool damaged"),
    "discontinuity": ("rolled back", "spool damaged"),
    "refused_batches": ("rolled back", "refused"),
    "books_unbalanced": ("journal damaged",),
    "lake_damaged": (),
    "file_damaged": (),
    "journal_damaged": ("journal damaged",),
    "batch_quarantined": (),
}


class Violation(Exception):
    """Something that must never be. ``check`` names the rule."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(f"{check}: {text}")
        self.check = check


class Emission(NamedTuple):
    """A record: of which stream and agent it is, and when it was written."""

    stream: str
    agent: str
    at_us: int


class _Result(msgspec.Struct):
    status: str
    receipt: Signed | None = None


class _Results(msgspec.Struct):
    results: tuple[_Result, ...]


class Oracle:
    """``excuses`` are causes of loss that were made to happen, by agent: what they excuse is said in
    ``gapless.testing.verdict``."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.emitted: dict[bytes, Emission] = {}
        self.excuses: dict[str, set[str]] = defaultdict(set)
        self.spooled: dict[Epoch, dict[int, set[bytes]]] = defaultdict(dict)
        self.identities: dict[bytes, list[tuple[str, str, int]]] = defaultdict(list)
        self.spooled_us: dict[bytes, int] = {}
        self.waiting: dict[bytes, None] = {}  # those of them that are not at rest, in any order
        self.renumbered: dict[tuple[str, str, int], tuple[str, int]] = {}  # to which epoch and seq
        self.lake: dict[Epoch, dict[int, bytes]] = defaultdict(dict)
        self.filtered: dict[Epoch, RangeSet] = defaultdict(RangeSet)
        self.at_rest: set[bytes] = set()
        self.files: dict[str, Content] = {}
        self.loss_files: dict[str, str] = {}  # of which file a loss speaks
        self.known_bytes: dict[Content, int] = {}
        self.rotten: dict[Epoch, RangeSet] = defaultdict(RangeSet)  # what damaged entries of the journal held
        self.rotten_losses: list[Loss] = []
        self.receipts = 0
        self.platform_disk: SimDisk | None = None
        self.journal = ""
        self._rotten_at: set[int] = set()
        self._durable_next: dict[Epoch, int] = {}
        self._kept: dict[int, int] = {}
        self._findings_seen = 0

    # -- what it hears ----------------------------------------------------------------------------------

    def emit(self, stream: str, agent: str, records: Sequence[bytes]) -> None:
        """A source wrote records."""
        emission = Emission(stream, agent, self.loop.now_us)
        self.emitted.update(dict.fromkeys(records, emission))

    def excuse(self, agent: str, cause: str) -> None:
        """Something was done to an agent that no agent survives without loss."""
        self.excuses[agent].add(cause)

    def rots(self, base: int, data: bytes | bytearray, offset: int) -> bool:
        """A bit of a segment of the journal is about to turn; False if it is of no entry, of one that is
        damaged already, or of the newest: should power be lost then, before another entry says that this one
        was durable, nobody can tell it from one that never was."""
        at = 0
        while (head := decode_head(data, at)) is not None and at + head.frame_bytes <= offset:
            at += head.frame_bytes
        if head is None or base + at in self._rotten_at:
            return False
        after = decode_head(data, at + head.frame_bytes)
        if after is None or after.durable < base + at + head.frame_bytes:
            return False
        self._rotten_at.add(base + at)
        self.excuse(PLATFORM, "journal damaged")
        meta = bytes(data[at + HEAD_BYTES : at + HEAD_BYTES + head.meta_bytes])
        if head.kind == Kind.BATCH:
            header = msgspec.json.decode(meta, type=BatchEntry).header
            self.rotten[header.stream.id, header.epoch].add(header.first, header.next)
        elif head.kind == Kind.LOSS:
            self.rotten_losses.append(msgspec.json.decode(meta, type=LossEntry).loss)
        elif head.kind == Kind.CLAIMS:
            signed = msgspec.json.decode(meta, type=ClaimsEntry).signed
            self.rotten_losses += msgspec.json.decode(signed.statement, type=ClaimSet).losses
        return True

    def batch_added(self, header: BatchHeader, payload: bytes) -> list[bytes]:
        """The spool was given a batch, which is not durable yet. Returns its records."""
        lines = zstandard.decompress(payload).split(b"\n")[:-1]
        epoch = (header.stream.id, header.epoch)
        for seq, line in enumerate(lines, header.first):
            self.spooled[epoch].setdefault(seq, set()).add(line)
            self.identities[line].append((*epoch, seq))
        return lines

    def renumbers(self, old: Spooled, header: BatchHeader) -> None:
        """The spool gives the records of a batch other seqs."""
        for at in range(header.count):
            self.renumbered[header.stream.id, old.epoch, old.first + at] = (header.epoch, header.first + at)

    def committed(self, spool: Spool, told: Sequence[Sequence[bytes]]) -> None:
        """The spool says that what it holds is durable, among it these batches."""
        for lines in told:
            for line in lines:
                self.spooled_us.setdefault(line, self.loop.now_us)
                if line not in self.at_rest:
                    self.waiting[line] = None
        for stream in spool.streams():
            state = spool.stream(stream)
            for epoch, next_ in [
                (state.opened.epoch, state.next),
                *((old.opened.epoch, old.next) for old in state.ended),
            ]:
                key = (stream.id, epoch)
                self._durable_next[key] = max(self._durable_next.get(key, 0), next_)

    def cursors_kept(self, sources: SourceDisk, spool: Spool) -> None:
        """A commit of the collector returned: what its cursors know is known for good."""
        if self._kept.get(id(sources)) == spool.used_bytes:
            return
        self._kept[id(sources)] = spool.used_bytes
        present = sources.present()
        for stream in spool.streams():
            for cursor in spool.stream(stream).cursors:
                found = present.get(cursor.ino)
                if found is None:
                    continue
                content, data = found
                head = blake2b(data[: cursor.head_bytes], digest_size=16).hexdigest()
                if cursor.head and head == cursor.head:
                    self.files[cursor.file] = content
                    self.known_bytes[content] = max(self.known_bytes.get(content, 0), cursor.size)

    # -- what must hold at each step --------------------------------------------------------------------

    def claimed(self, signed: Signed, disk: SimDisk, spool: str) -> None:
        """I5: an agent claims no more than is durable."""
        for claim in msgspec.json.decode(signed.statement, type=ClaimSet).streams:
            key = (claim.stream.id, claim.opened.epoch)
            if claim.next > self._durable_next.get(key, 0):
                # Perhaps it was kept by a start that did not come to an end.
                self._durable_next[key] = max(self._durable_next.get(key, 0), _spooled_next(disk, spool, key))
            durable = self._durable_next.get(key, 0)
            if claim.next > durable:
                raise Violation(
                    "claim is sound", f"{claim.opened.epoch} claims {claim.next}, durable are {durable}"
                )

    def answered(self, path: str, answer: HttpAnswer) -> None:
        """I4: a receipt is given for bytes that are on the platter, under a name that is."""
        if path != "/v1/batches" or answer.status != 200:
            return
        for result in msgspec.json.decode(answer.data, type=_Results).results:
            if result.receipt is not None:
                self.receipts += 1
                self._check_receipt(msgspec.json.decode(result.receipt.statement, type=Receipt))

    def _check_receipt(self, receipt: Receipt) -> None:
        if receipt.position in self._rotten_at:
            return  # it was given for the batch before, and is given again
        name = f"[{receipt.first}, {receipt.next}) of {receipt.epoch} at {receipt.position}"
        disk = self.platform_disk
        assert disk is not None
        on_disk = disk.durable(self.journal)
        bases = [int(path.rpartition("/")[2][:20]) for path in on_disk if path.endswith(".log")]
        bases.sort()
        index = bisect_right(bases, receipt.position) - 1
        if index < 0:
            raise Violation("receipt is durable", f"no file on the disk holds {name}")
        data = on_disk[f"{self.journal}/{bases[index]:020d}.log"]
        at = receipt.position - bases[index]
        head = decode_head(data[at : at + HEAD_BYTES])
        if head is None or head.position != receipt.position:
            raise Violation("receipt is durable", f"the disk does not hold {name}")
        meta = bytes(data[at + HEAD_BYTES : at + HEAD_BYTES + head.meta_bytes])
        body = data[at + HEAD_BYTES + head.meta_bytes : at + head.frame_bytes]
        if len(meta) < head.meta_bytes or sha256(body).hexdigest() != receipt.digest:
            raise Violation("receipt is durable", f"the disk holds other bytes for {name}")
        header = msgspec.json.decode(meta, type=BatchEntry).header
        said = (receipt.stream, receipt.epoch, receipt.first, receipt.next)
        if said != (header.stream, header.epoch, header.first, header.next):
            raise Violation("receipt is durable", f"the disk holds another batch for {name}")

    def stored(self, key: EpochKey, first: int, lines: Sequence[bytes]) -> None:
        """The lake committed rows."""
        epoch = (key.stream, key.epoch)
        rows = self.lake[epoch]
        for seq, line in enumerate(lines, first):
            if seq in rows:
                raise Violation("stored once", f"seq {seq} of {key.epoch} was stored twice")
            emission = self.emitted.get(line)
            if emission is None or emission.stream != key.stream:
                raise Violation("only what was emitted", f"seq {seq} of {key.epoch} holds {line[:60]!r}")
            if line not in self.spooled[epoch].get(seq, ()):
                raise Violation("bytes equal", f"seq {seq} of {key.epoch} was spooled as other bytes")
            rows[seq] = line
        self._rests(lines)

    def kept_out(self, key: EpochKey, first: int, lines: Sequence[bytes]) -> None:
        """The lake committed that a rule keeps these records out of its tables."""
        if any(not line.startswith(FILTERED_MARK) for line in lines):
            raise Violation("only what a rule names is filtered", f"seq {first} on of {key.epoch}")
        self.filtered[key.stream, key.epoch].add(first, first + len(lines))
        self._rests(lines)

    def _rests(self, lines: Sequence[bytes]) -> None:
        self.at_rest.update(lines)
        for line in lines:
            self.waiting.pop(line, None)

    def lake_lost(self) -> None:
        """The lake is gone, and another one begins. What was at rest in it is so no more; it is due as if
        it had been read now."""
        self.lake.clear()
        self.filtered.clear()
        due = dict.fromkeys(self.at_rest & self.spooled_us.keys(), self.loop.now_us)
        self.spooled_us.update(due)
        self.waiting.update(dict.fromkeys(due))
        self.at_rest.clear()

    def looked(self, store: MemoryLedgerStore) -> None:
        """No finding without its cause."""
        if len(store.findings) == self._findings_seen:
            return
        excuses = {excuse for of in self.excuses.values() for excuse in of}
        for finding in list(store.findings.values())[self._findings_seen :]:
            needs = _NEEDS.get(finding.kind)
            if needs is not None and not excuses.intersection(needs):
                raise Violation("no false alarm", f"{finding.id}: {finding.text}")
        self._findings_seen = len(store.findings)


def _spooled_next(disk: SimDisk, directory: str, key: Epoch) -> int:
    """Where the batches of an epoch end that a power loss now would leave in a spool."""
    next_ = 0
    for path, data in disk.durable(directory).items():
        at = 0
        while path.endswith(".log") and (head := decode_head(data, at)) is not None:
            meta = bytes(data[at + HEAD_BYTES : at + HEAD_BYTES + head.meta_bytes])
            if head.kind == SpoolKind.BATCH and crc32(meta) == head.meta_crc:
                header = msgspec.json.decode(meta, type=Batch).header
                if (header.stream.id, header.epoch) == key:
                    next_ = max(next_, header.next)
            at += head.frame_bytes
    return next_
