"""POST /v1/batches on a real journal: receipts, repeats, forks, refusals, limits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from gapless.gateway.admission import EpochKey, Row
from gapless.gateway.settings import GatewaySettings
from gapless.log.frame import encode
from gapless.model.batch import BatchHeader, Mark, Part, payload_digest
from gapless.model.entry import BatchEntry, Kind
from gapless.model.finding import Finding
from gapless.model.signing import Signed, Signer, verify
from gapless.model.stream import EpochOpen, StreamKey
from waiting import until

from .support import EPOCH, NOW_US, STREAM, Platform, batch, body, epoch, frame, platform

SMALL = GatewaySettings(
    body_bytes_max=100_000,
    frames_max=4,
    header_bytes_max=2_000,
    raw_bytes_max=50_000,
    requests_in_flight_max=2,
    bytes_in_flight_max=200_000,
    batches_in_flight_max=6,
    body_timeout_s=0.2,
    index_interval_s=0.02,
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Platform]:
    with platform(tmp_path) as running:
        yield running


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Platform]:
    with platform(tmp_path, settings=SMALL) as running:
        yield running


def codes(results: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(result["status"], result.get("code", "")) for result in results]


def error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_receipt_says_what_the_journal_holds(running: Platform) -> None:
    batches = [batch(0, 10), batch(10, 25), batch(0, 5, epoch=epoch(2))]
    results = running.results(*batches)
    entries = running.entries(Kind.BATCH)
    assert len(entries) == 3
    for (header, payload), result, entry in zip(batches, results, entries, strict=True):
        assert result["stream"] == STREAM.id
        assert (result["epoch"], result["first"], result["next"]) == (header.epoch, header.first, header.next)
        receipt = running.receipt(result)
        assert (receipt.stream, receipt.epoch, receipt.first, receipt.next, receipt.digest) == (
            STREAM,
            header.epoch,
            header.first,
            header.next,
            header.digest,
        )
        assert (receipt.position, receipt.journaled_us) == (entry.position, NOW_US)
        assert msgspec.json.decode(entry.meta, type=BatchEntry) == BatchEntry(header, NOW_US)
        assert bytes(entry.body) == payload


def test_the_same_batch_gets_the_same_receipt_byte_for_byte(running: Platform) -> None:
    first = running.send(batch(0, 10), batch(10, 20)).content
    assert running.send(batch(0, 10), batch(10, 20)).content == first
    once = running.results(batch(0, 10), batch(0, 10), batch(10, 20))
    assert once[0] == once[1]
    assert len(running.entries(Kind.BATCH)) == 2


@pytest.mark.parametrize("keep_index", [True, False])
def test_the_same_batch_gets_the_same_receipt_after_a_restart(tmp_path: Path, keep_index: bool) -> None:
    with platform(tmp_path) as running:
        before = running.send(batch(0, 10), batch(20, 30)).content
        fork = running.results(batch(0, 10, salt="x"))
    if not keep_index:
        for path in tmp_path.glob("index.sqlite*"):
            path.unlink()
    with platform(tmp_path) as running:
        assert running.send(batch(0, 10), batch(20, 30)).content == before
        assert running.results(batch(0, 10, salt="x")) == fork
        assert len(running.entries(Kind.BATCH)) == 2


def test_batches_may_come_out_of_order(running: Platform) -> None:
    order = [3, 1, 4, 0, 2]
    for n in order:
        assert codes(running.results(batch(10 * n, 10 * n + 10))) == [("receipt", "")]
    assert len(running.entries(Kind.BATCH)) == 5


@pytest.mark.parametrize(
    "other",
    [
        batch(0, 10, salt="x"),
        batch(0, 9),
        batch(0, 11),
        batch(3, 7),
        batch(9, 12),
        batch(0, 30),
    ],
    ids=["other bytes", "shorter", "longer", "inside", "over the end", "over all"],
)
@pytest.mark.parametrize("indexed", [False, True])
def test_seqs_that_belong_to_other_bytes_are_a_fork(
    tmp_path: Path, other: tuple[BatchHeader, bytes], indexed: bool
) -> None:
    with platform(tmp_path) as running:
        running.results(batch(0, 10), batch(10, 20))
        if not indexed:
            assert codes(running.results(other)) == [("fork", "fork")]
    with platform(tmp_path) as running:
        assert codes(running.results(other)) == [("fork", "fork")]
        assert codes(running.results(batch(20, 30, epoch=epoch(9)))) == [("receipt", "")]
        findings = running.entries(Kind.FINDING)
        assert len(findings) == 1  # one per epoch, however often it is tried
        finding = msgspec.json.decode(findings[0].meta, type=Finding)
        assert (finding.kind, finding.state, finding.tenant) == ("fork", "opened", "contoso")
        assert (finding.stream, finding.epoch) == (STREAM.id, EPOCH)
        assert [
            msgspec.json.decode(e.meta, type=BatchEntry).header.digest for e in running.entries(Kind.BATCH)
        ][:2] == [batch(0, 10)[0].digest, batch(10, 20)[0].digest]


def test_forks_of_one_request_are_one_finding_and_good_batches_pass(running: Platform) -> None:
    running.results(batch(0, 10), batch(10, 20))
    results = running.results(batch(0, 10, salt="x"), batch(10, 20, salt="x"), batch(20, 30))
    assert codes(results) == [("fork", "fork"), ("fork", "fork"), ("receipt", "")]
    assert len(running.entries(Kind.FINDING)) == 1


def bad_batches() -> dict[str, bytes]:
    """Frames that are wrong in themselves, by what is wrong."""
    header, payload = batch(0, 10)

    def changed(**fields: Any) -> bytes:
        return frame(msgspec.structs.replace(header, **fields), payload)

    def repacked(packed: bytes, raw_bytes: int = 0) -> bytes:
        fields = {"digest": payload_digest(packed), "raw_bytes": raw_bytes or header.raw_bytes}
        return frame(msgspec.structs.replace(header, **fields), packed)

    unsized = zstandard.ZstdCompressor().compressobj()
    small_window = zstandard.ZstdCompressionParameters(window_log=12)
    bomb = zstandard.ZstdCompressor(compression_params=small_window).compress(b"\n" * 100_000)
    assert zstandard.get_frame_parameters(bomb).window_size == 4096
    return {
        "kind": frame(header, payload, kind=Kind.CLAIMS),
        "no json": b"".join(bytes(b) for b in encode(Kind.BATCH, b"{", payload)),
        "no header": b"".join(bytes(b) for b in encode(Kind.BATCH, b'{"first":1}', payload)),
        "deep": b"".join(bytes(b) for b in encode(Kind.BATCH, b'{"x":' + b"[" * 1_500, payload)),
        "long header": changed(marks=tuple(Mark(n % 10, "part") for n in range(500))),
        "digest": changed(digest="0" * 64),
        "no digest": changed(digest=""),
        "range": changed(first=10, next=10),
        "huge": changed(next=10**4000),
        "negative": changed(read_from_us=-1),
        "parts": changed(parts=(Part("f", 0, 1, 20), Part("f", 1, 2, -10))),
        "far part": changed(parts=(Part("f", 0, 1 << 63, 10),)),
        "table": changed(stream=msgspec.structs.replace(STREAM, table="NoSuchTable")),
        "tenant": changed(stream=msgspec.structs.replace(STREAM, tenant="a/b")),
        "epoch": changed(opened=EpochOpen("E" * 32)),
        "prev epoch": changed(opened=EpochOpen(EPOCH, "x")),
        "format": changed(v=2),
        "no zstd": repacked(b"plain text"),
        "empty": repacked(b""),
        "size": changed(raw_bytes=header.raw_bytes + 1),
        "no size": repacked(unsized.compress(b"x\n" * 20) + unsized.flush(), 40),
        "two frames": repacked(payload + payload),
        "bomb": repacked(bomb, 100_000),
        "quiet bomb": repacked(bomb),
    }


def test_a_batch_that_is_wrong_in_itself_is_refused_alone(small: Platform) -> None:
    """T51: the rest of the request flows."""
    for number, (name, bad) in enumerate(bad_batches().items()):
        before, after = (batch(10 * n, 10 * n + 10, epoch=epoch(5)) for n in (2 * number, 2 * number + 1))
        content = frame(*before) + bad + frame(*after)
        answer = small.post("/v1/batches", content=content, headers=small.admin)
        assert answer.status_code == 200, name
        results = answer.json()["results"]
        assert codes(results) == [("receipt", ""), ("refused", "refused"), ("receipt", "")], name
        assert 10 < len(results[1]["text"]) < 700, name
    epochs = {msgspec.json.decode(e.meta, type=BatchEntry).header.epoch for e in small.entries(Kind.BATCH)}
    assert epochs == {epoch(5)}


def test_a_body_that_is_not_frames_is_answered_as_a_whole(small: Platform) -> None:
    good = body(batch(0, 10))
    damaged = bytearray(good)
    damaged[-1] ^= 1
    for content in (b"x", good + b"GF", good[:-1], good + bytes(damaged)):
        answer = small.post("/v1/batches", content=content, headers=small.admin)
        assert error(answer) == (400, "corrupt")
    assert small.entries(Kind.BATCH) == []
    assert small.post("/v1/batches", content=b"", headers=small.admin).json() == {"results": []}


def test_too_many_frames_or_bytes_are_413(small: Platform) -> None:
    many = body(*(batch(n, n + 1) for n in range(5)))
    assert error(small.post("/v1/batches", content=many, headers=small.admin)) == (413, "too_many")
    large = b"x" * 100_001

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(large), 10_000):
            yield large[at : at + 10_000]

    for content in (large, chunks()):
        assert error(small.post("/v1/batches", content=content, headers=small.admin)) == (413, "too_large")
    assert small.entries(Kind.BATCH) == []


def test_a_body_that_does_not_arrive_is_408_and_frees_its_place(small: Platform) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"GF"
        await asyncio.sleep(30)

    answers = [small.start("POST", "/v1/batches", content=stuck(), headers=small.admin) for _ in range(2)]
    assert [error(answer.result(10)) for answer in answers] == [(408, "timeout")] * 2
    assert codes(small.results(batch(0, 10))) == [("receipt", "")]


class HeldIndex:
    """Answers when it is told to."""

    def __init__(self, ranges: Callable[[EpochKey], Any]) -> None:
        self._ranges = ranges
        self.may_answer = threading.Event()
        self.asked = threading.Event()

    def ranges(self, key: EpochKey) -> Any:
        self.asked.set()
        assert self.may_answer.wait(20)
        return self._ranges(key)

    def lookup(self, key: EpochKey, first: int) -> Row | None:
        return None


@pytest.fixture
def held(small: Platform) -> Iterator[HeldIndex]:
    """The way of the batches stands still, on a question to the index, until ``may_answer`` is set."""
    held = HeldIndex(small.gateway._index.ranges)
    small.gateway.intake._admission._index = held
    yield held
    held.may_answer.set()


@pytest.mark.case("cloudflare-2024-11")
def test_over_the_limits_under_way_is_429_with_retry_after(small: Platform, held: HeldIndex) -> None:
    """T42, T59: nothing is acknowledged, and the same requests pass later."""
    first = small.start("POST", "/v1/batches", content=body(batch(0, 10)), headers=small.admin)
    assert held.asked.wait(10)
    second = small.start("POST", "/v1/batches", content=body(batch(10, 20)), headers=small.admin)
    until(lambda: small.gateway.batches_budget.count == 2)
    answer = small.send(batch(20, 30))
    assert error(answer) == (429, "busy")
    assert answer.headers["Retry-After"] == "1"
    held.may_answer.set()
    for under_way in (first, second):
        assert codes(under_way.result(10).json()["results"]) == [("receipt", "")]
    assert codes(small.results(batch(20, 30))) == [("receipt", "")]
    assert small.gateway.batches_budget.count == small.gateway.batches_budget.bytes == 0


def test_bytes_under_way_are_bounded_too(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SMALL, bytes_in_flight_max=100_000, requests_in_flight_max=10)
    with platform(tmp_path, settings=settings) as running, running.gateway.batches_budget.hold(1, 99_900):
        assert error(running.send(batch(0, 10))) == (429, "busy")


def test_batches_under_way_are_bounded_each_for_itself(small: Platform) -> None:
    """Six may be journaled at once: of two requests with four each, two batches come again."""
    held = threading.Event()
    append = small.journal.append

    async def slow(messages: Any) -> list[int]:
        await asyncio.to_thread(held.wait, 20)
        return await append(messages)

    small.gateway.intake._journal.append = slow  # type: ignore[method-assign]
    ranges = [(10 * n, 10 * n + 10) for n in range(8)]
    first = small.start(
        "POST", "/v1/batches", content=body(*(batch(*r) for r in ranges[:4])), headers=small.admin
    )
    admission = small.gateway.intake._admission
    until(lambda: admission._under_way == 4)
    second = small.start(
        "POST", "/v1/batches", content=body(*(batch(*r) for r in ranges[4:])), headers=small.admin
    )
    until(lambda: admission._under_way == 6)
    assert error(small.send(batch(100, 110))) == (429, "busy")
    held.set()
    assert codes(first.result(10).json()["results"]) == [("receipt", "")] * 4
    assert codes(second.result(10).json()["results"]) == [("receipt", "")] * 2 + [("busy", "busy")] * 2


def test_the_same_batch_twice_at_once_is_journaled_once(running: Platform) -> None:
    held = threading.Event()
    append = running.journal.append
    appended = []

    async def slow(messages: Any) -> list[int]:
        appended.append(len(messages))
        await asyncio.to_thread(held.wait, 20)
        return await append(messages)

    running.gateway.intake._journal.append = slow  # type: ignore[method-assign]
    content = body(batch(0, 10), batch(10, 20))
    answers = [running.start("POST", "/v1/batches", content=content, headers=running.admin) for _ in "abc"]
    until(lambda: len(appended) == 3)
    held.set()
    first, *others = [answer.result(10).json() for answer in answers]
    assert codes(first["results"]) == [("receipt", "")] * 2
    assert others == [first, first]
    assert len(running.entries(Kind.BATCH)) == 2


def test_what_was_journaled_is_settled_though_the_client_went_away(running: Platform) -> None:
    """The reply is lost, the batch is not: sent again, it is recognised."""
    held = threading.Event()
    entered = threading.Event()
    append = running.journal.append

    async def slow(messages: Any) -> list[int]:
        entered.set()
        await asyncio.to_thread(held.wait, 20)
        return await append(messages)

    running.gateway.intake._journal.append = slow  # type: ignore[method-assign]
    lost = running.start("POST", "/v1/batches", content=body(batch(0, 10)), headers=running.admin)
    assert entered.wait(10)
    assert lost.cancel()
    held.set()
    until(lambda: running.entries(Kind.BATCH))
    assert codes(running.results(batch(0, 10))) == [("receipt", "")]
    assert len(running.entries(Kind.BATCH)) == 1


def test_batches_and_claims_need_a_token_that_is_known(running: Platform) -> None:
    token = running.token()
    (shown,) = [
        t
        for t in running.get("/v1/tokens", headers=running.admin).json()["tokens"]
        if not t["by"].startswith("first")
    ]
    headers: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer gl_" + "x" * 43},
        {"Authorization": "Basic " + token["Authorization"][7:]},
    ]
    running.request("DELETE", f"/v1/tokens/{shown['id']}", headers=running.admin)
    headers.append(token)
    for path in ("/v1/batches", "/v1/claims"):
        for header in headers:
            answer = running.post(path, content=body(batch(0, 10)), headers=header)
            assert error(answer) == (401, "unauthorized")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    reader = running.token("contoso", "read")
    assert error(running.send(batch(0, 10), headers=reader)) == (403, "forbidden")
    assert running.entries(Kind.BATCH) == []


def test_a_token_is_good_for_its_tenant_and_tables_alone(running: Platform) -> None:
    """What is outside of it is to be kept and sent with a better token; the rest passes."""
    token = running.token("contoso", "ingest", "SigninLogs")
    audit = StreamKey("contoso", "AuditLogs", "host-7", "files")
    fabrikam = StreamKey("fabrikam", "SigninLogs", "host-7", "files")
    answer = running.send(batch(0, 10, stream=audit), batch(0, 10, stream=fabrikam), headers=token)
    assert error(answer) == (403, "forbidden")
    answer = running.send(batch(0, 10, stream=audit), batch(0, 10), headers=token)
    assert codes(answer.json()["results"]) == [("busy", "forbidden"), ("receipt", "")]
    assert len(running.entries(Kind.BATCH)) == 1


def test_a_receipt_verifies_with_the_published_key_alone(running: Platform) -> None:
    key = running.get("/v1/keys").json()["receipt"]
    assert key["algorithm"] == "Ed25519"
    result = running.results(batch(0, 10))[0]
    signed = msgspec.convert(result["receipt"], Signed)
    verify(signed, key["public_key"], dict)
    forged = Signer(Signer.new_private_key()).sign(batch(0, 10)[0])
    with pytest.raises(Exception, match="another key"):
        verify(forged, key["public_key"], dict)


def test_an_unexpected_failure_says_nothing_of_its_insides(running: Platform) -> None:
    def defect(*arguments: object) -> None:
        raise ZeroDivisionError("secret")

    running.gateway.intake._admission.decide = defect  # type: ignore[method-assign,assignment]
    answer = running.send(batch(0, 10))
    assert error(answer) == (500, "unexpected")
    assert "secret" not in answer.text and "Traceback" not in answer.text


def test_paths_and_methods_that_are_nobodys(running: Platform) -> None:
    assert error(running.get("/v1/nothing")) == (404, "not_found")
    assert error(running.get("/v1/batches")) == (405, "method")
