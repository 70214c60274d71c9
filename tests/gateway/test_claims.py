"""POST /v1/claims: durable before the answer, in order or late, and beside whatever the batches do."""

from __future__ import annotations

import asyncio
import errno
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gapless.gateway.settings import GatewaySettings
from gapless.model.claim import ClaimSet, Loss, Restart, StreamClaim
from gapless.model.entry import ClaimsEntry, Kind
from gapless.model.errors import Busy, Unavailable
from gapless.model.finding import Finding
from gapless.model.signing import Signed, Signer
from gapless.model.stream import EpochOpen, StreamKey
from waiting import until

from .faults import FaultyDisk
from .support import EPOCH, NOW_US, STREAM, Agent, Platform, batch, body, epoch, platform

SETTINGS = GatewaySettings(
    requests_in_flight_max=2, claims_in_flight_max=2, claim_items_max=20, index_interval_s=0.02
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Platform]:
    with platform(tmp_path, settings=SETTINGS) as running:
        yield running


def accepted(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    answered: dict[str, Any] = answer.json()
    assert answered.pop("status") == "accepted"
    return answered


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def journaled(running: Platform) -> list[Signed]:
    entries = [msgspec.json.decode(e.meta, type=ClaimsEntry) for e in running.entries(Kind.CLAIMS)]
    assert all(entry.received_us == NOW_US for entry in entries)
    return [entry.signed for entry in entries]


def findings(running: Platform) -> list[Finding]:
    return [msgspec.json.decode(e.meta, type=Finding) for e in running.entries(Kind.FINDING)]


def loss(loss_id: str, **more: Any) -> Loss:
    fields: dict[str, Any] = {
        "id": loss_id,
        "stream": STREAM,
        "epoch": EPOCH,
        "cause": "spool_full",
        "declared_us": NOW_US,
        "not_before_us": NOW_US,
        "not_after_us": NOW_US,
        "ranges": ((3, 5),),
    }
    return Loss(**(fields | more))


def test_claims_are_journaled_as_they_were_signed(running: Platform) -> None:
    agent = Agent()
    sent = [agent.claims(EPOCH), agent.claims(EPOCH), agent.claims()]
    for signed in sent:
        assert accepted(running.claim(signed)) == {"losses": [], "fenced": [], "not_allowed": []}
    assert journaled(running) == sent


def test_losses_are_named_once_they_are_durable(running: Platform) -> None:
    agent = Agent()
    signed = agent.claims(EPOCH, losses=(loss("l1"), loss("l2", ranges=(), records_max=None)))
    assert accepted(running.claim(signed))["losses"] == ["l1", "l2"]
    # The reply was lost: the same once more is not journaled twice, and answered the same.
    assert accepted(running.claim(signed))["losses"] == ["l1", "l2"]
    assert journaled(running) == [signed]


def test_claims_that_arrive_late_are_taken_note_of_and_raise_no_alarm(running: Platform) -> None:
    agent = Agent()
    first, second, third, fourth = (agent.claims(EPOCH, losses=(loss(f"l{n}"),)) for n in range(4))
    for signed in (first, fourth):
        running.claim(signed)
    for signed in (second, third, second, first):
        assert accepted(running.claim(signed)) == {"losses": [], "fenced": [], "not_allowed": []}
    assert journaled(running) == [first, fourth]
    assert findings(running) == []


@pytest.mark.parametrize("restarted", [False, True])
def test_a_restored_spool_is_fenced_and_a_new_epoch_is_not(tmp_path: Path, restarted: bool) -> None:
    agent = Agent()
    with platform(tmp_path) as running:
        running.claim(agent.claims(EPOCH, epoch(7)))
        twin = agent.restored()
        running.claim(agent.claims(EPOCH, epoch(7)))
        if not restarted:
            answer = accepted(running.claim(twin.claims(EPOCH, epoch(8))))
            until(running.gateway._index.fences)  # so that the next start reads it from there
    if restarted:
        with platform(tmp_path) as running:
            answer = accepted(running.claim(twin.claims(EPOCH, epoch(8))))
    fenced = {"stream": STREAM.id, "epoch": EPOCH}
    assert answer["fenced"] == [fenced]
    twin.n -= 1  # in conflict once more
    with platform(tmp_path) as running:
        assert accepted(running.claim(twin.claims(EPOCH, epoch(11))))["fenced"] == [fenced]
        assert [(f.kind, f.stream, f.epoch) for f in findings(running)] == [("rollback", STREAM.id, EPOCH)]
        # Whoever counts in the epoch is told, the other copy too; once it has left it, no more.
        assert accepted(running.claim(agent.claims(EPOCH)))["fenced"] == [fenced]
        assert accepted(running.claim(agent.claims(epoch(9))))["fenced"] == []
        assert accepted(running.claim(twin.claims(epoch(10))))["fenced"] == []
        assert len(findings(running)) == 1
        assert len(journaled(running)) == 7  # all of them: the ledger judges


def test_an_agent_learns_from_its_claims_that_its_epoch_forked(running: Platform) -> None:
    running.results(batch(0, 10))
    running.results(batch(0, 10, salt="x"))
    other = StreamKey("contoso", "SigninLogs", "host-7", "others")
    agent = Agent()
    assert accepted(running.claim(agent.claims(EPOCH, epoch(2))))["fenced"] == [
        {"stream": STREAM.id, "epoch": EPOCH}
    ]
    assert accepted(running.claim(agent.claims(EPOCH, stream=other)))["fenced"] == []


def test_a_finding_of_the_auditor_fences_too(running: Platform) -> None:
    finding = Finding(
        id="f", kind="rollback", at_us=1, state="opened", text="", stream=STREAM.id, epoch=EPOCH
    )
    running.post("/v1/findings", content=msgspec.json.encode([finding]), headers=running.admin)
    until(lambda: (STREAM.id, EPOCH) in running.gateway._fences)
    assert accepted(running.claim(Agent().claims(EPOCH)))["fenced"] != []


def test_claims_for_what_the_token_is_not_for_are_403(running: Platform) -> None:
    token = running.token("contoso", "ingest", "SigninLogs")
    audit = StreamKey("contoso", "AuditLogs", "host-7", "files")
    fabrikam = StreamKey("fabrikam", "SigninLogs", "host-7", "files")
    for stream in (audit, fabrikam):
        assert error(running.claim(Agent().claims(EPOCH, stream=stream), token)) == (403, "forbidden")
    assert accepted(running.claim(Agent().claims(EPOCH), token))
    assert len(journaled(running)) == 1


def test_streams_that_the_token_is_not_for_silence_no_other(running: Platform) -> None:
    token = running.token("contoso", "ingest", "SigninLogs")
    audit = StreamKey("contoso", "AuditLogs", "host-7", "files")
    mixed = Agent().claims(EPOCH, losses=(loss("l1"), loss("l2", stream=audit)))
    answer = accepted(running.claim(mixed, token))
    assert answer["losses"] == ["l1"]
    assert [stream["table"] for stream in answer["not_allowed"]] == ["AuditLogs"]
    [entry] = running.entries(Kind.CLAIMS)
    assert msgspec.json.decode(entry.meta, type=ClaimsEntry).not_allowed == (audit.id,)


def stream_claim(**more: Any) -> tuple[StreamClaim, ...]:
    fields: dict[str, Any] = {"stream": STREAM, "opened": EpochOpen(EPOCH), "next": 10}
    return (StreamClaim(**(fields | more)),)


BAD: dict[str, dict[str, Any]] = {
    "agent": {"agent": "a b"},
    "another agent": {"agent": "host-8"},
    "negative n": {"n": -1},
    "huge n": {"n": 1 << 62},
    "prev": {"prev": "x"},
    "at": {"at_us": 1 << 70},
    "no interval": {"interval_s": 0.0},
    "long interval": {"interval_s": 1e9},
    "fills in the past": {"fills_in_s": -1.0},
    "format": {"v": 2},
    "many": {"streams": stream_claim() * 21},
    "many ranges": {"streams": stream_claim(held=tuple((2 * n, 2 * n + 1) for n in range(20)))},
    "range": {"streams": stream_claim(held=((5, 5),))},
    "huge range": {"streams": stream_claim(refused=((0, 1 << 62),))},
    "epoch": {"streams": stream_claim(opened=EpochOpen("1"))},
    "prev next": {"streams": stream_claim(opened=EpochOpen(EPOCH, epoch(2), -1))},
    "tenant": {"streams": stream_claim(stream=StreamKey("a/b", "SigninLogs", "host-7", "s"))},
    "reader": {"streams": stream_claim(reader_us=-1)},
    "restart": {"restarts": (Restart("uploader", -1, ""),)},
    "loss id": {"losses": (loss(""),)},
    "loss range": {"losses": (loss("l", ranges=((5, 3),)),)},
    "loss bytes": {"losses": (loss("l", bytes_lost=-1),)},
    "loss epoch": {"losses": (loss("l", epoch=""),)},
}


def test_claims_that_cannot_be_are_refused(running: Platform) -> None:
    good: dict[str, Any] = {"streams": stream_claim()}
    for name, bad in BAD.items():
        assert error(running.claim(Agent().claims(**(good | bad)))) == (422, "refused"), name
    assert journaled(running) == []
    assert accepted(running.claim(Agent().claims(**good)))


def test_an_endless_number_of_seconds_is_refused(running: Platform) -> None:
    statement = msgspec.json.encode(
        ClaimSet(agent="host-7", n=0, prev="", at_us=1, interval_s=2.0, streams=(), fills_in_s=math.pi)
    )
    statement = statement.replace(b"3.141592653589793", b"1e999")
    signer = Signer(Signer.new_private_key())

    class Text(msgspec.Struct):
        pass

    signed = signer.sign(Text())
    forged = Signed(statement.decode(), signed.key, signer._key.sign(statement).hex())
    assert error(running.claim(forged)) == (422, "refused")


def test_a_statement_that_is_changed_or_nested_too_deep_is_refused(running: Platform) -> None:
    signed = Agent().claims(EPOCH)
    changed = msgspec.structs.replace(signed, statement=signed.statement.replace("10", "11"))
    key = msgspec.structs.replace(signed, key="zz")
    for bad in (changed, key, msgspec.structs.replace(signed, signature="00")):
        assert error(running.claim(bad)) == (422, "refused")
    signer = Agent().signer
    deep = '{"x":' + "[" * 5_000
    bad = Signed(deep, signer.public_key, signer._key.sign(deep.encode()).hex())
    assert error(running.claim(bad)) == (422, "refused")
    for content in (b"", b"{", b"[]", b'{"x":' + b"[" * 5_000):
        assert error(running.post("/v1/claims", content=content, headers=running.admin)) == (400, "body")
    assert journaled(running) == []


def test_claims_are_answered_while_every_place_for_batches_is_stuck(running: Platform) -> None:
    """The way of the batches stands still in its thread, with all its places taken."""
    deciding, released = threading.Event(), threading.Event()

    def stuck(*arguments: object) -> None:
        deciding.set()
        released.wait(20)
        raise Busy("it was stuck")

    running.gateway.intake._admission.decide = stuck  # type: ignore[method-assign,assignment]
    requests = [
        running.start("POST", "/v1/batches", content=body(batch(0, 10)), headers=running.admin)
        for _ in range(2)
    ]
    until(lambda: deciding.is_set() and running.gateway.batches_budget.count == 2)
    assert error(running.send(batch(0, 10))) == (429, "busy")
    agent = Agent()
    for _ in range(3):
        assert accepted(running.claim(agent.claims(EPOCH))) == {"losses": [], "fenced": [], "not_allowed": []}
    assert len(journaled(running)) == 3
    released.set()
    for request in requests:
        request.result(10)


def test_claims_have_room_in_the_journal_while_it_takes_no_batches(running: Platform) -> None:
    """The append of batches never returns; that of claims does."""
    append, held = running.journal.append, asyncio.Event()
    entered = []

    async def stuck(messages: Any) -> list[int]:
        if messages and messages[0].kind == Kind.BATCH:
            entered.append(1)
            await held.wait()
        return await append(messages)

    running.gateway.intake._journal.append = stuck  # type: ignore[method-assign]
    request = running.start("POST", "/v1/batches", content=body(batch(0, 10)), headers=running.admin)
    until(lambda: entered)
    assert accepted(running.claim(Agent().claims(EPOCH)))
    running.portal.call(held.set)
    assert request.result(10).status_code == 200


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("again", [False, True])
def test_claims_that_come_while_later_ones_are_under_way_wait_for_those(
    running: Platform, again: bool, refused: bool
) -> None:
    """Earlier ones are not journaled behind later ones, nor the same ones twice; and if the journal does not
    take the later ones, nobody was told that it did."""
    append, held = running.journal.append, asyncio.Event()
    chains = running.gateway.claims._chains
    awaited, entered = chains.awaited, list[object]()

    def asked(statement: Any) -> Any:
        entered.append(statement)
        return awaited(statement)

    async def slow(messages: Any) -> list[int]:
        entered.append(messages)
        if len(entered) == 1:
            await held.wait()
            if refused:
                raise Unavailable("the disk is full: make room")
        return await append(messages)

    running.gateway.claims._journal.append = slow  # type: ignore[method-assign]
    chains.awaited = asked  # type: ignore[method-assign]
    agent = Agent()
    earlier, later = agent.claims(EPOCH), agent.claims(EPOCH, losses=(loss("l1"),))
    requests = []
    for number, signed in enumerate((later, later if again else earlier), 1):
        content = msgspec.json.encode(signed)
        requests.append(running.start("POST", "/v1/claims", content=content, headers=running.admin))
        until(lambda: len(entered) == number)  # noqa: B023
    assert not any(request.done() for request in requests)
    running.portal.call(held.set)
    codes = [request.result(10).status_code for request in requests]
    assert codes == ([503, 503] if refused else [200, 200])
    assert journaled(running) == ([] if refused else [later])
    assert accepted(running.claim(later))["losses"] == ["l1"]
    assert journaled(running) == [later]
    assert findings(running) == []


def test_claims_have_limits_of_their_own(running: Platform) -> None:
    with running.gateway.claims_budget.hold(2):
        answer = running.claim(Agent().claims(EPOCH))
        assert error(answer) == (429, "busy")
        assert answer.headers["Retry-After"] == "1"
        assert running.send(batch(0, 10)).status_code == 200


def test_claims_that_the_disk_did_not_take_are_503_and_pass_later(tmp_path: Path) -> None:
    disk = FaultyDisk()
    with platform(tmp_path, disk=disk) as running:
        signed = Agent().claims(EPOCH, losses=(loss("l1"),))
        for number in (errno.ENOSPC, errno.EIO):
            disk.faults.write_errno = number
            assert error(running.claim(signed)) == (503, "unavailable")
            disk.faults.write_errno = 0
            disk.faults.sync_errno = number
            assert error(running.claim(signed)) == (503, "unavailable")
            disk.faults.sync_errno = 0
        assert accepted(running.claim(signed))["losses"] == ["l1"]
        assert journaled(running) == [signed]


def test_claims_do_not_wait_for_an_index_that_is_behind_or_damaged(tmp_path: Path) -> None:
    with platform(tmp_path) as running:
        running.gateway._index._damaged = True
        assert accepted(running.claim(Agent().claims(EPOCH)))
