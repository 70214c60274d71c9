"""The platform's children: replaced when they die or stand still, and only then."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from platform_rig import SQL, cli, up
from starlette.applications import Starlette
from structlog.testing import capture_logs

from gapless.gateway.gateway import Health
from gapless.model.errors import Misconfigured, Unavailable
from gapless.platform import children
from gapless.platform.app import platform_app
from gapless.platform.children import Child
from gapless.platform.gateway_process import gets_on, health
from gapless.platform.up import UpSettings, run
from waiting import until

STALLED_S = 1.0
PATIENT_S = 2.5  # longer than a busy machine holds up who gets on, shorter than they run


@pytest.fixture(autouse=True)
def rig_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)


def _child(kind: str, directory: Path, stalled_s: float = STALLED_S) -> Child:
    return Child(kind, "child_rig", (kind, str(directory)), stalled_s=stalled_s)


@asynccontextmanager
async def _kept(child: Child) -> AsyncIterator[asyncio.Task[None]]:
    """Runs the child; stops it at the end."""
    keeper = asyncio.create_task(child.keep())
    try:
        yield keeper
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper


async def _ends(kind: str, directory: Path, count: int, stalled_s: float = STALLED_S) -> list[Any]:
    """What is logged until ``count`` children of this kind have ended."""
    with capture_logs() as logs:
        async with asyncio.timeout(60), _kept(_child(kind, directory, stalled_s)) as keeper:
            while sum(log["event"] == "child_ended" for log in logs) < count:
                assert not keeper.done()
                await asyncio.sleep(0.02)
    return logs


def _gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("kind", ["frozen", "looping", "noisy", "frozen_lake", "frozen_keeper"])
def test_who_stands_still_is_killed_and_replaced(kind: str, tmp_path: Path) -> None:
    stalled, killed, well = asyncio.run(_ends(kind, tmp_path, 2))
    assert (stalled["event"], stalled["child"]) == ("child_stalled", kind)
    assert "finished nothing for" in stalled["why"]
    assert (killed["code"], well["code"]) == (-signal.SIGKILL, 0)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert stalled["pid"] in pids and all(_gone(pid) for pid in pids)


def test_who_never_becomes_ready_is_replaced_in_the_end(tmp_path: Path) -> None:
    logs = asyncio.run(_ends("unready", tmp_path, 1, stalled_s=0.1))
    assert [log["event"] for log in logs] == ["child_stalled", "child_ended"]
    assert "did not become ready" in logs[0]["why"] and logs[1]["code"] == -signal.SIGKILL


@pytest.mark.parametrize("kind", ["well", "slow_start", "lake_without_disk"])
def test_who_gets_on_is_left_alone(kind: str, tmp_path: Path) -> None:
    logs = asyncio.run(_ends(kind, tmp_path, 1, PATIENT_S))
    assert [(log["event"], log["code"]) for log in logs] == [("child_ended", 0)]


def test_who_dies_is_replaced_after_a_pause(tmp_path: Path) -> None:
    failed, well = asyncio.run(_ends("failing", tmp_path, 2))
    assert (failed["code"], failed["restart_in_s"], well["code"]) == (3, 0.1, 0)


def test_who_stands_still_again_is_given_twice_as_long(tmp_path: Path) -> None:
    logs = asyncio.run(_ends("frozen_each", tmp_path, 3))
    whys = [log["why"] for log in logs if log["event"] == "child_stalled"]
    assert len(whys) == 3
    assert int(whys[2].removeprefix("it finished nothing for ").removesuffix(" s")) >= 2 * STALLED_S


def test_who_gives_up_before_it_was_ever_ready_is_not_started_again(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="the hopeless cannot start"):
        asyncio.run(_child("hopeless", tmp_path).keep())
    assert len(list(tmp_path.iterdir())) == 1


def test_stopping_ends_one_that_is_frozen_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_STOP_S_MAX", 0.2)

    async def stopped() -> None:
        child = _child("frozen", tmp_path, stalled_s=60)
        async with _kept(child):
            await child.ready.wait()

    asyncio.run(stopped())
    assert all(_gone(int(path.name)) for path in tmp_path.iterdir())


def test_a_child_never_waits_for_a_supervisor_that_does_not_read() -> None:
    says = "from gapless.platform.children import say_step\nfor _ in range(50_000): say_step()"
    with subprocess.Popen([sys.executable, "-c", says], stdout=subprocess.PIPE) as child:
        try:
            assert child.wait(30) == 0
        finally:
            child.kill()
        assert child.stdout is not None
        said = child.stdout.read().splitlines()
    assert 1_000 < len(said) < 50_000 and set(said) == {b"step"}  # as much as fits, and whole words


@pytest.mark.parametrize("stalled_s", [0.0, -1.0, 2.0, 3601.0, float("nan"), float("inf")])
def test_a_time_to_judge_by_has_bounds(stalled_s: float, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="--stalled-s"):
        run(UpSettings(str(tmp_path / "data"), "127.0.0.1:0", stalled_s=stalled_s), print)


def _health(**stalled_s: float) -> Health:
    fields = (
        "journal_stalled_s",
        "batches_stalled_s",
        "claims_stalled_s",
        "uploads_stalled_s",
        "index_failing_s",
    )
    values = {name: stalled_s.get(name, 0.0) for name in fields}
    return Health(status="stuck", text="", index_behind_bytes=0, index_complete=True, **values)


def test_a_disk_that_refuses_is_no_reason_to_start_the_gateway_again() -> None:
    assert gets_on(_health(journal_stalled_s=3600.0, index_failing_s=3600.0))


@pytest.mark.parametrize("what", ["batches_stalled_s", "claims_stalled_s", "uploads_stalled_s"])
def test_requests_that_never_end_are(what: str) -> None:
    assert gets_on(_health(**{what: 9.0}))
    assert not gets_on(_health(**{what: 11.0}))


def test_the_gateways_health_is_asked_through_its_application(tmp_path: Path) -> None:
    app = platform_app(str(tmp_path))
    try:
        assert asyncio.run(health(app)).status == "ok"
    finally:
        asyncio.run(_ended(app))


async def _ended(app: Starlette) -> None:
    """Close what the application holds."""
    async with app.router.lifespan_context(app):
        pass


def _other_threads(pid: int) -> list[Path]:
    return [path for path in Path(f"/proc/{pid}/task").iterdir() if path.name != str(pid)]


def _blocks_sigterm(thread: Path) -> bool:
    status = (thread / "status").read_text()
    blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
    return bool(blocked >> (signal.SIGTERM - 1) & 1)


@pytest.mark.case("cloud.gov-2018-07")
@pytest.mark.system
def test_lake_and_gateway_that_freeze_are_replaced_and_records_are_stored_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    text = "select count(*), count(distinct RawData) from Acme_CL"

    def send(first: int) -> None:
        lines = b"".join(b"record %d\n" % number for number in range(first, first + 1_000))
        code, _, words = cli("send", "--tenant", "contoso", "--table", "Acme_CL", "-", data=data, stdin=lines)
        assert code == 0, words

    def stored() -> list[list[int]]:
        code, out, _ = cli(*SQL, "--tenant", "contoso", "--format", "json", text, data=data)
        rows: list[list[int]] = json.loads(out)["rows"] if code == 0 else []
        return rows

    with up(data, options=("--stalled-s", "3")) as platform:
        before = {name: platform.child(name) for name in ("gateway", "lake", "ledger")}
        assert all(map(_blocks_sigterm, _other_threads(before["lake"])))  # it falls into no step
        os.kill(before["lake"], signal.SIGSTOP)
        send(0)
        until(lambda: platform.child("lake") not in (0, before["lake"]))
        os.kill(before["gateway"], signal.SIGSTOP)
        send(1_000)  # waits for the gateway that takes its place
        until(lambda: stored() == [[2_000, 2_000]])
        assert platform.child("ledger") == before["ledger"]
        logged = data.with_suffix(".stderr").read_text().splitlines()
        stalled = [log for log in map(json.loads, logged) if log["event"] == "child_stalled"]
    assert [(log["child"], log["pid"]) for log in stalled] == [(n, before[n]) for n in ("lake", "gateway")]
