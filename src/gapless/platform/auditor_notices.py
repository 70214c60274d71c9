"""What the lake found in the journal and could not take in: findings for people, and losses for the books.

A batch whose payload is damaged still says what was in it, and the books have it as journaled; nobody will
ever store it. So its seqs are declared lost, with the cause ``journal_corrupt``; if another copy of the batch
turns up, that reverses it. Where not even the header can be read no seq can be named from there. Nor need it
be: the books do not have that batch as journaled, so its seqs are a gap as soon as a claim or a later batch
shows that they exist, exactly those, and an operator can declare them lost.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from gapless.ledger.book import EpochBook
from gapless.ledger.events import name_of, quoted
from gapless.log.frame import DAMAGED
from gapless.log.port import EntryReader
from gapless.model.claim import Loss
from gapless.model.entry import BatchEntry, Kind
from gapless.model.errors import UNDECODABLE, Refused
from gapless.model.finding import Finding, FindingKind
from gapless.model.stream import StreamKey

#: The lake's kinds of notices, and what they are to the auditor.
_KINDS: dict[str, FindingKind] = {
    "damaged": "journal_damaged",
    "unreadable": "journal_damaged",
    "batch_quarantined": "batch_quarantined",
    "not_compacted": "lake_damaged",
    "file_damaged": "file_damaged",
    "file_mended": "file_damaged",
}


class Notice(Protocol):
    """What the lake's catalogue tells: see there."""

    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def position(self) -> int: ...
    @property
    def until(self) -> int: ...
    @property
    def tenant(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def path(self) -> str: ...


class Posting(Protocol):
    """What the lake's catalogue posted: see there."""

    @property
    def stream(self) -> str: ...
    @property
    def epoch(self) -> str: ...
    @property
    def first(self) -> int: ...
    @property
    def next(self) -> int: ...


def finding_of(notice: Notice, at_us: int) -> Finding:
    """The finding that tells of a notice. Its id is the same for the same place and words, so that a lake
    that is made anew says nothing new. A damaged file's is open until the file was mended."""
    kind = _KINDS.get(notice.kind, "lake_damaged")
    whose = f"{notice.tenant}/{notice.table}" if notice.tenant else "the platform"
    about = notice.path or notice.text
    return Finding(
        id=_id(kind, notice.position, notice.until, notice.tenant, notice.table, about),
        kind=kind,
        at_us=at_us,
        state="closed" if notice.kind == "file_mended" else "opened",
        text=f"{whose}: {quoted(notice.text)}",
        tenant=notice.tenant,
        table=notice.table,
    )


def id_of_file(tenant: str, table: str, path: str) -> str:
    """The id of the finding that tells of a damaged file."""
    return _id("file_damaged", 0, 0, tenant, table, path)


def file_forgotten(finding: Finding, now_us: int) -> Finding:
    """The end of a finding of a damaged file that is of no lake any more."""
    whose = finding.text.partition(": ")[0]
    text = f"{whose}: the lake was made again from the journal, without that file"
    return msgspec.structs.replace(finding, state="closed", at_us=now_us, text=text)


def _id(kind: FindingKind, position: int, until: int, tenant: str, table: str, about: str) -> str:
    return f"{kind}/{position}-{until}/{name_of(tenant, table, about)}"


def loss_of(notice: Notice, at_us: int, reader: EntryReader) -> Loss | None:
    """The loss of a batch that the journal has and that nobody can read any more; None if this is none, or
    if its seqs cannot be named. Raises Unavailable if the journal cannot be read now."""
    if _KINDS.get(notice.kind) != "journal_damaged":
        return None
    frames = reader.read(notice.position, bytes_max=1)
    if not frames or frames[0].position != notice.position or frames[0].kind not in (Kind.BATCH, DAMAGED):
        return None
    try:
        header = msgspec.json.decode(frames[0].meta, type=BatchEntry).header.check()
    except (*UNDECODABLE, Refused):
        return None
    return Loss(
        id=f"journal_corrupt/{notice.position}",
        stream=header.stream,
        epoch=header.epoch,
        cause="journal_corrupt",
        declared_us=at_us,
        not_before_us=header.read_from_us,
        not_after_us=header.read_to_us,
        ranges=((header.first, header.next),),
        evidence=quoted(notice.text),
    )


def loss_of_file(key: StreamKey, book: EpochBook, posting: Posting, at_us: int) -> Loss:
    """The loss of records whose data file was damaged, and that the journal does not have any more."""
    not_before_us, not_after_us = book.bracket(posting.first, posting.next)
    return Loss(
        id=f"journal_corrupt/{posting.epoch}/{posting.first}-{posting.next}",
        stream=key,
        epoch=posting.epoch,
        cause="journal_corrupt",
        declared_us=at_us,
        not_before_us=not_before_us,
        not_after_us=not_after_us,
        ranges=((posting.first, posting.next),),
        evidence="a data file was damaged, and the journal does not have its records any more",
    )
