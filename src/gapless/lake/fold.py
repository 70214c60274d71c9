"""Folding postings: what every reader has read is kept as few ranges as it can be.

There is a posting for every step in which a stream got records, and they are kept for ever, because the
ledger can be made anew from them. Folded, a stream without gaps has one, however old it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa

from gapless.lake import catalog_schema as schema
from gapless.lake.commits import CatalogWriter

_Of = tuple[int, str]  # epoch id, account


def fold_postings(catalog: CatalogWriter, upto_id: int, *, limit: int = 1000) -> int:
    """Make one of postings that adjoin, up to ``upto_id``. One call looks at up to ``limit`` of them, and
    returns at how many it looked: 0 when there are no more.

    Every reader that goes on from an id must have read up to ``upto_id``: what it would read before that is
    no longer what it read. One that reads from the beginning is told the same of each record as before, and
    still of nothing expired before it was stored: a folded posting takes the first id of its parts, an
    expired one the last. What was posted before something of its epoch was taken back stays as it is: the
    same record is posted again after that, and the order tells. Where in the journal a record came from is
    then known less exactly.
    """
    posting, lake = schema.posting.c, schema.lake.c
    with catalog.writing() as connection:
        folded_id = connection.scalars(sa.select(lake.folded_id)).one()
        window = connection.execute(
            sa.select(posting.id, posting.epoch_id, posting.account, posting.first, posting.next)
            .where(posting.id > folded_id, posting.id <= upto_id)
            .order_by(posting.id)
            .limit(limit)
        ).all()
        if not window:
            return 0
        groups: dict[_Of, list[tuple[int, int, int]]] = defaultdict(list)
        taken_back = _taken_back(connection, {row.epoch_id for row in window})
        for id_, epoch_id, account, first, next_ in window:
            if id_ > taken_back.get(epoch_id, 0):
                groups[epoch_id, account].append((first, next_, id_))
        for of, parts in groups.items():
            for run in _runs(parts):
                _fold(connection, of, run, (taken_back.get(of[0], 0), window[-1].id))
        # A crash before this commit changes nothing, and the same window is folded again.
        connection.execute(schema.lake.update().values(folded_id=window[-1].id))
    return len(window)


def _taken_back(connection: sa.Connection, epoch_ids: set[int]) -> dict[int, int]:
    """The last posting by which something that had been posted was taken back, of the epochs that have
    one."""
    posting = schema.posting.c
    last = sa.select(sa.func.max(posting.id)).where(posting.account.in_(("withdrawn", "lost")))
    found = {id_: connection.scalar(last.where(posting.epoch_id == id_)) for id_ in epoch_ids}
    return {id_: last_id for id_, last_id in found.items() if last_id is not None}


def _runs(parts: Sequence[tuple[int, int, int]]) -> list[list[tuple[int, int, int]]]:
    """Parts (first, next, id) that adjoin, together."""
    runs: list[list[tuple[int, int, int]]] = []
    for part in sorted(parts):
        if runs and runs[-1][-1][1] == part[0]:
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs


def _fold(
    connection: sa.Connection, of: _Of, run: list[tuple[int, int, int]], within: tuple[int, int]
) -> None:
    posting = schema.posting.c
    run = _neighbours(connection, of, run, within)
    if len(run) == 1:
        return
    ids = [id_ for _, _, id_ in run]
    kept = max(ids) if of[1] == "expired" else min(ids)
    members = posting.id.in_(ids)
    last = connection.execute(
        sa.select(
            sa.func.max(posting.at_us), sa.func.min(posting.position), sa.func.max(posting.until)
        ).where(members)
    ).one()
    connection.execute(schema.posting.delete().where(members, posting.id != kept))
    connection.execute(
        schema.posting.update()
        .where(posting.id == kept)
        .values(first=run[0][0], next=run[-1][1], at_us=last[0], position=last[1], until=last[2])
    )


def _neighbours(
    connection: sa.Connection, of: _Of, run: list[tuple[int, int, int]], within: tuple[int, int]
) -> list[tuple[int, int, int]]:
    """The run with the older postings that it continues or that continue it: ids above the first of
    ``within``, up to the second."""
    posting = schema.posting.c
    older = sa.select(posting.first, posting.next, posting.id).where(
        posting.epoch_id == of[0],
        posting.account == of[1],
        posting.id > within[0],
        posting.id <= within[1],
    )
    before = connection.execute(
        older.where(posting.first < run[0][0]).order_by(posting.first.desc()).limit(1)
    ).first()
    after = connection.execute(older.where(posting.first == run[-1][1])).first()
    if before is not None and before.next == run[0][0]:
        run = [(before.first, before.next, before.id), *run]
    if after is not None:
        run = [*run, (after.first, after.next, after.id)]
    return run
