"""What entries of the journal mean to the gateway's index. Pure: entries in, changes out."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gapless.gateway.admission import EpochKey, Row
from gapless.gateway.chains import ChainKey
from gapless.gateway.uploads.memory import UploadChanges
from gapless.log.frame import DAMAGED, Frame
from gapless.model.claim import statement_digest
from gapless.model.entry import BatchEntry, ClaimsEntry, Kind, RuleEntry
from gapless.model.errors import UNDECODABLE, Corrupt
from gapless.model.finding import Finding
from gapless.model.ranges import RangeSet

#: The kinds of findings after which an epoch must not go on.
FENCING = frozenset({"fork", "rollback"})


class _Numbered(msgspec.Struct):
    """As much of a ``ClaimSet`` as its place in the chain needs."""

    agent: str
    n: int


class ChainRow(msgspec.Struct, frozen=True):
    """Where the newest statement of a chain stands."""

    n: int
    digest: str
    position: int


class Changes:
    """What a run of entries adds to the index, up to ``position``.

    ``damaged`` counts entries that cannot be read any more. A batch among them is unknown from here on:
    sent again, it is journaled again.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.batches: dict[EpochKey, dict[int, Row]] = {}
        self.ranges: dict[EpochKey, RangeSet] = {}
        self.chains: dict[ChainKey, ChainRow] = {}
        self.fences: dict[EpochKey, Finding] = {}
        self.uploads = UploadChanges()
        self.damaged = 0

    def add(self, frame: Frame) -> None:
        """Take one entry in. Raises Corrupt for an intact entry that says nothing this version knows."""
        try:
            match frame.kind:
                case Kind.BATCH:
                    self._add_batch(msgspec.json.decode(frame.meta, type=BatchEntry), frame.position)
                case Kind.CLAIMS:
                    self._add_claims(msgspec.json.decode(frame.meta, type=ClaimsEntry), frame.position)
                case Kind.FINDING:
                    self._add_finding(msgspec.json.decode(frame.meta, type=Finding))
                case Kind.RULE:
                    self.uploads.rule(msgspec.json.decode(frame.meta, type=RuleEntry), frame.position)
                case other if other == DAMAGED:
                    self.damaged += 1
                    self.uploads.damaged_at = frame.position
        except UNDECODABLE as error:
            raise Corrupt(
                f"the journal's entry at {frame.position} is of a format this version does not know: "
                "upgrade the platform"
            ) from error
        self.position = frame.next_position

    def _add_batch(self, entry: BatchEntry, position: int) -> None:
        header = entry.header
        key = (header.stream.id, header.epoch)
        row = Row(header.first, header.next, header.digest, position, entry.journaled_us)
        self.batches.setdefault(key, {}).setdefault(row.first, row)
        self.ranges.setdefault(key, RangeSet()).add(row.first, row.next)
        self.uploads.batch(header, entry.journaled_us, position)

    def _add_claims(self, entry: ClaimsEntry, position: int) -> None:
        numbered = msgspec.json.decode(entry.signed.statement, type=_Numbered)
        key = (numbered.agent, entry.signed.key.lower())
        known = self.chains.get(key)
        if known is None or numbered.n > known.n:
            self.chains[key] = ChainRow(numbered.n, statement_digest(entry.signed.statement), position)
        self.uploads.claims(numbered.agent, entry.signed.statement, entry.received_us, position)

    def _add_finding(self, finding: Finding) -> None:
        if finding.kind in FENCING and finding.stream and finding.epoch:
            self.fences.setdefault((finding.stream, finding.epoch), finding)


def fold(frames: Iterable[Frame], position: int) -> Changes:
    """The changes of ``frames``, which begin at ``position``."""
    changes = Changes(position)
    for frame in frames:
        changes.add(frame)
    return changes
