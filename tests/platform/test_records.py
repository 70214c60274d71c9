"""One record after its way through a real platform: stored, quarantined, missing, lost; and nobody else's."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import zstandard
from platform_rig import up

from gapless.cli.batches import LINE_BYTES_MAX
from gapless.cli.client import connect
from gapless.cli.main import run
from gapless.log.frame import encode
from gapless.model.batch import BatchHeader, Mark, payload_digest
from gapless.model.claim import ClaimSet, StreamClaim
from gapless.model.entry import Kind
from gapless.model.errors import GaplessError, Refused
from gapless.model.receipt import Receipt
from gapless.model.signing import Signed, Signer, verify
from gapless.model.stream import EpochOpen, StreamKey
from waiting import until

TENANT, TABLE = "contoso", "Acme_CL"
STREAM = StreamKey(TENANT, TABLE, "host-7", "app.log")
EPOCH = "7" * 32
RECORDS = [
    b"plain",
    b"\xff\xfe no UTF-8",
    b"",
    b"nul \x00 and \x1b[31m red",
    "\u202e\u00e9".encode(),
    b'{"a": 1}',
]
GAP = (len(RECORDS), 16)  # claimed, and never sent
MISCOUNTED = (16, 20)  # a batch that holds fewer records than it says
SPOOLED = (20, 22)  # claimed as held by the agent's spool


class Rig(NamedTuple):
    data: Path
    reader: str
    stranger: str

    def show(self, seq: int, *more: str, token: str | None = None) -> tuple[int, bytes, str]:
        id_ = f"{STREAM.id}/{EPOCH}/{seq}"
        where = ("--tenant", TENANT, "--table", TABLE, "--id", id_)
        return cli("show", *where, *more, data=self.data, token=token or self.reader)

    def record(self, seq: int) -> dict[str, Any]:
        code, out, words = self.show(seq, "--format", "json")
        assert code == 0, words
        answer: dict[str, Any] = json.loads(out)
        return answer

    def audit(self) -> tuple[int, dict[str, Any]]:
        code, out, words = cli("audit", "--tenant", TENANT, "--format", "json", data=self.data)
        assert code in (0, 1, 2), words
        report: dict[str, Any] = json.loads(out)
        return code, report

    def ask(self, path: str, token: str = "") -> dict[str, Any]:
        with connect(str(self.data), None, token or self.reader) as client:
            answer: dict[str, Any] = client.get(path, dict[str, Any])
            return answer


SQL = ("query", "--language", "sql")


def cli(*arguments: str, data: Path, token: str | None = None) -> tuple[int, bytes, str]:
    """Run ``gapless`` in this process; return its exit code, what it printed, and what it said."""
    out, words = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with redirect_stdout(out), redirect_stderr(words):
        code = run([*arguments, "--data", str(data), *(("--token", token) if token else ())])
    return code, out.buffer.getvalue(), words.getvalue()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    data = tmp_path_factory.mktemp("records") / "data"
    with up(data):
        send(data)
        made = Rig(data, token(data, TENANT), token(data, "fabrikam"))
        until(lambda: made.show(GAP[0])[0] == 0)  # the books know of it
        until(lambda: made.record(GAP[0])["place"] == "missing")
        until(lambda: made.record(MISCOUNTED[0])["place"] == "quarantined")
        yield made


def token(data: Path, tenant: str) -> str:
    code, out, words = cli("token", "create", "--tenant", tenant, "--scope", "read", data=data)
    assert code == 0, words
    return out.decode().strip()


def send(data: Path) -> None:
    """The first records, a batch that was miscounted, and claims of all and of some that never come."""
    now_us = time.time_ns() // 1000
    opened = EpochOpen(EPOCH)
    held = (SPOOLED,)
    claim = StreamClaim(stream=STREAM, opened=opened, next=SPOOLED[1], held=held, reader_us=now_us)
    claims = ClaimSet(agent=STREAM.agent, n=0, prev="", at_us=now_us, interval_s=2.0, streams=(claim,))
    with connect(str(data), None, None, None) as client:
        for first, next_, lines in ((0, len(RECORDS), RECORDS), (*MISCOUNTED, [b"all in one"])):
            payload = b"".join(line + b"\n" for line in lines)
            body = zstandard.ZstdCompressor().compress(payload)
            header = BatchHeader(
                stream=STREAM,
                opened=opened,
                first=first,
                next=next_,
                digest=payload_digest(body),
                raw_bytes=len(payload),
                read_from_us=now_us - 1000,
                read_to_us=now_us,
                marks=(Mark(0, "unterminated"),),
            )
            frame = b"".join(encode(Kind.BATCH, msgspec.json.encode(header), body))
            answer = client.post_bytes("/v1/batches", frame, dict[str, Any])
            assert answer["results"][0]["status"] == "receipt", answer
        client.post("/v1/claims", Signer(Signer.new_private_key()).sign(claims), Any)


@pytest.mark.system
def test_every_record_comes_back_byte_for_byte(rig: Rig) -> None:
    for seq, record in enumerate(RECORDS):
        code, out, words = rig.show(seq, "--format", "raw")
        assert (code, out) == (0, record), words
        shown = rig.record(seq)
        bytes_ = base64.b64decode(shown["raw"]) if shown["encoding"] == "base64" else shown["raw"].encode()
        assert (bytes_, shown["raw_bytes"]) == (record, len(record))


@pytest.mark.system
def test_a_record_says_where_it_is_and_how_it_came(rig: Rig) -> None:
    until(lambda: rig.record(0)["place"] == "stored")
    shown = rig.record(0)
    assert (shown["tenant"], shown["table"], shown["agent"], shown["source"]) == msgspec.structs.astuple(
        STREAM
    )
    assert (shown["stream"], shown["epoch"], shown["seq"]) == (STREAM.id, EPOCH, 0)
    assert (shown["batch"]["first"], shown["batch"]["next"]) == (0, len(RECORDS))
    assert shown["mark"] == "unterminated" and rig.record(2)["mark"] is None
    assert shown["file"].startswith(f"lake/tables/{TENANT}/{TABLE}/") and (rig.data / shown["file"]).is_file()
    bad = rig.record(1)
    assert (bad["place"], bad["why"], bad["encoding"]) == ("quarantined", "not_utf8", "base64")
    assert "/GaplessQuarantine/" in bad["file"]


@pytest.mark.system
def test_the_receipt_holds_without_the_platform_and_only_as_it_is(rig: Rig) -> None:
    shown = rig.record(3)
    signed = msgspec.convert(shown["receipt"], Signed)
    key = rig.ask("/v1/keys")["receipt"]["public_key"]
    receipt = verify(signed, key, Receipt)
    assert (receipt.stream, receipt.epoch, receipt.digest) == (STREAM, EPOCH, shown["batch"]["digest"])
    assert receipt.first <= 3 < receipt.next and receipt.position == shown["position"]
    forged = msgspec.structs.replace(signed, statement=signed.statement.replace('"first":0', '"first":1'))
    with pytest.raises(Refused):
        verify(forged, key, Receipt)


@pytest.mark.system
def test_what_is_not_there_is_said_to_be_missing_pending_or_unknown(rig: Rig) -> None:
    missing = rig.record(GAP[1] - 1)
    assert (missing["place"], missing["raw"], missing["receipt"]) == ("missing", None, None)
    assert (missing["gap"]["first"], missing["gap"]["next"]) == GAP
    pending = rig.record(SPOOLED[0])
    assert pending["place"] == "pending" and "spool" in pending["why"]
    code, out, words = rig.show(GAP[0], "--format", "raw")
    assert (code, out) == (3, b"") and "missing" in words and words.count("\n") == 1
    code, out, words = rig.show(SPOOLED[1])
    assert (code, out) == (2, b"") and f"below {SPOOLED[1]}" in words


@pytest.mark.system
def test_a_batch_whose_records_cannot_be_told_apart_is_shown_with_its_receipt(rig: Rig) -> None:
    shown = rig.record(MISCOUNTED[1] - 1)
    assert (shown["place"], shown["why"], shown["raw"]) == ("quarantined", "count_mismatch", None)
    assert "told" in shown["raw_missing"] and shown["receipt"] is not None
    code, out, words = rig.show(MISCOUNTED[0])
    assert code == 0 and b"count_mismatch" in out, words


@pytest.mark.system
def test_nobody_sees_the_record_of_another_tenant_nor_that_it_is_there(rig: Rig) -> None:
    code, out, words = rig.show(0, token=rig.stranger)
    assert (code, out) == (2, b"") and "may read in tenant 'contoso'" in words
    texts = []
    for stream in (STREAM.id, "0" * 32):
        with pytest.raises(Refused) as refused:
            rig.ask(f"/v1/records/{stream}/{EPOCH}/0?tenant=fabrikam&table={TABLE}", rig.stranger)
        texts.append(str(refused.value).replace(stream, "STREAM"))
    assert texts[0] == texts[1] and "has no record" in texts[0]


@pytest.mark.system
def test_a_token_for_other_tables_sees_nothing(rig: Rig) -> None:
    made = cli("token", "create", "--tenant", TENANT, "--scope", "read", "--table", "Other_CL", data=rig.data)
    other = made[1].decode().strip()
    code, out, words = rig.show(0, token=other)
    assert (code, out) == (2, b"") and f"not for table {TABLE}" in words
    with pytest.raises(Refused, match="has no record"):
        rig.ask(f"/v1/records/{STREAM.id}/{EPOCH}/0?tenant={TENANT}&table=Other_CL", other)


@pytest.mark.system
@pytest.mark.parametrize(
    "path",
    [
        f"{'Z' * 32}/{EPOCH}/0",
        f"{STREAM.id}/{'g' * 32}/0",
        f"{STREAM.id}/{EPOCH}/-1",
        f"{STREAM.id}/{EPOCH}/{'9' * 30}",
        f"{STREAM.id}/{EPOCH}/%D9%A3",
        f"{STREAM.id}/{EPOCH}/0%0A",
        f"{STREAM.id}/{EPOCH}",
    ],
)
def test_ids_that_can_be_no_records_are_refused(rig: Rig, path: str) -> None:
    with pytest.raises(GaplessError) as refused:
        rig.ask(f"/v1/records/{path}?tenant={TENANT}&table={TABLE}")
    assert "failed at this request" not in str(refused.value)


@pytest.mark.system
def test_a_query_gives_ids_to_paste(rig: Rig) -> None:
    text = f"select _Stream || '/' || _Epoch || '/' || _Seq as id from {TABLE} where _Seq = 3"
    code, out, words = cli(*SQL, "--tenant", TENANT, "--format", "csv", text, data=rig.data)
    assert code == 0 and "completeness: incomplete" in words
    assert out.decode().splitlines() == ["id", f"{STREAM.id}/{EPOCH}/3"]


@pytest.mark.system
def test_a_send_that_ends_early_leaves_nobody_waiting_for_the_rest(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "app.log"
    file.write_bytes(b"one\ntwo\n" + b"x" * (LINE_BYTES_MAX + 1))
    code, _, words = cli("send", "--tenant", "fabrikam", "--table", TABLE, str(file), data=rig.data)
    assert code == 2 and "longer than" in words and "(2 records have their receipts" in words
    until(lambda: cli("audit", "--tenant", "fabrikam", data=rig.data)[0] == 0)


@pytest.mark.system
def test_a_gap_is_declared_lost_and_stays_to_be_seen(rig: Rig) -> None:
    """The last test here: it changes what the others look at."""
    code, report = rig.audit()
    (row,) = report["streams"]
    assert (code, report["verdict"], row["missing"], row["lost"]) == (1, "incomplete", GAP[1] - GAP[0], 0)
    assert [(gap["first"], gap["next"]) for gap in row["gaps"]] == [GAP]

    def declare(range_: str, reason: str = "the disk burnt") -> tuple[int, bytes, str]:
        where = ("--tenant", TENANT, "--stream", STREAM.id, "--epoch", EPOCH)
        return cli("loss", "declare", *where, "--range", range_, "--reason", reason, data=rig.data)

    for range_ in ("0:99", "5:5", f"0:{10**30}", "-1:3", "a:b"):
        code, out, words = declare(range_)
        assert (code, out, words.count("\n")) == (2, b"", 1), words
    assert declare(f"{GAP[0]}:{GAP[1]}", reason=" ")[0] == 2

    code, out, words = declare(f"{GAP[0]}:{GAP[1]}")
    assert code == 0 and f"{GAP[1] - GAP[0]} of them missing" in words
    until(lambda: rig.record(GAP[0])["place"] == "lost")
    shown = rig.record(GAP[0])["loss"]
    assert (shown["id"], shown["evidence"]) == (out.decode().strip(), "the disk burnt")

    code, report = rig.audit()
    (row,) = report["streams"]
    assert (code, report["verdict"], row["gaps"]) == (1, "incomplete", [])
    assert (row["missing"], row["lost"]) == (0, GAP[1] - GAP[0])
    (loss,) = row["losses"]
    assert loss["ranges"] == [list(GAP)] and loss["evidence"] == "the disk burnt"
    totals = report["totals"]
    held = sum(totals[name] for name in ("stored", "quarantined", "lost", "pending", "missing"))
    assert totals["claimed"] == held == SPOOLED[1]
