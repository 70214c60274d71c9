"""The books of the lake, measured three ways that must agree (I3, I14).

The ranges accounted for, the counts of each epoch, and what the files hold are each kept by itself. Whoever
audits compares them; so do the tests, after every fault.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from gapless.lake import catalog_schema as schema
from gapless.lake.catalog import Catalog


def imbalances(catalog: Catalog) -> list[str]:
    """Where the lake's books contradict each other, in words; empty if all is well. Reads all of them."""
    with catalog.reading() as connection:
        return [
            f"stream {row[0]}, epoch {row[1]}: {row[2]} records are counted, {row[3]} are in its ranges"
            for row in connection.execute(_ranges_against_counts())
        ] + [
            f"tenant {row[0]}: {row[1]} records are counted, its files hold {row[2]}"
            for row in connection.execute(_files_against_counts())
        ]


def _ranges_against_counts() -> sa.Select[Any]:
    epoch, accounted = schema.epoch.c, schema.accounted.c
    counted = epoch.stored + epoch.quarantined + epoch.filtered
    in_ranges = sa.func.coalesce(sa.func.sum(accounted.next - accounted.first), 0)
    return (
        sa.select(epoch.stream, epoch.epoch, counted, in_ranges)
        .join_from(schema.epoch, schema.accounted, accounted.epoch_id == epoch.id, isouter=True)
        .group_by(epoch.id)
        .having(counted != in_ranges)
    )


def _files_against_counts() -> sa.Select[Any]:
    epoch, file = schema.epoch.c, schema.file.c
    kept = sa.func.sum(epoch.stored + epoch.quarantined - epoch.expired)
    counted = sa.select(epoch.tenant, kept.label("records")).group_by(epoch.tenant).subquery()
    held = sa.select(file.tenant, sa.func.sum(file.records).label("records")).group_by(file.tenant).subquery()
    in_files = sa.func.coalesce(held.c.records, 0)
    return (
        sa.select(counted.c.tenant, counted.c.records, in_files)
        .join_from(counted, held, held.c.tenant == counted.c.tenant, isouter=True)
        .where(counted.c.records != in_files)
    )
