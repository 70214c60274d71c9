"""The lake's books in the catalogue: ranges accounted for, postings, and running counts. Each function is
part of a transaction of ``lake.commits``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from gapless.lake import catalog_schema as schema
from gapless.lake.changes import NewPosting, StepCommit
from gapless.lake.facts import Account, EpochKey
from gapless.lake.holdings import Ranges
from gapless.model.errors import Corrupt
from gapless.model.ranges import Range, RangeSet

_COUNTED = ("stored", "quarantined", "filtered", "expired", "duplicates")


def enter(connection: sa.Connection, step: StepCommit, now_us: int) -> dict[EpochKey, int]:
    """Enter what a step posts; return the ids of its epochs. Raises Corrupt for a record that is accounted
    for already, or posted twice."""
    ids = _epoch_ids(connection, step)
    _account(connection, ids, step.postings)
    if step.postings:
        connection.execute(schema.posting.insert(), [
            {
                "epoch_id": ids[each.key], "account": each.account, "first": each.first,
                "next": each.next, "at_us": now_us, "position": each.position, "until": each.until,
            }
            for each in step.postings
        ])  # fmt: skip
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for posting in step.postings:
        counts[ids[posting.key]][posting.account] += posting.next - posting.first
    for key, duplicates in step.duplicates.items():
        counts[ids[key]]["duplicates"] += duplicates
    add_to_counts(connection, counts)
    return ids


def post(connection: sa.Connection, account: Account, holds: Mapping[int, Ranges], now_us: int) -> None:
    """Post what no batch caused: as of the cursor."""
    position = connection.scalars(sa.select(schema.lake.c.position)).one()
    rows = [
        {"epoch_id": epoch_id, "account": account, "first": first, "next": next_, "at_us": now_us,
         "position": position, "until": position}
        for epoch_id, ranges in sorted(holds.items())
        for first, next_ in ranges.tolist()
    ]  # fmt: skip
    if rows:
        connection.execute(schema.posting.insert(), rows)


def release(connection: sa.Connection, epoch_id: int, ranges: Ranges) -> None:
    """Take ranges out of those accounted for. Raises Corrupt if any of it is not among them."""
    columns = schema.accounted.c
    touched = (
        columns.epoch_id == epoch_id,
        columns.next > int(ranges[0, 0]),
        columns.first < int(ranges[-1, 1]),
    )
    query = sa.select(columns.first, columns.next).where(*touched)
    left = RangeSet((row.first, row.next) for row in connection.execute(query))
    for first, next_ in ranges.tolist():
        if left.remove(first, next_) != next_ - first:
            raise Corrupt(f"a file holds [{first}, {next_}), which is not accounted for: stop and audit")
    connection.execute(schema.accounted.delete().where(*touched))
    rows = [{"epoch_id": epoch_id, "first": first, "next": next_} for first, next_ in left]
    if rows:
        connection.execute(schema.accounted.insert(), rows)


def add_to_counts(connection: sa.Connection, counts: Mapping[int, Counter[str]]) -> None:
    """Change the running counts of epochs, given by id."""
    columns = schema.epoch.c
    if counts:
        connection.execute(
            schema.epoch.update()
            .where(columns.id == sa.bindparam("of"))
            .values({name: columns[name] + sa.bindparam(f"more_{name}") for name in _COUNTED}),
            [
                {"of": id_, **{f"more_{name}": count[name] for name in _COUNTED}}
                for id_, count in counts.items()
            ],
        )


def _epoch_ids(connection: sa.Connection, step: StepCommit) -> dict[EpochKey, int]:
    columns = schema.epoch.c
    ids = {}
    for key in dict.fromkeys([*(posting.key for posting in step.postings), *step.duplicates]):
        query = sa.select(columns.id).where(columns.stream == key.stream, columns.epoch == key.epoch)
        known = connection.scalars(query).one_or_none()
        if known is None:
            known = connection.scalars(schema.epoch.insert().returning(columns.id), {
                "stream": key.stream, "epoch": key.epoch, "tenant": key.tenant, "table_name": key.table,
                **dict.fromkeys(_COUNTED, 0),
            }).one()  # fmt: skip
        ids[key] = known
    return ids


def _account(connection: sa.Connection, ids: dict[EpochKey, int], postings: Sequence[NewPosting]) -> None:
    taken: dict[EpochKey, RangeSet] = defaultdict(RangeSet)
    for posting in postings:
        if posting.account == "expired":
            continue  # it was stored by the posting before it
        if taken[posting.key].add(posting.first, posting.next) != posting.next - posting.first:
            raise Corrupt(f"a step posts {posting} twice: stop the lake and report this")
    for key, ranges in taken.items():
        for each in ranges:
            _extend(connection, ids[key], each)


def _extend(connection: sa.Connection, epoch_id: int, new: Range) -> None:
    """Add a range to those accounted for. Raises Corrupt if any of it is among them already."""
    first, next_ = new
    columns = schema.accounted.c
    adjoining = (columns.epoch_id == epoch_id, columns.next >= first, columns.first <= next_)
    query = sa.select(columns.first, columns.next).where(*adjoining)
    found = [(row.first, row.next) for row in connection.execute(query)]
    merged = RangeSet(found)
    if merged.add(first, next_) != next_ - first:
        raise Corrupt(f"records of [{first}, {next_}) would be stored twice: stop the lake, report this")
    if found:
        connection.execute(schema.accounted.delete().where(*adjoining))
    ((merged_first, merged_next),) = merged
    connection.execute(
        schema.accounted.insert(), {"epoch_id": epoch_id, "first": merged_first, "next": merged_next}
    )
