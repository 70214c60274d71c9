"""Mending: what a damaged file held is made again from the journal, and what the journal has no more is lost.

It is a step like any other, over batches that the lake took in before, and of them only over the records that
no file holds now. So it stores each once, whatever happens meanwhile, and the cursor stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gapless.lake.changes import Mended, StepCommit
from gapless.lake.commits import CatalogWriter
from gapless.lake.facts import Damaged, EpochKey, Window
from gapless.lake.holdings import count
from gapless.lake.intake import Batch, Group
from gapless.lake.writer import LakeWriter
from gapless.model.errors import Unavailable
from gapless.model.ranges import RangeSet


class MendReport(NamedTuple):
    """``restored`` records are in their table again, ``lost`` ones never will be. ``done``: that was the last
    of a file."""

    restored: int
    lost: int
    done: bool


class Mender:
    """Mends what the catalogue lists as damaged. Called from the writer's thread."""

    def __init__(self, catalog: CatalogWriter, writer: LakeWriter) -> None:
        self._catalog = catalog
        self._writer = writer

    def mend(self, now_us: int) -> MendReport | None:
        """Make again what a damaged file held, as far as it stands in the next part of the journal; on return
        it is durable and visible. None if no file is damaged.

        Raises Unavailable if the disk, the catalogue or the journal refuses: call it again. Raises Fenced if
        another process took over.
        """
        damaged = self._catalog.first_damaged()
        if damaged is None:
            return None
        keys = self._catalog.epochs(damaged.holds)
        missing = self._missing(damaged, keys)
        group = Group(damaged.position, damaged.until)
        if any(missing.values()) and damaged.position < damaged.until:
            group = self._writer.take(damaged.position)
            if group.until == damaged.position:
                raise Unavailable(
                    f"the journal ends at {group.until}, before what {damaged.path} held: start the gateway"
                )
        cursor = self._catalog.position()
        commit = StepCommit(cursor, cursor, span=(damaged.position, group.until))
        self._writer.store(_wanted(group, missing), commit)
        lost = None
        if group.until >= damaged.until:
            lost = {
                id_: np.array(list(missing[key.stream, key.epoch]), np.int64)
                for id_, key in keys.items()
                if missing[key.stream, key.epoch]
            }
        # A crash before this commit leaves files that the next owner's sweep removes, and the same part of
        # the journal is searched again; so does a commit of which it is not known whether it was done.
        self._catalog.commit_step(commit, now_us, Mended(damaged, group.until, lost))
        restored = sum(posting.next - posting.first for posting in commit.postings)
        return MendReport(restored, count((lost or {}).values()), lost is not None)

    def _missing(self, damaged: Damaged, keys: Mapping[int, EpochKey]) -> dict[tuple[str, str], RangeSet]:
        """What the file held and no other holds: some may have been made again, or have come once more."""
        held = {
            (keys[id_].stream, keys[id_].epoch): RangeSet(ranges.tolist())
            for id_, ranges in damaged.holds.items()
        }
        known = self._catalog.accounted(
            Window(*key, next(iter(ranges))[0], ranges.end()) for key, ranges in held.items()
        )
        for key, ranges in held.items():
            for first, next_ in known[key]:
                ranges.remove(first, next_)
        return held


def _wanted(group: Group, missing: Mapping[tuple[str, str], RangeSet]) -> list[Batch]:
    """The batches that have missing records, with which ones; these are missing no more."""
    wanted = []
    for batch in group.batches:
        ranges = None if batch.dropped else missing.get((batch.stream, batch.header.epoch))
        new = ranges.overlap(batch.header.first, batch.header.next) if ranges else []
        if ranges and new:
            ranges.remove(batch.header.first, batch.header.next)
            wanted.append(replace(batch, new=new))
    return wanted
