"""How long the journal keeps the records of batches: as long as any table has rows of them, and never shorter
than the retention of all tenants.

What else the journal says (heads of batches, claims, losses, findings, rules) stays for ever: whatever is a
fold of it can be made again. A lake that is made again knows the records that were dropped as expired.
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from gapless import clock
from gapless.lake.catalog import Catalog
from gapless.lake.retention import Retention
from gapless.log.disk import Disk
from gapless.log.drop import drop_bodies_before
from gapless.model.entry import BatchEntry, Kind
from gapless.model.errors import GaplessError

_log = structlog.get_logger("gapless.journal")

_EVERY_S = 600.0
_SEGMENTS_MAX = 16  # in one go
_DAY_US = 86_400_000_000


async def keep(disk: Disk, directory: str, catalog: Catalog) -> None:
    """Drop what is due from the journal in ``directory``, again and again, until cancelled. To be run by the
    process that writes the journal."""
    while True:
        try:
            dropped = await _to_its_end(disk, directory, catalog)
        except GaplessError as error:
            _log.warning("dropping_waits", error=str(error))
            dropped = 0
        except Exception:
            _log.exception("dropping_failed")
            dropped = 0
        if dropped < _SEGMENTS_MAX:
            await asyncio.sleep(_EVERY_S)


async def _to_its_end(disk: Disk, directory: str, catalog: Catalog) -> int:
    """``drop_due`` in a thread. Who cancels it waits for the thread: the journal is not another's before."""
    work = asyncio.ensure_future(asyncio.to_thread(drop_due, disk, directory, catalog, clock.now_us()))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.gather(work, return_exceptions=True)
        raise


def drop_due(
    disk: Disk, directory: str, catalog: Catalog, now_us: int, *, days: int = Retention().days
) -> int:
    """Drop the records of batches that are older than ``days`` and that the lake needs no more; return from
    how many segments. Raises Unavailable if the disk or the lake's catalogue does not answer."""
    horizon_us = now_us - days * _DAY_US

    def is_old(meta: bytes) -> bool:
        try:
            return msgspec.json.decode(meta, type=BatchEntry).journaled_us < horizon_us
        except msgspec.MsgspecError:
            return False  # of nobody knows what: kept

    needed = catalog.needed_from()
    return drop_bodies_before(disk, directory, needed, Kind.BATCH, is_old, segments_max=_SEGMENTS_MAX)
