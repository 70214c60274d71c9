"""Whether the window that a query looked at is complete: said with every answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from gapless.ledger.audit import audit
from gapless.ledger.states import Allowances
from gapless.platform.auditor_reader import Books
from gapless.platform.audits import iso

Verdict = Literal["complete", "incomplete", "unknown"]


class Completeness(msgspec.Struct, frozen=True, kw_only=True):
    """``through`` is the time up to which nothing is missing (None: nobody can say); the counts are of
    records; ``holding_back`` says in sentences why the verdict is not "complete"."""

    verdict: Verdict
    through: str | None
    missing: int
    lost: int
    quarantined: int
    holding_back: list[str]


def completeness(
    books: Books | None,
    tenant: str,
    tables: tuple[str, ...],
    from_us: int | None,
    now_us: int,
    *,
    damaged: Mapping[str, int],
) -> Completeness:
    """What the books say of ``tables`` of a tenant with times from ``from_us`` on.

    Queries go by the times in the records, the books by when records were read at their source. What was
    written at a time is read then or later, however late: so the books are asked about all that was read
    since ``from_us``, whatever the end of the query's window.

    ``books`` is None while there are none. They must have been read before the tables' files were looked
    up: then all that they call stored was in them, but for the ``damaged`` records by table whose files left
    them, to be made again.
    """
    if books is None or not tables:
        why = "the query names no table" if books else "the books are not there yet: ask again in a moment"
        return Completeness(
            verdict="unknown", through=None, missing=0, lost=0, quarantined=0, holding_back=[why]
        )
    reports = [
        audit(
            books.ledger,
            now_us,
            tenant=tenant,
            table=table,
            from_us=from_us,
            audited_us=books.audited_us,
            allowed=Allowances(),
        )
        for table in tables
    ]
    verdicts = {report.verdict for report in reports}
    gone = {table: damaged[table] for table in tables if table in damaged}
    if gone:
        verdicts.add("incomplete")
    worst: tuple[Verdict, ...] = ("incomplete", "unknown", "complete")
    return Completeness(
        verdict=next(verdict for verdict in worst if verdict in verdicts),
        through=iso(min(report.through_us for report in reports)),
        missing=max(sum(report.totals.missing for report in reports), sum(gone.values())),
        lost=sum(report.totals.lost for report in reports),
        quarantined=sum(report.totals.quarantined for report in reports),
        holding_back=[
            *(
                f"{table}: {count} records are made again, a data file was damaged"
                for table, count in gone.items()
            ),
            *(reason for report in reports for reason in report.reasons),
        ],
    )
