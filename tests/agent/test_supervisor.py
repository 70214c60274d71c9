"""The supervisor over real processes: replaces the stuck and the dead, and leaves nobody behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from gapless.agent.layout import config_path, restarts_path, status_path
from gapless.agent.status import Running
from gapless.model.claim import Restart
from waiting import until

CONFIG = """
[agent]
name = "host-7"
data_dir = "{directory}/agent"
stalled_s = 0.6
[gateway]
urls = ["http://127.0.0.1:1"]
token_file = "/none"
[[source]]
type = "file"
paths = ["{directory}/*.log"]
tenant = "contoso"
table = "SigninLogs"
"""


class Agent:
    def __init__(self, directory: Path, process: subprocess.Popen[bytes]) -> None:
        self.data_dir = f"{directory}/agent"
        self.process = process

    def running(self) -> Running | None:
        try:
            return msgspec.json.decode(Path(status_path(self.data_dir)).read_bytes(), type=Running)
        except FileNotFoundError:
            return None

    def pid(self, child: str) -> int:
        running = self.running()
        return (running.children[child].pid or 0) if running else 0

    def url(self, child: str) -> str:
        running = self.running()
        report = running.children[child].report if running else None
        return report.url if report else ""

    def restarts(self) -> list[Restart]:
        try:
            return msgspec.json.decode(Path(restarts_path(self.data_dir)).read_bytes(), type=list[Restart])
        except FileNotFoundError:
            return []


def start(directory: Path, kind: str) -> subprocess.Popen[bytes]:
    path = directory / "agent.toml"
    if not path.exists():
        path.write_text(CONFIG.format(directory=directory))
    program = Path(__file__).with_name("supervised.py")
    return subprocess.Popen(
        [sys.executable, str(program), str(path), kind],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@contextmanager
def agent(directory: Path, kind: str) -> Iterator[Agent]:
    process = start(directory, kind)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", process.stderr and process.stderr.read()
        found = Agent(directory, process)
        until(lambda: found.pid("uploader") or kind == "failing")
        yield found
    finally:
        process.kill()
        process.communicate()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.case("T8")
@pytest.mark.system
def test_a_killed_or_frozen_child_is_replaced_and_it_is_told(tmp_path: Path) -> None:
    with agent(tmp_path, "busy") as found:
        killed = found.pid("uploader")
        os.kill(killed, signal.SIGKILL)
        until(lambda: found.pid("uploader") not in (0, killed))
        frozen = found.pid("collector")
        os.kill(frozen, signal.SIGSTOP)
        until(lambda: found.pid("collector") not in (0, frozen))
        assert not alive(frozen)
        told = {restart.child: restart.reason for restart in found.restarts()}
        assert "SIGKILL" in told["uploader"]
        assert "finished nothing" in told["collector"]


@pytest.mark.system
def test_a_stuck_child_is_replaced_again_and_again(tmp_path: Path) -> None:
    with agent(tmp_path, "stuck") as found:
        until(lambda: len(found.restarts()) >= 2)
        assert {restart.child for restart in found.restarts()} == {"collector"}


@pytest.mark.system
def test_a_long_step_that_goes_on_is_finished(tmp_path: Path) -> None:
    """A first look at 200,000 files, for one."""
    with agent(tmp_path, "long") as found:
        until(lambda: found.url("collector") == "done")


@pytest.mark.system
def test_unwatched_nobody_replaces_the_stuck(tmp_path: Path) -> None:
    with agent(tmp_path, "unwatched") as found:
        stuck, uploader = found.pid("collector"), found.pid("uploader")
        os.kill(uploader, signal.SIGKILL)  # the dead are replaced all the same
        until(lambda: found.pid("uploader") not in (0, uploader))
        seen = found.running()
        assert seen is not None
        until(lambda: (now := found.running()) and now.at_us > seen.at_us + 1_500_000)
        assert found.pid("collector") == stuck
        assert "claims" not in seen.children


@pytest.mark.system
def test_a_child_that_fails_is_tried_again_more_slowly_and_says_why(tmp_path: Path) -> None:
    with agent(tmp_path, "failing") as found:
        until(lambda: len(found.restarts()) >= 4)
        times = [restart.at_us for restart in found.restarts()]
        assert times[3] - times[2] > times[1] - times[0]
        assert "it cannot be done" in found.restarts()[0].reason


@pytest.mark.case("cloudflare-2024-11")
@pytest.mark.system
def test_a_good_configuration_reaches_the_children_and_a_blank_one_nobody(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    with agent(tmp_path, "busy") as found:
        uploader, collector = found.pid("uploader"), found.pid("collector")
        good = path.read_text().replace("127.0.0.1:1", "127.0.0.1:2")
        path.write_text(good)
        until(lambda: found.url("uploader") == "http://127.0.0.1:2")
        assert (found.pid("uploader"), found.pid("collector")) == (uploader, collector)
        path.write_text("")
        until(lambda: (now := found.running()) and now.config_faults)
        os.kill(found.process.pid, signal.SIGHUP)
        assert Path(config_path(found.data_dir)).read_text() == good
        path.write_text(good.replace("*.log", "*.json"))
        until(lambda: found.pid("collector") not in (0, collector))
        assert found.pid("uploader") == uploader
        assert found.restarts() == []


@pytest.mark.system
@pytest.mark.parametrize("kind", ["busy", "deaf"])
def test_it_ends_with_all_its_children(tmp_path: Path, kind: str) -> None:
    with agent(tmp_path, kind) as found:
        pids = [found.pid(name) for name in ("collector", "uploader", "claims")]
        found.process.send_signal(signal.SIGTERM)
        assert found.process.wait(20) == 0
        assert not any(alive(pid) for pid in pids)
        assert found.running() is None


@pytest.mark.case("T29")
@pytest.mark.system
def test_a_killed_supervisor_takes_its_children_with_it_and_only_one_agent_may_run(tmp_path: Path) -> None:
    with agent(tmp_path, "busy") as found:
        second = start(tmp_path, "busy")
        words = second.communicate(timeout=20)[1].decode()
        assert second.returncode == 2
        assert "stop it first" in words
        pids = [found.pid(name) for name in ("collector", "uploader", "claims")]
        found.process.kill()
        until(lambda: not any(alive(pid) for pid in pids))
    with agent(tmp_path, "busy"):
        pass
