"""The outcome of a drill: what each act came to, and whether that is what the drill claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from gapless.drills.measure import Tally
from gapless.services.catalogue import service

Verdict = Literal["complete", "incomplete", "unknown"]


class Times(msgspec.Struct, frozen=True):
    """Seconds from the fault to when it was noticed and to when it was repaired; None: never."""

    noticed_after_s: float | None = None
    repaired_after_s: float | None = None


class ServiceOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One service of one tenant. ``missing`` are neither stored nor declared lost."""

    service: str
    tenant: str
    tables: list[str]
    emitted: int
    stored: int
    missing: int
    declared_lost: int
    duplicates: int
    noticed_after_s: float | None
    repaired_after_s: float | None


class ActOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One act. Times are those of the tenant that had to wait longest; None: some tenant still waits.

    ``exact``: for every log, stored and declared seqs are disjoint and are every seq that was emitted.
    ``strangers`` are rows that hold no record of the drill. ``verdicts`` are the audit's, by tenant.
    """

    emitted: int
    stored: int
    duplicates: int
    missing: int
    declared_lost: int
    noticed_after_s: float | None
    repaired_after_s: float | None
    exact: bool
    strangers: int
    verdicts: dict[str, Verdict]
    services: list[ServiceOutcome]


class DrillOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A drill with its acts by name. ``faults`` say what it claims and did not show."""

    drill: str
    acts: dict[str, ActOutcome]
    faults: list[str]


def act_outcome(
    tallies: Iterable[Tally],
    times: Mapping[str, Times],
    *,
    strangers: int,
    verdicts: Mapping[str, Verdict],
) -> ActOutcome:
    """Add up an act; ``times`` and ``verdicts`` by tenant."""
    all_tallies = list(tallies)
    by_service: dict[tuple[str, str], list[Tally]] = {}
    for each in all_tallies:
        by_service.setdefault((each.log.service, each.log.tenant), []).append(each)
    rows = [
        _service_outcome(name, tenant, group, times[tenant]) for (name, tenant), group in by_service.items()
    ]
    return ActOutcome(
        emitted=sum(row.emitted for row in rows),
        stored=sum(row.stored for row in rows),
        duplicates=sum(row.duplicates for row in rows),
        missing=sum(row.missing for row in rows),
        declared_lost=sum(row.declared_lost for row in rows),
        noticed_after_s=longest(each.noticed_after_s for each in times.values()),
        repaired_after_s=longest(each.repaired_after_s for each in times.values()),
        exact=all(each.exact for each in all_tallies),
        strangers=strangers,
        verdicts=dict(verdicts),
        services=rows,
    )


def longest(times_s: Iterable[float | None]) -> float | None:
    """The longest time; None if one has no end, or there are none."""
    ended = list(times_s)
    finite = [each for each in ended if each is not None]
    return max(finite) if finite and len(finite) == len(ended) else None


def _service_outcome(name: str, tenant: str, tallies: list[Tally], times: Times) -> ServiceOutcome:
    return ServiceOutcome(
        service=name,
        tenant=tenant,
        tables=[table for table in service(name).tables if table in {each.log.table for each in tallies}],
        emitted=sum(each.emitted for each in tallies),
        stored=sum(each.stored for each in tallies),
        missing=sum(each.missing for each in tallies),
        declared_lost=sum(each.declared_lost for each in tallies),
        duplicates=sum(each.duplicates for each in tallies),
        noticed_after_s=times.noticed_after_s,
        repaired_after_s=times.repaired_after_s,
    )
