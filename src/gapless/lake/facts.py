"""What the catalogue knows, as plain values: files, postings, notices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from gapless.lake.holdings import Ranges

#: "filtered": a rule keeps it out of its table, and no file holds it. "withdrawn": the lake does not hold it
#: any more, because the file was damaged, and will post it anew. "lost": it will not, because the journal
#: does not have it any more either.
Account = Literal["stored", "quarantined", "filtered", "expired", "withdrawn", "lost"]

#: The day of files whose rows are of too many days for a file each.
MIXED_DAYS = "mixed"


@dataclass(frozen=True, slots=True)
class DataFile:
    """A durable Parquet file of a table. ``records`` is what it accounts for in the books: ``rows``, except
    where one quarantined row stands for a whole batch. Times are of ``TimeGenerated`` (first and last,
    inclusive); ``received_us`` is the last ``_IngestionTime``. ``digest`` is the SHA-256 of its ``bytes``."""

    tenant: str
    table: str
    day: str
    path: str
    rows: int
    records: int
    bytes: int
    min_us: int
    max_us: int
    received_us: int
    digest: str


@dataclass(frozen=True, slots=True)
class FileRow(DataFile):
    """A file that is part of its table since ``added_us``. Its records came in batches that stand in the
    journal within ``[position, until)``."""

    id: int
    added_us: int
    position: int
    until: int


class TableContent(NamedTuple):
    """What a table consists of at one moment: its files, and how many records of it the lake is without until
    they are made again, because a file was damaged."""

    files: list[FileRow]
    damaged_records: int


class Damaged(NamedTuple):
    """A file that left its table because it was damaged. What it held, ``holds`` by id of epoch, is searched
    for in the journal from ``position`` on; all of it stands there before ``until``."""

    id: int
    tenant: str
    table: str
    path: str
    records: int
    position: int
    until: int
    holds: dict[int, Ranges]


class Posting(NamedTuple):
    """``[first, next)`` of an epoch came to rest in ``account``, at ``at_us``.

    They came in the batches that stand in the journal from ``position`` on and before ``until``: whoever
    compares this with the journal must have read it up to ``until``. For "expired", "withdrawn" and "lost",
    which no batch caused, both are the journal cursor of that moment.
    """

    id: int
    stream: str
    epoch: str
    account: Account
    first: int
    next: int
    at_us: int
    position: int
    until: int


class Posted(NamedTuple):
    """Postings, as they were when those with ids up to ``folded_id`` had been folded."""

    postings: list[Posting]
    folded_id: int


class Notice(NamedTuple):
    """Something an operator should know. Positions are of the journal, 0 where it is not about the journal;
    ``tenant`` and ``table`` are empty where they are not known, ``path`` where it is not about one file."""

    kind: str
    text: str
    position: int = 0
    until: int = 0
    tenant: str = ""
    table: str = ""
    path: str = ""


class NoticeRow(NamedTuple):
    """A notice as it was committed."""

    id: int
    at_us: int
    notice: Notice


class EpochKey(NamedTuple):
    """An epoch of a stream, and whose it is."""

    tenant: str
    table: str
    stream: str
    epoch: str


class Window(NamedTuple):
    """A part ``[first, next)`` of an epoch that is asked about."""

    stream: str
    epoch: str
    first: int
    next: int
