"""September 2024: a fix had agents change their upload endpoint while an upload was under way.

The dispatch threads deadlocked one by one while collection went on, and caches overwrote their oldest data.
It took days to notice, two weeks to find out that a restart helps, and what was overwritten is lost.

Three acts, each with a platform of its own, an agent for each of three tenants, and the logs of all eight
services. The fault, the records and the order of events are the same in each:

* ``then``         agents and platform as they were: nobody counts, nobody is watched, the cache overwrites
* ``now``          the product as it is
* ``small_spool``  the product with a spool too small for the outage, set to declare what it gives up
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from gapless import clock
from gapless.drills.act import Act, ActPlan
from gapless.drills.outcome import ActOutcome, DrillOutcome
from gapless.drills.progress import Progress
from gapless.drills.tenant import AgentPlan, Tenant
from gapless.drills.workload import generate
from gapless.model.errors import GaplessError

NAME = "microsoft-2024-09"
TITLE = "uploads deadlock when the endpoint changes; collection goes on, caches overflow"

TENANTS = ("contoso", "fabrikam", "northwind")
RECORDS_PER_LOG = 120
_SEED = 2024_09

#: How far the logs are written when the endpoint begins to change, when it stops at the latest, when the
#: outage ends, and at the end.
_BEFORE, _CHANGING_MAX, _OUTAGE, _ALL = 0.1, 0.3, 0.9, 1.0
_OUTAGE_S = 6.0
_CHANGE_EVERY_S = 0.15

#: Nobody notices for so long, as a stand-in for two weeks.
_UNNOTICED_S = 20.0

#: What the drill claims of the product.
NOTICED_S_MAX, REPAIRED_S_MAX = 10.0, 30.0

_SMALL = {"size_bytes_max": 1 << 20, "segment_bytes_max": 256 << 10, "when_full": "declare"}
_LARGE = {"size_bytes_max": 1 << 30, "segment_bytes_max": 16 << 20, "when_full": "block"}

PLANS = {
    "then": ActPlan(AgentPlan("then", _SMALL, stalled_s=12.0), books=False),
    "now": ActPlan(AgentPlan("now", _LARGE, stalled_s=12.0), books=True),
    # The watchdog is patient here, so that the outage lasts until the spool has overflowed.
    "small_spool": ActPlan(AgentPlan("now", _SMALL, stalled_s=16.0), books=True),
}


async def run(directory: Path, progress: Progress, *, records_per_log: int = RECORDS_PER_LOG) -> DrillOutcome:
    """Play the acts side by side, with all their files below ``directory``. Raises a GaplessError,
    with a sentence that says what did not happen, when an act cannot be played to its end."""
    records = await asyncio.to_thread(
        generate, TENANTS, records_per_log=records_per_log, seed=_SEED, start_us=clock.now_us()
    )
    outcomes: dict[str, ActOutcome] = {}
    turn = asyncio.Lock()  # starts are heavy: one act after the other

    async def play(name: str) -> None:
        act = Act(name, PLANS[name], directory / name, records, lambda text: progress.say(name, text))
        progress.show(name, act)
        async with act:
            async with turn:
                act.say("a platform and three agents start")
                await act.start()
            await _SCRIPTS[name](act)
            outcomes[name] = await act.outcome()
            act.say("it is over, and counted")

    try:
        async with asyncio.TaskGroup() as playing:
            for name in PLANS:
                playing.create_task(play(name))
    except* GaplessError as failed:
        raise failed.exceptions[0] from None
    acts = {name: outcomes[name] for name in PLANS}
    return DrillOutcome(drill=NAME, acts=acts, faults=faults(acts))


async def then(act: Act) -> None:
    """Until somebody restarts the agents by hand."""
    await _uploads_get_stuck(act)
    await act.write(_OUTAGE, _OUTAGE_S)
    act.say("nothing arrives, nobody notices, and the caches overwrite their oldest data")
    await act.until(
        "the agents read all that was written",
        lambda tenant: _unnoticed_for_s(tenant) > _UNNOTICED_S and _read_all(act, tenant),
        60.0,
    )
    await _restart_by_hand(act)
    await _repaired(act, 60.0)
    await _the_rest(act)


async def now(act: Act) -> None:
    """Noticed, repaired by itself, and proven complete."""
    await _uploads_get_stuck(act)
    await act.write(_OUTAGE, _OUTAGE_S)
    await act.until("a finding upload_stalled", lambda tenant: tenant.noticed_at_s is not None, 60.0)
    await _repaired(act, 90.0)
    await _the_rest(act)
    await act.until_books("complete", 60.0)
    act.say("the audit says: complete")


async def small_spool(act: Act) -> None:
    """Noticed, repaired, and what was given up meanwhile is known record by record."""
    await _uploads_get_stuck(act)
    await act.write(_OUTAGE, _OUTAGE_S)
    await act.until("a finding upload_stalled", lambda tenant: tenant.noticed_at_s is not None, 60.0)
    await _repaired(act, 90.0)
    await _the_rest(act)
    await act.until_books("incomplete", 60.0)
    act.say("the audit says which records were given up, each with its place")


_SCRIPTS = {"then": then, "now": now, "small_spool": small_spool}


async def _uploads_get_stuck(act: Act) -> None:
    """All is well; then the endpoint changes, again and again, until uploads of every agent stand still."""
    act.say("all is well: records arrive")
    await act.write(_BEFORE, 0.0)
    await act.until_stored(act.workload.newest(), 60.0)
    act.say("the endpoint of the agents changes, again and again")
    act.watch_findings()

    def change(waiting: list[Tenant]) -> None:
        act.workload.trickle(files=3, records=1, share_max=_CHANGING_MAX)
        for tenant in waiting:
            tenant.change_endpoint()

    await act.until(
        "a deadlock in the uploader",
        lambda tenant: tenant.stuck_at_s is not None,
        30.0,
        meanwhile=change,
        every_s=_CHANGE_EVERY_S,
    )
    act.say("dispatch threads are deadlocked; collection goes on")


async def _restart_by_hand(act: Act) -> None:
    act.say("somebody restarts the agents")
    await asyncio.gather(*(tenant.restart() for tenant in act.tenants))


async def _repaired(act: Act, timeout_s: float) -> None:
    """What was written last during the outage is in the tables: older records are, or never will be."""
    stored_at_s = await act.until_stored(act.workload.newest(), timeout_s)
    for tenant in act.tenants:
        tenant.repaired_at_s = stored_at_s[tenant.name]
    act.say("uploads go on, and what was held has arrived")


async def _the_rest(act: Act) -> None:
    """Records after the outage. When they are stored, all that was sent before is."""
    await act.until("no batch is left to send", lambda tenant: tenant.status().unsent_batches == 0, 60.0)
    await act.write(_ALL, 0.0)
    await act.until_stored(act.workload.newest(), 60.0)


def _unnoticed_for_s(tenant: Tenant) -> float:
    return time.time() - (tenant.stuck_at_s or time.time())


def _read_all(act: Act, tenant: Tenant) -> bool:
    return sum(stream.next for stream in tenant.status().streams) == act.workload.emitted_by(tenant.name)


def faults(acts: Mapping[str, ActOutcome]) -> list[str]:
    """What the drill claims and these acts did not show."""
    was, is_, small = acts["then"], acts["now"], acts["small_spool"]
    tenants = {row.tenant for row in small.services}
    shown = {
        "then: nobody notices": was.noticed_after_s is None,
        "then: records are lost": was.missing > 0,
        "then: and nothing says so": was.declared_lost == 0,
        "now: nothing is missing": is_.missing == 0,
        "now: nothing is declared lost": is_.declared_lost == 0,
        "now: every record is stored once, under its own seq": is_.exact,
        f"now: noticed within {NOTICED_S_MAX:.0f} s": _within(is_.noticed_after_s, NOTICED_S_MAX),
        f"now: repaired within {REPAIRED_S_MAX:.0f} s": _within(is_.repaired_after_s, REPAIRED_S_MAX),
        "now: the audit says complete": set(is_.verdicts.values()) == {"complete"},
        "small_spool: every tenant has declared losses": tenants
        == {row.tenant for row in small.services if row.declared_lost},
        "small_spool: nothing else is missing": small.missing == 0,
        "small_spool: each record is stored once or declared lost, by its seq": small.exact,
        "small_spool: the audit says incomplete": set(small.verdicts.values()) == {"incomplete"},
    }
    for name, act in acts.items():
        shown[f"{name}: nothing is stored twice"] = act.duplicates == 0
        shown[f"{name}: no row is of unknown origin"] = act.strangers == 0
    return [claim for claim, true in shown.items() if not true]


def _within(time_s: float | None, max_s: float) -> bool:
    return time_s is not None and time_s <= max_s
