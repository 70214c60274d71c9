"""The outcome of a drill as people read it: the acts side by side, then by service and by tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

from rich.table import Table

from gapless.drills.outcome import ActOutcome, DrillOutcome, ServiceOutcome, longest

_COUNTS = ("emitted", "stored", "missing", "declared_lost", "duplicates")
_TIMES = ("noticed_after_s", "repaired_after_s")


def report(outcome: DrillOutcome) -> list[Table | str]:
    """All of it, to be printed; last, whether the drill showed what it claims."""
    parts: list[Table | str] = [
        _side_by_side(outcome),
        "",
        _grouped(outcome, "SERVICE", lambda row: row.service),
        "",
        _grouped(outcome, "TENANT", lambda row: row.tenant),
        "",
    ]
    if not outcome.faults:
        return [*parts, f"{outcome.drill}: everything was as claimed, counted by the ids in the records"]
    return [*parts, f"{outcome.drill}: not so:", *(f"  {fault}" for fault in outcome.faults)]


def _side_by_side(outcome: DrillOutcome) -> Table:
    drawn = _table("")
    for name in outcome.acts:
        drawn.add_column(name, justify="right", no_wrap=True)
    acts = list(outcome.acts.values())
    for field in (*_TIMES, *_COUNTS):
        drawn.add_row(_title(field), *(_cell(act, field) for act in acts))
    drawn.add_row("audit", *(", ".join(sorted(set(act.verdicts.values()))) for act in acts))
    return drawn


def _grouped(outcome: DrillOutcome, title: str, key: Callable[[ServiceOutcome], str]) -> Table:
    """Each act's services added up by ``key``."""
    drawn = _table("ACT")
    drawn.add_column(title, no_wrap=True)
    for field in (*_COUNTS, *_TIMES):
        drawn.add_column(_title(field).upper(), justify="right")
    for name, act in outcome.acts.items():
        for group, rows in groupby(sorted(act.services, key=key), key):
            drawn.add_row(name, group, *_sums(rows))
        drawn.add_section()
    return drawn


def _sums(rows: Iterable[ServiceOutcome]) -> list[str]:
    listed = list(rows)
    counts = [f"{sum(getattr(row, field) for row in listed):,}" for field in _COUNTS]
    return counts + [_seconds(longest(getattr(row, field) for row in listed)) for field in _TIMES]


def _cell(act: ActOutcome, field: str) -> str:
    value = getattr(act, field)
    if field not in _TIMES:
        return f"{value:,}"
    by_hand = field == "repaired_after_s" and value is not None and act.noticed_after_s is None
    return _seconds(value) + (" by hand" if by_hand else "")


def _seconds(time_s: float | None) -> str:
    return "never" if time_s is None else f"{time_s:.1f} s"


def _title(field: str) -> str:
    return field.removesuffix("_s").replace("_", " ")


def _table(first: str) -> Table:
    drawn = Table(show_edge=False, pad_edge=False)
    drawn.add_column(first, no_wrap=True)
    return drawn
