"""Every process is killed at every commit point, exactly there: in the end every record is stored once, and
the audit says complete. docs/internals/crashes.md says of each point what a crash leaves there.

What happens at a point: the process is killed there; or the write fails (before it, it is not kept; after
it, it is); or the process is frozen there, and its watchdog replaces it. ``GAPLESS_CRASH_ALL`` (set by
``make crash``) has all of that at all points; otherwise nobody is frozen, and points that differ little are
left out.
"""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

import pytest
from crash_rig import ALL, TABLE, TENANT, Site, site

ORDERS = ("kill", "fail", "stop") if ALL else ("kill", "fail")
SOURCES = 4

_LOG = ("append", "appended", "sync", "synced", "publish")

#: Passed while the platform and the agent start for the first time.
FIRST_OF_UP = (
    "url:rename", "url:renamed", "receipt.key:rename", "receipt.key:renamed", "access.key:rename",
    "access.key:renamed", "journal:created", "admin.token:rename", "admin.token:renamed",
)  # fmt: skip
FIRST_OF_AGENT = (
    "identity:rename", "identity:renamed", "spool:created", "acks:created", "receipt.key:rename",
    "receipt.key:renamed", "agent.key:rename", "agent.key:renamed",
)  # fmt: skip

_COMPACTION = ("lake:sorted", "lake:swap", "lake:swapped")

#: Passed again and again; by process, because one of each is struck at a time.
OF_UP = {
    "gateway": (
        *(f"journal:{where}" for where in _LOG),
        "batches:journaled", "batches:settled", "claims:journaled", "index:commit", "index:committed",
        "tokens.json:rename", "tokens.json:renamed",
    ),
    "lake": ("lake:written", "lake:step", "lake:stepped", *_COMPACTION),
    "ledger": ("ledger:commit", "ledger:committed", "outbox:posted"),
}  # fmt: skip
OF_AGENT = {
    "collector": (*(f"spool:{where}" for where in _LOG), "spool:created", "spool:unlinked"),
    "uploader": tuple(f"acks:{where}" for where in _LOG),
    "claims": ("claims.json:rename", "claims.json:renamed", "claims:answered"),
    "agent": ("config.toml:rename", "config.toml:renamed", "restarts.json:rename", "restarts.json:renamed"),
}

#: Left out by default: the log's own, which another process passes too, and some where what is on disk is
#: the same as at the next one.
_MORE = {
    "spool:appended", "spool:sync", "spool:publish", "acks:append", "acks:sync", "acks:synced",
    "journal:append", "journal:appended", "journal:sync", "journal:publish", "batches:settled",
    "tokens.json:renamed",
}  # fmt: skip
if not ALL:
    for _of in (OF_UP, OF_AGENT):
        _of.update({process: tuple(n for n in names if n not in _MORE) for process, names in _of.items()})


Round = tuple[list[str], list[str]]  # the points of the platform, and of the agent


def _rounds(order: str) -> list[Round]:
    """Of each process one point at a time; a process that only fails to write lives to meet the next one,
    but compaction, which is put off then. Nobody watches the agent's supervisor: it is not frozen."""
    if order == "fail":
        up, agent = ([name for names in of.values() for name in names] for of in (OF_UP, OF_AGENT))
        first = [name for name in up if name not in _COMPACTION]
        return [(first, agent), *(([name], []) for name in _COMPACTION if ALL)]
    watched = {process: names for process, names in OF_AGENT.items() if (process, order) != ("agent", "stop")}
    rows = (zip_longest(*of.values()) for of in (OF_UP, watched))
    of_up, of_agent = ([[name for name in row if name] for row in each] for each in rows)
    return list(zip_longest(of_up, of_agent, fillvalue=[]))


def _strike(of: Site, points: Round, order: str) -> None:
    """Do what passes the points, until each was struck."""
    of.platform_points.arm(points[0], order)
    of.agent_points.arm(points[1], order)
    changes = 0

    def struck() -> bool:
        nonlocal changes
        changes += 1
        of.write(1)
        of.ask("POST", "/v1/tokens", json={"tenant": TENANT, "tables": [TABLE], "scope": "read"})
        of.configure(f"# change {changes}")
        if any(name.startswith("restarts") for name in of.agent_points.waiting()):
            of.processes[1].kill_child()  # to be noted down
        return not of.platform_points.waiting() + of.agent_points.waiting()

    of.until(struck)
    for process in of.processes:
        process.kill()  # else its children wait longer each time before they are started again


@pytest.mark.case("T2", "T3")
@pytest.mark.system
def test_killed_at_every_commit_point(tmp_path: Path) -> None:
    with site(tmp_path, sources=SOURCES, options=("--stalled-s", "5")) as of:
        of.platform_points.arm(FIRST_OF_UP, "kill")
        of.agent_points.arm(FIRST_OF_AGENT, "kill")
        of.start_platform()

        of.until(lambda: not of.platform_points.waiting() and of.ask("GET", "/v1/tokens") is not None)
        of.start_agent("[spool]\nsegment_bytes_max = 16384\nsize_bytes_max = 8388608\n")
        of.write(1)
        of.until(lambda: not of.agent_points.waiting())
        of.settle()
        for order in ORDERS:
            for points in _rounds(order):
                _strike(of, points, order)
            of.settle()
            of.complete()
        assert '"code": -9' in of.said("up") and "SIGKILL" in of.said("agent")
