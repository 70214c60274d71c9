"""No receipt for what is not durable, whatever the disk does; and what it costs nobody afterwards."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gapless.gateway.settings import GatewaySettings
from gapless.model.batch import BatchHeader
from gapless.model.entry import Kind
from gapless.model.errors import Misconfigured, Unavailable
from waiting import until

from .faults import FaultyDisk, FaultyFile
from .support import EPOCH, Agent, Platform, batch, body, platform


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def statuses(results: list[dict[str, Any]]) -> list[str]:
    return [result["status"] for result in results]


def metrics(running: Platform) -> dict[str, float]:
    text = running.get("/metrics").text
    return {
        sample.name.removeprefix("gapless_gateway_")
        + "".join(f"[{v}]" for v in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


@pytest.mark.case("T42", "mezmo-2022-06")
@pytest.mark.parametrize("fault", ["write_errno", "sync_errno"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_disk_that_refuses_gives_no_receipt_and_the_batch_passes_later(
    tmp_path: Path, fault: str, number: int, restarted: bool
) -> None:
    """T42: a full disk, a failed fsync."""
    disk = FaultyDisk()
    with platform(tmp_path, disk=disk) as running:
        assert statuses(running.results(batch(0, 10))) == ["receipt"]
        setattr(disk.faults, fault, number)
        for _ in range(3):
            answer = running.send(batch(10, 20), batch(20, 30))
            assert error(answer) == (503, "unavailable")
            assert "Retry-After" in answer.headers
            assert statuses(running.results(batch(0, 10))) == ["receipt"]  # that one is durable
        assert len(running.entries(Kind.BATCH)) == 1
        setattr(disk.faults, fault, 0)
        if not restarted:
            assert statuses(running.results(batch(10, 20), batch(20, 30))) == ["receipt"] * 2
    with platform(tmp_path) as running:
        results = running.results(batch(0, 10), batch(10, 20), batch(20, 30))
        assert statuses(results) == ["receipt"] * 3
        at = [running.receipt(result).position for result in results]
        assert [e.position for e in running.entries(Kind.BATCH)] == at


def test_a_fork_is_not_told_before_it_is_on_record(tmp_path: Path) -> None:
    disk = FaultyDisk()
    with platform(tmp_path, disk=disk) as running:
        running.results(batch(0, 10))
        disk.faults.sync_errno = errno.EIO
        assert error(running.send(batch(0, 10, salt="x"))) == (503, "unavailable")
        disk.faults.sync_errno = 0
        assert statuses(running.results(batch(0, 10, salt="x"))) == ["fork"]
        assert len(running.entries(Kind.FINDING)) == 1


def test_whoever_waits_for_the_same_batch_learns_that_it_failed(tmp_path: Path) -> None:
    disk = FaultyDisk()
    with platform(tmp_path, disk=disk) as running:
        syncing, may_fail = threading.Event(), threading.Event()

        def sync(self: FaultyFile) -> None:
            syncing.set()
            assert may_fail.wait(20)
            raise OSError(errno.EIO, "refused")

        patch = pytest.MonkeyPatch()
        patch.setattr(FaultyFile, "sync", sync)
        first = running.start("POST", "/v1/batches", content=body(batch(0, 10)), headers=running.admin)
        assert syncing.wait(10)
        second = running.start("POST", "/v1/batches", content=body(batch(0, 10)), headers=running.admin)
        until(lambda: running.gateway.batches_budget.count == 2)
        may_fail.set()
        assert error(first.result(10)) == (503, "unavailable")
        # The second waited for the first, or came when it was over and failed by itself.
        answer = second.result(10)
        if answer.status_code == 200:
            (result,) = answer.json()["results"]
            assert (result["status"], result["code"]) == ("busy", "unavailable")
        else:
            assert error(answer) == (503, "unavailable")
        patch.undo()
        assert statuses(running.results(batch(0, 10))) == ["receipt"]
        assert len(running.entries(Kind.BATCH)) == 1


@pytest.mark.case("cloud.gov-2018-07")
def test_health_is_progress(tmp_path: Path) -> None:
    disk = FaultyDisk()
    settings = GatewaySettings(stuck_after_s=0.05)
    with platform(tmp_path, disk=disk, settings=settings) as running:
        assert running.get("/healthz").json()["status"] == "ok"
        disk.faults.sync_errno = errno.EIO
        assert running.send(batch(0, 10)).status_code == 503
        until(lambda: running.gateway.health().journal_stalled_s > 0.05)
        answer = running.get("/healthz")
        assert answer.status_code == 503
        assert answer.json()["status"] == "stuck" and "durable" in answer.json()["text"]
        disk.faults.sync_errno = 0
        running.results(batch(0, 10))
        assert running.get("/healthz").status_code == 200


def test_health_sees_an_index_that_does_not_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = GatewaySettings(stuck_after_s=0.05, index_interval_s=0.01)
    with platform(tmp_path, settings=settings) as running:
        index = running.gateway._index

        def fails() -> None:
            raise Unavailable("the index cannot be written")

        monkeypatch.setattr(index, "step", fails)
        running.results(batch(0, 10))
        until(lambda: running.get("/healthz").status_code == 503)
        assert "index" in running.get("/healthz").json()["text"]
        monkeypatch.undo()
        until(lambda: running.get("/healthz").status_code == 200)
        until(lambda: index.lookup((batch(0, 10)[0].stream.id, EPOCH), 0))


def test_health_sees_requests_that_do_not_end(tmp_path: Path) -> None:
    """The journal is idle and well, but nothing gets there: alive is not healthy."""
    with platform(tmp_path, settings=GatewaySettings(stuck_after_s=0.05)) as running:
        released = threading.Event()
        decide = running.gateway.intake._admission.decide

        def stuck(offer: Any, ticket: Any) -> Any:
            assert released.wait(20)
            return decide(offer, ticket)

        running.gateway.intake._admission.decide = stuck  # type: ignore[method-assign]
        request = running.start("POST", "/v1/batches", content=body(batch(0, 10)), headers=running.admin)
        until(lambda: running.get("/healthz").status_code == 503)
        assert "batches" in running.get("/healthz").json()["text"]
        assert running.claim(Agent().claims(EPOCH)).status_code == 200
        released.set()
        assert request.result(10).status_code == 200
        assert running.get("/healthz").status_code == 200


def test_batches_wait_for_an_index_that_is_too_far_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = GatewaySettings(unindexed_batches_max=3, index_interval_s=0.01)
    with platform(tmp_path, settings=settings) as running:
        monkeypatch.setattr(running.gateway._index, "step", lambda: None)
        results = running.results(*(batch(n, n + 1) for n in range(5)))
        assert statuses(results) == ["receipt"] * 3 + ["busy"] * 2
        assert error(running.send(batch(3, 4))) == (429, "busy")
        monkeypatch.undo()
        until(lambda: running.send(batch(3, 4)).status_code == 200)


def test_batches_wait_for_an_index_that_is_built_anew_and_repeats_are_still_known(tmp_path: Path) -> None:
    with platform(tmp_path) as running:
        before = running.send(*(batch(n, n + 1) for n in range(20))).content
    (tmp_path / "index.sqlite").write_bytes(b"\xff" * 5_000)
    settings = GatewaySettings(index_wait_s=0, index_interval_s=0.01)
    with platform(tmp_path, settings=settings) as running:
        until(lambda: running.send(*(batch(n, n + 1) for n in range(20))).status_code == 200)
        assert running.send(*(batch(n, n + 1) for n in range(20))).content == before
        assert len(running.entries(Kind.BATCH)) == 20


def test_the_index_is_mended_while_the_gateway_runs(tmp_path: Path) -> None:
    with platform(tmp_path, settings=GatewaySettings(index_interval_s=0.01)) as running:
        before = running.send(batch(0, 10)).content
        index = running.gateway._index
        until(lambda: index.behind_bytes == 0 and index.cursor > 0)
        index._damaged = True
        until(lambda: index._generation == 1 and index.complete)
        assert running.send(batch(0, 10)).content == before


def test_counters_add_up(tmp_path: Path) -> None:
    """received = unique + duplicates, in batches, records and bytes."""
    with platform(tmp_path) as running:
        running.results(batch(0, 10), batch(10, 30), batch(0, 10))
        running.results(batch(0, 10), batch(0, 10, salt="x"), batch(30, 31, v=2))
        running.send(batch(0, 10), headers={"Authorization": "Bearer x"})
        running.claim(Agent().claims(EPOCH))
        seen = metrics(running)
        sizes = {10: batch(0, 10), 20: batch(10, 30)}

        def total(field: str, batches: list[tuple[BatchHeader, bytes]]) -> float:
            return sum(
                {"batches": 1, "records": h.count, "payload_bytes": len(p), "raw_bytes": h.raw_bytes}[field]
                for h, p in batches
            )

        for field in ("batches", "records", "payload_bytes", "raw_bytes"):
            received, unique, duplicate = (
                seen[f"{what}_{field}_total"] for what in ("received", "unique", "duplicate")
            )
            assert received == unique + duplicate
            assert unique == total(field, [sizes[10], sizes[20]])
            assert duplicate == total(field, [sizes[10], sizes[10]])
        assert seen["refusals_total[fork]"] == 1
        assert seen["refusals_total[refused]"] == 1
        assert seen["refusals_total[unauthorized]"] == 1
        assert seen["claims_total[next]"] == 1
        assert seen["journal_sync_seconds_count"] >= 3
        assert seen["requests_in_flight"] == seen["bytes_in_flight"] == 0


def test_settings_that_make_no_sense_are_all_named(tmp_path: Path) -> None:
    settings = GatewaySettings(
        body_bytes_max=10,
        header_bytes_max=0,
        frames_max=-1,
        bytes_in_flight_max=5,
        body_timeout_s=float("nan"),
    )
    with pytest.raises(Misconfigured) as caught:
        settings.check()
    assert len(caught.value.faults) == 4
    assert all(fault.startswith("gateway.") for fault in caught.value.faults)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"no_such": 1}, GatewaySettings)
