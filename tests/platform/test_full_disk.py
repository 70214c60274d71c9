"""A disk that is full, for real, and a spool that is: nothing is lost that was not declared, it is said what
is in the way, and it goes on once there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from crash_rig import ALL, Site, site


@contextmanager
def small_disk(path: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of its own at ``path``; yields a file in it that takes what is free when it is filled."""
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "tmpfs", str(path)],
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield path / "filler"
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(filler: Path) -> None:
    """Take all that is free, to the last byte."""
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


def spool(policy: str) -> str:
    return (
        "[spool]\nsegment_bytes_max = 65536\nsize_bytes_max = 1048576\nfree_bytes_min = 0\n"
        f'when_full = "{policy}"\n'
    )


def started(of: Site, policy: str = "block") -> None:
    of.start_platform()
    of.until(lambda: of.ask("GET", "/v1/tokens") is not None)
    of.start_agent(spool(policy))
    of.write(50)
    of.settle()
    of.complete()


@pytest.mark.system
@pytest.mark.skipif(not ALL, reason="takes long: make crash")
def test_an_agent_without_room_on_its_disk_loses_nothing_and_is_missed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "agent", 8 << 20) as filler, site(tmp_path, sources=2) as of:
        started(of)
        fill(filler)
        of.write(50)
        of.until(lambda: of.audit().get("verdict") == "unknown")  # it cannot claim: no statement is kept
        filler.unlink()
        of.settle()
        of.complete()


@pytest.mark.system
def test_a_platform_without_room_on_its_disk_says_so_and_takes_what_the_agents_kept(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", 48 << 20) as filler, site(tmp_path, sources=2) as of:
        started(of)
        fill(filler)
        of.write(50, pad_bytes=1_000)
        of.until(lambda: "No space left on device" in of.told_by("uploader"))
        assert of.http.get("/healthz").json()["journal_stalled_s"] > 0
        of.stop()
        said = len(of.said("up"))
        of.start_platform()
        of.start_agent(spool("block"))
        of.until(lambda: "disk is full" in of.said("up")[said:])  # whichever of its processes cannot start
        filler.unlink()
        of.settle()
        of.complete()


@pytest.mark.system
@pytest.mark.skipif(not ALL, reason="takes long: make crash")
def test_a_spool_that_is_full_holds_its_sources_back_through_an_outage(tmp_path: Path) -> None:
    with site(tmp_path, sources=1) as of:
        started(of)
        of.processes[0].kill()
        for _ in range(10):
            of.write(400, pad_bytes=1_000)
        of.until(lambda: "the spool is full: its sources wait" in of.told_by("collector"), reviving=False)
        of.settle()
        of.complete()


@pytest.mark.system
def test_a_spool_that_gives_up_the_oldest_says_exactly_what_even_if_it_is_killed_then(tmp_path: Path) -> None:
    with site(tmp_path, sources=1) as of:
        started(of, "declare")
        of.agent_points.arm(["spool:declared"], "kill")
        of.processes[0].kill()
        for _ in range(10):
            of.write(400, pad_bytes=1_000)
        size = (of.directory / "logs" / "0.log").stat().st_size
        of.until(lambda: not of.agent_points.waiting() and of.read_bytes() == size, reviving=False)

        def accounted() -> bool:
            found.update(of.audit())
            totals = found.get("totals", {"stored": 0, "lost": 0})
            settled = totals["lost"] and totals["stored"] + totals["lost"] == of.written
            return bool(settled and found["verdict"] == "incomplete")

        found: dict[str, Any] = {}
        of.until(accounted)
        assert found["totals"]["missing"] == 0
        assert of.stored() == [[0, found["totals"]["stored"], found["totals"]["stored"], 0, of.written - 1]]
