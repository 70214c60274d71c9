"""Uploads over HTTP: what is answered, what is in the journal, what the gateway claims of it."""

from __future__ import annotations

import errno
import gzip
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
import zstandard
from numpy.typing import NDArray

from gapless.gateway.ports import NoSieve
from gapless.gateway.settings import GatewaySettings
from gapless.model.batch import BatchHeader
from gapless.model.claim import ClaimSet, StreamClaim, statement_digest
from gapless.model.declared import Declared
from gapless.model.entry import BatchEntry, ClaimsEntry, Kind, RuleEntry
from gapless.model.rule import Effect, Rule, RuleStream
from gapless.model.signing import verify
from gapless.model.stream import GATEWAY_AGENT, EpochOpen, StreamKey
from gapless.model.tables import Column, Computed
from waiting import until

from .faults import FaultyDisk
from .support import NOW_US, Agent, Platform, batch, platform

RULE = {
    "tenant": "contoso",
    "streams": [
        {"name": "Custom-App", "table": "App_CL", "columns": [{"name": "n", "type": "long"}]},
        {"name": "Microsoft-SigninLogs", "table": "SigninLogs"},
    ],
}
#: As the client's: without a time in its head.
gzipped = partial(gzip.compress, mtime=0)
RECORDS = [{"n": 1, "text": "one"}, {"n": 2, "text": "zwei \u00e4"}, {"n": 3, "text": "line\nbreak"}]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Platform]:
    with platform(tmp_path) as running:
        yield running


def make_rule(running: Platform, wanted: dict[str, Any] = RULE) -> str:
    answer = running.post("/v1/rules", json=wanted, headers=running.admin)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def upload(
    running: Platform,
    rule: str,
    body: object = RECORDS,
    *,
    stream: str = "Custom-App",
    token: dict[str, str] | None = None,
    **headers: str,
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return running.post(
        f"/dataCollectionRules/{rule}/streams/{stream}?api-version=2023-01-01",
        content=content,
        headers={**(token or running.admin), "Content-Type": "application/json", **headers},
    )


def journaled(running: Platform) -> list[tuple[BatchHeader, list[bytes]]]:
    """The batches of the journal, with their records."""
    found = []
    for frame in running.entries(Kind.BATCH):
        header = msgspec.json.decode(frame.meta, type=BatchEntry).header
        lines = zstandard.ZstdDecompressor().decompress(bytes(frame.body))
        assert lines.endswith(b"\n") and len(lines) == header.raw_bytes
        found.append((header.check(), lines.split(b"\n")[:-1]))
    return found


def statements(running: Platform) -> list[ClaimSet]:
    """The gateway's claims, each verified, and their chain."""
    sets: list[ClaimSet] = []
    prev = ""
    for frame in running.entries(Kind.CLAIMS):
        signed = msgspec.json.decode(frame.meta, type=ClaimsEntry).signed
        claims = verify(signed, running.gateway.receipt_key, ClaimSet)
        assert (claims.n, claims.prev) == (len(sets), prev)
        prev = statement_digest(signed.statement)
        sets.append(claims)
    return sets


def latest(running: Platform) -> dict[str, StreamClaim]:
    """The newest claim of each of the gateway's streams, by stream's name."""
    return {c.stream.source.partition(":")[2]: c for claims in statements(running) for c in claims.streams}


def test_an_upload_is_journaled_before_204_as_the_next_seqs_of_its_stream(running: Platform) -> None:
    rule = make_rule(running)
    answer = upload(running, rule)
    assert (answer.status_code, answer.content) == (204, b"")
    ((header, records),) = journaled(running)
    assert header.stream == StreamKey("contoso", "App_CL", GATEWAY_AGENT, f"{rule}:Custom-App")
    assert (header.first, header.next) == (0, 3)
    assert header.upload is not None and header.upload.rule == rule
    assert [json.loads(record) for record in records] == RECORDS
    assert upload(running, rule, [{"n": 4}]).status_code == 204
    assert [(h.first, h.next, h.epoch) for h, _ in journaled(running)] == [
        (0, 3, header.epoch),
        (3, 4, header.epoch),
    ]


@pytest.mark.parametrize(
    ("body", "records"),
    [
        (b"[]", []),
        (b" [ ] \n", []),
        (b'\xef\xbb\xbf[{"a":1}]', [b'{"a":1}']),
        (b'[{"a" : 1.50},\n  {"b":\n [1,\r\n2]}\n]', [b'{"a" : 1.50}', b'{"b":  [1,\r 2]}']),
        (b'[{"a":"\\n\\u00e4"}]', [b'{"a":"\\n\\u00e4"}']),
        (b"[{},{}]", [b"{}", b"{}"]),
    ],
)
def test_records_keep_their_bytes(running: Platform, body: bytes, records: list[bytes]) -> None:
    rule = make_rule(running)
    assert upload(running, rule, body).status_code == 204
    assert upload(running, rule, gzipped(body), **{"Content-Encoding": "gzip"}).status_code == 204
    found = journaled(running)  # the same content: gzip or not, it is the same request
    assert [record for _, of_batch in found for record in of_batch] == records


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        (b"", "", 400, "InvalidPayload"),
        (b'{"a":1}', "", 400, "InvalidPayload"),
        (b'[{"a":1},2]', "", 400, "InvalidPayload"),
        (b'[[{"a":1}]]', "", 400, "InvalidPayload"),
        (b'[{"a":1},{"b"}]', "", 400, "InvalidPayload"),
        (b'[{"a":1}', "", 400, "InvalidPayload"),
        (b'[{"a":1}] x', "", 400, "InvalidPayload"),
        (b'[{"a":"two\nlines"}]', "", 400, "InvalidPayload"),
        (b'[{"a":"\xff"}]', "", 400, "InvalidPayload"),
        (b"[" * 100_000, "", 400, "InvalidPayload"),
        (b"no gzip", "gzip", 400, "InvalidPayload"),
        (gzipped(b'[{"a":1}]')[:-4], "gzip", 400, "InvalidPayload"),
        (gzipped(b"[") + gzipped(b"]"), "gzip", 400, "InvalidPayload"),
        (gzipped(b'["' + b"0" * (4 << 20) + b'"]'), "gzip", 413, "ContentLengthLimitExceeded"),
        (b" " * ((4 << 20) + 1), "", 413, "ContentLengthLimitExceeded"),
        (b"[{}]", "br", 415, "UnsupportedContentEncoding"),
    ],
)
def test_a_body_that_cannot_be_is_refused_as_a_whole_in_azures_shape(
    running: Platform, body: bytes, encoding: str, status: int, code: str
) -> None:
    answer = upload(running, make_rule(running), body, **({"Content-Encoding": encoding} if encoding else {}))
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(answer.json()) == {"error"} and set(error) == {"code", "message"}
    assert error["code"] == code and error["message"]
    assert journaled(running) == []


def test_whoever_may_not_is_told_so_and_not_what_there_is(running: Platform) -> None:
    rule = make_rule(running)
    other = running.token("fabrikam")
    refused = [
        upload(running, rule, token=other),
        upload(running, "dcr-" + 32 * "0", token=other),
        upload(running, "no-rule", token=other),
        upload(running, rule, token=running.token("contoso", "read")),
        upload(running, rule, token=running.token("contoso", "ingest", "SigninLogs")),
    ]
    assert [answer.status_code for answer in refused] == [403] * 5
    assert {answer.json()["error"]["code"] for answer in refused} == {"OperationFailed"}
    texts = {re.sub("dcr-[0-9a-f]{32}", "DCR", answer.text) for answer in refused[:2]}
    assert len(texts) == 1, "a rule of another tenant is not told from one that does not exist"
    unknown = upload(running, rule, stream="Custom-Other")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "InvalidStream")
    nobody = upload(running, rule, token={"Authorization": "Bearer gl_wrong"})
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert nobody.headers["WWW-Authenticate"].startswith("Bearer")
    assert upload(running, rule, token=running.token("contoso", "ingest", "App_CL")).status_code == 204
    assert len(journaled(running)) == 1


def test_a_megabyte_and_more_enters(running: Platform) -> None:
    body = json.dumps([{"n": n, "text": "x" * 1000} for n in range(1200)]).encode()
    assert len(body) > 1.1 * (1 << 20)
    assert upload(running, make_rule(running), body).status_code == 204
    ((header, records),) = journaled(running)
    assert header.next == len(records) == 1200


def test_the_same_upload_again_is_stored_once_and_another_one_is_not_taken_for_it(running: Platform) -> None:
    rule = make_rule(running)
    mine, yours = {"x-ms-client-request-id": "a"}, {"x-ms-client-request-id": "b"}
    for headers in (mine, mine, {}, {}, yours):
        assert upload(running, rule, **headers).status_code == 204
    assert upload(running, rule, stream="Microsoft-SigninLogs", **mine).status_code == 204
    assert [(h.stream.table, h.first, h.next) for h, _ in journaled(running)] == [
        ("App_CL", 0, 3),
        ("App_CL", 3, 6),
        ("SigninLogs", 0, 3),
    ]


def test_requests_at_once_share_a_stream_without_a_hole(running: Platform) -> None:
    rule = make_rule(running)
    path = f"/dataCollectionRules/{rule}/streams/Custom-App"
    under_way = [running.start("POST", path, json=[{"n": n % 20}], headers=running.admin) for n in range(40)]
    assert {each.result(30).status_code for each in under_way} == {204}
    found = journaled(running)
    assert sorted((h.first, h.next) for h, _ in found) == [(n, n + 1) for n in range(20)]
    assert sorted(json.loads(records[0])["n"] for _, records in found) == list(range(20))


def test_the_gateway_claims_its_streams_from_the_rule_on_and_closes_them_with_it(running: Platform) -> None:
    rule = make_rule(running)
    until(lambda: len(latest(running)) == 2)
    assert {(c.next, c.closed) for c in latest(running).values()} == {(0, False)}
    assert upload(running, rule).status_code == 204
    assert running.request("DELETE", f"/v1/rules/{rule}", headers=running.admin).status_code == 200
    until(lambda: all(claim.closed for claim in latest(running).values()))
    assert {name: c.next for name, c in latest(running).items()} == {
        "Custom-App": 3,
        "Microsoft-SigninLogs": 0,
    }
    assert upload(running, rule).status_code == 403


def test_each_tenants_statement_is_of_its_own_streams(running: Platform) -> None:
    make_rule(running)
    make_rule(running, {"tenant": "fabrikam", "streams": [{"name": "Custom-B", "table": "B_CL"}]})
    until(lambda: len(latest(running)) == 3)
    for claims in statements(running):
        assert claims.agent == GATEWAY_AGENT and len({c.stream.tenant for c in claims.streams}) == 1


def test_a_gateway_that_starts_again_counts_on_and_knows_the_requests(tmp_path: Path) -> None:
    with platform(tmp_path) as running:
        rule = make_rule(running)
        gone = make_rule(running)
        assert upload(running, rule).status_code == 204
        assert running.request("DELETE", f"/v1/rules/{gone}", headers=running.admin).status_code == 200
    for again in range(2):
        if again:  # all of it is in the journal
            for path in tmp_path.glob("index.sqlite*"):
                path.unlink()
        with platform(tmp_path) as running:
            assert upload(running, rule).status_code == 204
            assert upload(running, rule, [{"again": again}]).status_code == 204
            until(lambda: latest(running)["Custom-App"].next == 4 + again)  # noqa: B023
            listed = running.get("/v1/rules", headers=running.admin).json()["rules"]
            assert [each["id"] for each in listed] == [rule]
            found = journaled(running)
            assert [(h.first, h.next) for h, _ in found] == [(0, 3), (3, 4), (4, 5)][: 2 + again]
            assert len({h.epoch for h, _ in found}) == 1


def test_what_the_journal_did_not_take_is_not_answered_with_204_and_leaves_no_hole(tmp_path: Path) -> None:
    disk = FaultyDisk()
    with platform(tmp_path, disk=disk) as running:
        rule = make_rule(running)
        disk.faults.sync_errno = errno.EIO
        answer = upload(running, rule)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ServiceUnavailable")
        assert "Retry-After" in answer.headers
        disk.faults.sync_errno = 0
        assert upload(running, rule).status_code == 204
        assert [(h.first, h.next) for h, _ in journaled(running)] == [(0, 3)]


def test_too_much_at_once_is_answered_with_429(tmp_path: Path) -> None:
    bounds = GatewaySettings(body_bytes_max=1 << 20, bytes_in_flight_max=1 << 20)
    with platform(tmp_path, settings=bounds) as running:
        answer = upload(running, make_rule(running), gzipped(b"[{}]"), **{"Content-Encoding": "gzip"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "TooManyRequests")
        assert int(answer.headers["Retry-After"]) >= 1


class HeldSieve(NoSieve):
    """A transform that takes until ``go``."""

    def __init__(self) -> None:
        self.go = Event()

    def check(self, stream: RuleStream) -> Effect:
        """All can be."""
        return Effect()

    def kept(self, key: StreamKey, stream: RuleStream, lines: bytes, received_us: int) -> NDArray[np.bool_]:
        assert self.go.wait(30)
        return super().kept(key, stream, lines, received_us)


def test_a_slow_transform_holds_up_only_what_is_filtered_and_little_of_that(tmp_path: Path) -> None:
    sieve = HeldSieve()
    bounds = GatewaySettings(uploads_filtered_in_flight_max=1)
    with platform(tmp_path, settings=bounds, sieve=sieve) as running:
        plain = make_rule(running)
        filtering = make_rule(
            running,
            {"tenant": "contoso", "streams": [RULE["streams"][0] | {"transform": "source | where n > 1"}]},
        )
        path = f"/dataCollectionRules/{filtering}/streams/Custom-App"
        slow = running.start("POST", path, json=RECORDS, headers=running.admin)
        until(lambda: running.gateway.uploads._filtered.count == 1)
        assert upload(running, plain).status_code == 204
        assert upload(running, filtering, [{"n": 9}]).status_code == 429
        sieve.go.set()
        assert slow.result(30).status_code == 204
        assert upload(running, filtering, [{"n": 9}]).status_code == 204


def test_nobody_else_speaks_for_the_gateways_streams(running: Platform) -> None:
    rule = make_rule(running)
    assert upload(running, rule).status_code == 204
    ((own, _),) = journaled(running)
    (result,) = running.results(batch(3, 5, stream=own.stream, epoch=own.epoch))
    assert result["status"] == "refused" and GATEWAY_AGENT in result["text"]
    (result,) = running.results(batch(0, 2, upload=own.upload))
    assert result["status"] == "refused"
    claim = StreamClaim(stream=own.stream, opened=EpochOpen(own.epoch), next=99)
    answer = running.claim(Agent(name=GATEWAY_AGENT).claims(streams=(claim,)))
    assert answer.status_code == 422 and GATEWAY_AGENT in answer.text


@pytest.mark.parametrize(
    "stream",
    [
        {"name": "App", "table": "App_CL"},
        {"name": "Custom-", "table": "App_CL"},
        {"name": "Custom-" + "a" * 71, "table": "App_CL"},
        {"name": "Custom-App", "table": "NoTable"},
        {"name": "Microsoft-SigninLogs", "table": "AuditLogs"},
        {"name": "Custom-App", "table": "App_CL", "columns": [{"name": "a b", "type": "long"}]},
        {"name": "Custom-App", "table": "App_CL", "columns": 2 * [{"name": "a", "type": "long"}]},
        {"name": "Custom-App", "table": "App_CL", "transform": "source | frobnicate"},
        {"name": "Custom-App", "table": "App_CL", "columns": [{"name": "Data", "type": "dynamic"}]},
        {"name": "Custom-App", "table": "App_CL", "columns": [{"name": "rawData", "type": "string"}]},
        {"name": "Custom-App", "table": "App_CL", "columns": [{"name": "_seq", "type": "long"}]},
        {"name": "Custom-App", "table": "App_CL", "columns": [{"name": "TimeGenerated", "type": "string"}]},
        {
            "name": "Custom-App",
            "table": "App_CL",
            "columns": [{"name": "a", "type": "long"}, {"name": "A", "type": "long"}],
        },
    ],
)
def test_a_rule_that_cannot_be_is_refused(running: Platform, stream: dict[str, Any]) -> None:
    answer = running.post("/v1/rules", json={"tenant": "contoso", "streams": [stream]}, headers=running.admin)
    assert answer.status_code == 422, answer.text
    assert running.entries(Kind.RULE) == []


def of_column(name: str, kind: str, table: str = "App_CL", tenant: str = "contoso") -> dict[str, Any]:
    column = {"name": name, "type": kind}
    return {"tenant": tenant, "streams": [{"name": "Custom-X", "table": table, "columns": [column]}]}


def test_rules_in_force_must_not_contradict_each_other(running: Platform) -> None:
    first = make_rule(running)
    for wanted in (of_column("n", "string"), of_column("N", "long")):
        answer = running.post("/v1/rules", json=wanted, headers=running.admin)
        assert answer.status_code == 422
        assert f"rule {first} declares n long" in answer.json()["error"]["text"]
    make_rule(running, of_column("n", "long"))
    make_rule(running, of_column("n", "string", tenant="fabrikam"))
    make_rule(running, of_column("n", "string", table="Other_CL"))
    two = [
        {**of_column("x", kind)["streams"][0], "name": f"Custom-{kind}"}  # one rule against itself
        for kind in ("long", "real")
    ]
    answer = running.post("/v1/rules", json={"tenant": "contoso", "streams": two}, headers=running.admin)
    assert answer.status_code == 422 and "Custom-long of this rule" in answer.json()["error"]["text"]


def test_what_a_transform_does_is_the_platforms_word(tmp_path: Path) -> None:
    class Knowing(HeldSieve):
        def check(self, stream: RuleStream) -> Effect:
            name = 'a"b' if "bad" in stream.transform else "m"
            return Effect(filters=False, time="At", drops=("n",), computes=(Column(name, "real"),))

    with platform(tmp_path, sieve=Knowing()) as running:
        stream = RULE["streams"][0] | {"effect": {"time": "Other"}}
        plain = make_rule(running, {"tenant": "contoso", "streams": [stream]})
        made = make_rule(
            running,
            {
                "tenant": "contoso",
                "streams": [stream | {"name": "Custom-B", "table": "B_CL", "transform": "source | x"}],
            },
        )
        assert upload(running, plain).status_code == 204
        # Nothing is filtered, so nothing waits for the sieve, which is held.
        assert upload(running, made, stream="Custom-B").status_code == 204
        assert [h.upload and (h.upload.time, h.stream.table) for h, _ in journaled(running)] == [
            ("", "App_CL"),
            ("At", "B_CL"),
        ]
        declared = running.gateway.uploads.declared("contoso")
        assert declared["App_CL"] == Declared(1, (Column("n", "long"),))
        id_ = next(h.stream.id for h, _ in journaled(running) if h.stream.table == "B_CL")
        assert declared["B_CL"] == Declared(
            1, (Column("m", "real"),), (Computed((Column("n", "long"),), "source | x", (id_,)),)
        )
        bad = {"tenant": "contoso", "streams": [stream | {"transform": "source | bad"}]}
        assert running.post("/v1/rules", json=bad, headers=running.admin).status_code == 422


def test_declared_columns_outlive_their_rule_and_the_gateway(tmp_path: Path) -> None:
    def declared(running: Platform) -> Declared:
        return running.gateway.uploads.declared("contoso")["App_CL"]

    with platform(tmp_path) as running:
        rule = make_rule(running)
        make_rule(running, of_column("x", "real"))
        assert declared(running) == Declared(2, (Column("n", "long"), Column("x", "real")))
        assert running.request("DELETE", f"/v1/rules/{rule}", headers=running.admin).status_code == 200
        assert declared(running).version == 2
        make_rule(running, of_column("N", "string"))
        make_rule(running, of_column("N", "string"))
        last = declared(running)
        assert last == Declared(3, (Column("N", "string"), Column("x", "real")))
        assert "App_CL" not in running.gateway.uploads.declared("fabrikam")
    with platform(tmp_path) as running:
        assert declared(running) == last
    (tmp_path / "index.sqlite").unlink()
    with platform(tmp_path) as running:
        assert declared(running) == last


def test_rules_are_their_tenants_and_bounded(tmp_path: Path) -> None:
    with platform(tmp_path, settings=GatewaySettings(rules_max=1)) as running:
        other = running.token("fabrikam", "admin")
        assert running.post("/v1/rules", json=RULE, headers=other).status_code == 403
        rule = make_rule(running)
        assert running.post("/v1/rules", json=RULE, headers=running.admin).status_code == 422
        assert running.get("/v1/rules", headers=other).json() == {"rules": []}
        assert running.get(f"/v1/rules/{rule}", headers=other).status_code == 404
        assert running.request("DELETE", f"/v1/rules/{rule}", headers=other).status_code == 404
        shown = running.get(f"/v1/rules/{rule}", headers=running.admin).json()
        (entry,) = (msgspec.json.decode(f.meta, type=RuleEntry) for f in running.entries(Kind.RULE))
        assert entry.rule == msgspec.convert(shown, Rule)
        assert (entry.at_us, entry.deleted) == (NOW_US, False)
