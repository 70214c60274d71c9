"""Every state file, deleted, zeroed, cut in half or with one bit changed while all is stopped: what happens
then is what docs/internals/crashes.md says, and nothing else is lost.

By default what goes on by itself is harmed together, in one run for each way; ``GAPLESS_CRASH_ALL`` (set by
``make crash``) harms one file at a time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from crash_rig import ALL, Site, site

SOURCES = 2
SPOOL = "[spool]\nsegment_bytes_max = 65536\nsize_bytes_max = 8388608\n"
SEGMENT = f"{0:020d}.log"


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10  # of a hex digit this makes none
    path.write_bytes(content)


WAYS: dict[str, Callable[[Path], None]] = {
    "deleted": Path.unlink, "zeroed": zeroed, "cut": cut, "changed": changed,
}  # fmt: skip

#: Made anew, found again, or done without: every record is stored once, and the audit says complete.
GOES_ON = (
    "data/admin.token", "data/index.sqlite", "data/journal/durable", "data/ledger/ledger.db", "data/url",
    f"agent/acks/{SEGMENT}", "agent/acks/durable", "agent/agent.key", "agent/claims.json",
    "agent/config.toml", "agent/fenced.json", "agent/restarts.json", "agent/spool/durable",
)  # fmt: skip

#: The platform does not start, and says what to do.
REFUSED = {
    "data/lake/catalog.db": "remove it, and the lake is made again from the journal",
    "data/access.key": "does not hold a key of 64 hex digits: remove it",
    "data/receipt.key": "does not hold a key of 64 hex digits: restore it from a backup",
    "data/tokens.json": "is not a list of tokens: restore it from a backup",
}

#: No counter is proven any more: other epochs begin, and the audit says that it is not known where those
#: before ended. Sources are read again from where the spool still says that they were read to.
UNPROVEN = (f"agent/spool/{SEGMENT}", "agent/spool/identity")


class Stopped:
    """A site that was stopped: the agent had more than the platform has. ``restore`` puts every file back in
    its place, into the same inodes."""

    def __init__(self, of: Site) -> None:
        self.of = of
        of.start_platform()
        of.until(lambda: of.ask("GET", "/v1/tokens") is not None)
        of.start_agent(SPOOL)
        of.write(40)
        of.settle()
        of.complete()  # the books have it, too: of a journal that is harmed they need nothing any more
        of.processes[1].kill_child()  # a restart to be told
        of.processes[0].kill()
        of.write(20)
        spool = of.directory / "agent" / "spool" / SEGMENT
        kept_bytes = spool.stat().st_size
        of.until(lambda: spool.stat().st_size > kept_bytes, reviving=False)
        of.stop()
        for path in ("data/index.sqlite", "data/lake/catalog.db", "data/ledger/ledger.db"):
            with sqlite3.connect(of.directory / path) as connection:
                connection.execute("pragma wal_checkpoint(truncate)")
            connection.close()
        (of.directory / "agent" / "fenced.json").write_text("[]")
        self._written = of.written
        self._files = {path: path.read_bytes() for path in self._paths()}

    def restore(self) -> None:
        self.of.stop()
        self.of.written = self._written
        for path in self._paths():
            if path not in self._files:
                path.unlink()
        for path, content in self._files.items():
            path.parent.mkdir(exist_ok=True)
            with path.open("r+b" if path.exists() else "wb") as file:
                file.write(content)
                file.truncate()

    def _paths(self) -> list[Path]:
        found = (path for part in ("data", "agent", "logs") for path in (self.of.directory / part).rglob("*"))
        return [path for path in found if path.is_file() and path.name != "lock"]

    def starts(self) -> None:
        self.of.start_platform()
        self.of.start_agent(SPOOL)
        self.of.write(5)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopped]:
    with site(tmp_path_factory.mktemp("site"), sources=SOURCES) as of:
        yield Stopped(of)


def harm(stopped: Stopped, names: tuple[str, ...], way: str) -> None:
    stopped.restore()
    for name in names:
        WAYS[way](stopped.of.directory / name)


@pytest.mark.system
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("names", [(name,) for name in GOES_ON] if ALL else [GOES_ON])
def test_it_goes_on_as_if_nothing_had_happened(stopped: Stopped, names: tuple[str, ...], way: str) -> None:
    if way == "deleted" and not ALL:
        names = (*names, "data/lake/catalog.db")
    harm(stopped, names, way)
    stopped.starts()
    stopped.of.settle()
    stopped.of.complete()


@pytest.mark.system
@pytest.mark.parametrize("way", ["zeroed", "cut"] if ALL else ["zeroed"])
@pytest.mark.parametrize("name", REFUSED)
def test_it_says_what_to_do_and_goes_on_when_that_is_done(stopped: Stopped, name: str, way: str) -> None:
    path = stopped.of.directory / name
    good = path.read_bytes()
    harm(stopped, (name,), way)
    stopped.of.start_platform()
    refusing = stopped.of.processes[0].process
    assert refusing.wait(30) == 3
    assert REFUSED[name] in stopped.of.said("up")
    if not ALL:
        return
    stopped.of.processes.clear()
    path.write_bytes(good)
    stopped.starts()
    stopped.of.settle()
    stopped.of.complete()


def unknown_for(audit: dict[str, Any], reason: str) -> bool:
    """A platform that has just started says unknown for other reasons first."""
    return audit.get("verdict") == "unknown" and any(reason in each for each in audit["reasons"])


@pytest.mark.system
@pytest.mark.parametrize("way", WAYS if ALL else ["deleted"])
@pytest.mark.parametrize("name", UNPROVEN if ALL else UNPROVEN[:1])
def test_what_is_not_proven_any_more_is_unknown_and_nothing_is_lost(
    stopped: Stopped, name: str, way: str
) -> None:
    harm(stopped, (name,), way)
    stopped.starts()
    of = stopped.of
    of.until(lambda: [row[2:] for row in of.stored() or ()] == [[of.written, 0, of.written - 1]] * SOURCES)
    of.until(lambda: unknown_for(of.audit(), "an epoch ended at"))


@pytest.mark.system
@pytest.mark.skipif(not ALL, reason="takes long: make crash")
def test_an_agent_whose_pinned_key_is_damaged_keeps_all_it_has_and_says_so(stopped: Stopped) -> None:
    harm(stopped, ("agent/receipt.key",), "cut")
    stopped.starts()
    of, status = stopped.of, stopped.of.directory / "agent" / "status.json"
    of.until(lambda: status.exists() and "restore it, or set gateway.receipt_key" in status.read_text())
    of.stop()
    (of.directory / "agent" / "receipt.key").unlink()
    of.start_platform()
    of.start_agent(SPOOL)
    of.settle()
    of.complete()


@pytest.mark.system
def test_a_journal_that_was_set_back_takes_nothing_that_nobody_would_read(stopped: Stopped) -> None:
    """Only the journal comes back from a backup: lake and books are ahead, and go on with what is new."""
    stopped.restore()
    of = stopped.of
    journal = of.directory / "data" / "journal"
    backup = {path: path.read_bytes() for path in journal.iterdir() if path.name != "lock"}
    stopped.starts()
    of.settle()
    of.complete()
    of.stop()
    for path in journal.iterdir():
        if path in backup:
            path.write_bytes(backup[path])
    stopped.starts()
    of.settle()
    of.complete()
    assert "journal_recovered" in of.said("up")


@pytest.mark.system
def test_an_agent_that_was_set_back_leaves_its_epochs_even_if_it_is_killed_then(stopped: Stopped) -> None:
    """Its whole directory comes back as it was, to the same place: what it says from then on contradicts what
    it said, and it is told to leave its epochs. Killed while it notes that down, it is told again."""
    stopped.restore()
    of = stopped.of
    agent = of.directory / "agent"
    backup = {path: path.read_bytes() for path in agent.rglob("*") if path.is_file()}
    stopped.starts()
    of.settle()
    of.complete()
    of.stop()
    for path in agent.rglob("*"):
        if path.is_file() and path not in backup:
            path.unlink()
    for path, content in backup.items():
        path.write_bytes(content)
    of.agent_points.arm(["fenced.json:rename", "fenced.json:renamed"], "kill")
    stopped.starts()
    of.until(lambda: not of.agent_points.waiting())
    of.until(lambda: [row[2:] for row in of.stored() or ()] == [[of.written, 0, of.written - 1]] * SOURCES)
    left = {each["epoch"] for each in msgspec.json.decode((agent / "fenced.json").read_bytes())}
    assert len(left) == SOURCES

    def told() -> set[str]:
        findings = of.audit().get("findings", ())
        return {each.get("epoch", "") for each in findings if each["kind"] in ("rollback", "fork")}

    of.until(lambda: told() >= left)
    of.until(lambda: unknown_for(of.audit(), "nothing says"))


@pytest.mark.system
def test_an_uploader_that_writes_its_damaged_outcomes_anew_may_be_killed_meanwhile(stopped: Stopped) -> None:
    harm(stopped, (f"agent/acks/{SEGMENT}",), "changed")
    of = stopped.of
    of.agent_points.arm(["acks:created", "acks:unlinked"], "kill")
    stopped.starts()
    of.until(lambda: not of.agent_points.waiting())
    of.settle()
    of.complete()


@pytest.mark.system
def test_a_damaged_journal_costs_what_only_it_had(stopped: Stopped) -> None:
    """The lake and the books have it all already; so only the archive is gone, and that is said."""
    harm(stopped, (f"data/journal/{SEGMENT}",), "zeroed")
    stopped.starts()
    of = stopped.of
    of.settle()
    of.complete()
    assert "journal_recovered" in of.said("up")
