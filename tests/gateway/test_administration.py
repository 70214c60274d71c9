"""Tokens, losses, findings and decommissions over HTTP: each is on record before it is answered."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gapless.gateway.gateway import Gateway
from gapless.journal.local import LocalJournal
from gapless.log.disk import OsDisk
from gapless.model.claim import Loss
from gapless.model.entry import ConfigEntry, DecommissionEntry, Kind, LossEntry
from gapless.model.errors import Misconfigured
from gapless.model.finding import Finding

from .faults import FaultyDisk
from .support import EPOCH, NOW_US, STREAM, Platform, batch, platform

LOSS = Loss(
    id="loss-1",
    stream=STREAM,
    epoch=EPOCH,
    cause="operator",
    declared_us=NOW_US,
    not_before_us=1,
    not_after_us=2,
    ranges=((3, 5),),
    evidence="the disk was stolen",
)
FINDING = Finding(id="gap/1", kind="gap", at_us=NOW_US, state="opened", text="3 are missing", count=3)
DECOMMISSION = {"stream": STREAM.id, "reason": "the host is gone"}

CHANGES: list[tuple[str, Any]] = [
    ("/v1/tokens", {"tenant": "contoso", "scope": "read"}),
    ("/v1/losses", LOSS),
    ("/v1/findings", [FINDING, FINDING]),
    ("/v1/decommissions", DECOMMISSION),
]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Platform]:
    with platform(tmp_path) as running:
        yield running


def post(running: Platform, path: str, content: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    return running.post(path, content=msgspec.json.encode(content), headers=headers or running.admin)


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def admin_id(running: Platform) -> str:
    listed = running.get("/v1/tokens", headers=running.admin).json()["tokens"]
    (found,) = [str(t["id"]) for t in listed if t["by"] == "first start" and t["revoked_us"] is None]
    return found


def changes_on_record(running: Platform) -> list[str]:
    entries = [msgspec.json.decode(e.meta, type=ConfigEntry) for e in running.entries(Kind.CONFIG)]
    return [entry.change for entry in entries]


def test_the_first_start_is_on_record_and_the_next_ones_change_nothing(tmp_path: Path) -> None:
    with platform(tmp_path) as running:
        first = changes_on_record(running)
        key = running.gateway.receipt_key
        assert first == [
            f"receipt key {key} in force",
            f"token {admin_id(running)} created: admin for tenant *, tables all",
        ]
        for name in ("admin.token", "receipt.key", "tokens.json"):
            assert os.stat(tmp_path / name).st_mode & 0o777 == 0o600
        admin = running.admin
    with platform(tmp_path) as running:
        assert running.admin == admin
        assert running.gateway.receipt_key == key
        assert changes_on_record(running) == first


def test_an_admin_token_that_is_gone_is_made_anew_and_the_old_one_revoked(tmp_path: Path) -> None:
    with platform(tmp_path) as running:
        old = running.admin
    (tmp_path / "admin.token").unlink()
    with platform(tmp_path) as running:
        assert error(running.get("/v1/tokens", headers=old)) == (401, "unauthorized")
        assert running.get("/v1/tokens", headers=running.admin).status_code == 200


def test_a_key_file_that_holds_no_key_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "receipt.key").write_text("not a key")
    journal = LocalJournal(OsDisk(), f"{tmp_path}/journal")
    with pytest.raises(Misconfigured, match="receipt"):
        Gateway(str(tmp_path), journal)
    journal.close()


def test_the_life_of_a_token(running: Platform) -> None:
    answer = post(running, "/v1/tokens", {"tenant": "contoso", "scope": "ingest", "tables": ["AuditLogs"]})
    assert answer.status_code == 201
    created = answer.json()
    headers = {"Authorization": f"Bearer {created['token']}"}
    assert error(running.send(batch(0, 10), headers=headers)) == (403, "forbidden")
    (shown,) = [
        t
        for t in running.get("/v1/tokens", headers=running.admin).json()["tokens"]
        if t["id"] == created["id"]
    ]
    assert shown == {
        "id": created["id"],
        "tenant": "contoso",
        "scope": "ingest",
        "tables": ["AuditLogs"],
        "created_us": NOW_US,
        "by": admin_id(running),
        "revoked_us": None,
        "client": False,
    }
    path = f"/v1/tokens/{created['id']}"
    for _ in range(2):
        assert running.request("DELETE", path, headers=running.admin).json()["revoked_us"] == NOW_US
    assert error(running.send(batch(0, 10), headers=headers)) == (401, "unauthorized")
    assert changes_on_record(running)[2:] == [
        f"token {created['id']} created: ingest for tenant contoso, tables AuditLogs",
        f"token {created['id']} revoked",
        f"token {created['id']} revoked",
    ]
    assert all(created["token"] not in change for change in changes_on_record(running))
    assert error(running.request("DELETE", "/v1/tokens/nobody", headers=running.admin)) == (404, "not_found")


def test_tokens_that_cannot_be_are_refused(running: Platform) -> None:
    for wanted, expected in [
        ({"tenant": "*", "scope": "read"}, (422, "refused")),
        ({"tenant": "a/b", "scope": "read"}, (422, "refused")),
        ({"tenant": "contoso", "scope": "read", "tables": ["Nothing"]}, (422, "refused")),
        ({"tenant": "contoso", "scope": "write"}, (400, "body")),
        ({"tenant": "contoso"}, (400, "body")),
        ({"tenant": "contoso", "scope": "read", "table": "AuditLogs"}, (400, "body")),
    ]:
        assert error(post(running, "/v1/tokens", wanted)) == expected
    assert len(changes_on_record(running)) == 2


def test_the_admin_of_one_tenant_administers_that_one(running: Platform) -> None:
    own = running.token("contoso", "admin")
    stranger = {"tenant": "fabrikam", "scope": "read"}
    theirs = post(running, "/v1/tokens", stranger).json()["id"]
    assert post(running, "/v1/tokens", {"tenant": "contoso", "scope": "read"}, own).status_code == 201
    assert error(post(running, "/v1/tokens", stranger, own)) == (403, "forbidden")
    assert error(post(running, "/v1/tokens", {"tenant": "*", "scope": "admin"}, own)) == (403, "forbidden")
    assert {t["tenant"] for t in running.get("/v1/tokens", headers=own).json()["tokens"]} == {"contoso"}
    assert error(running.request("DELETE", f"/v1/tokens/{theirs}", headers=own)) == (404, "not_found")
    assert post(running, "/v1/losses", LOSS, own).status_code == 200
    other = msgspec.structs.replace(LOSS, stream=msgspec.structs.replace(STREAM, tenant="fabrikam"))
    assert error(post(running, "/v1/losses", other, own)) == (403, "forbidden")
    for path, content in CHANGES[2:]:
        assert error(post(running, path, content, own)) == (403, "forbidden")


@pytest.mark.parametrize("path, content", CHANGES)
def test_changes_need_an_admin(running: Platform, path: str, content: Any) -> None:
    assert error(running.post(path, content=msgspec.json.encode(content))) == (401, "unauthorized")
    for scope in ("ingest", "read"):
        assert error(post(running, path, content, running.token("contoso", scope))) == (403, "forbidden")


def test_a_loss_is_on_record_with_who_declared_it(running: Platform) -> None:
    assert post(running, "/v1/losses", LOSS).json() == {"status": "accepted"}
    (entry,) = running.entries(Kind.LOSS)
    assert msgspec.json.decode(entry.meta, type=LossEntry) == LossEntry(LOSS, admin_id(running))


def test_findings_are_on_record_in_order(running: Platform) -> None:
    closed = msgspec.structs.replace(FINDING, state="closed", at_us=NOW_US + 1)
    assert post(running, "/v1/findings", [FINDING, closed]).json() == {"status": "accepted"}
    entries = running.entries(Kind.FINDING)
    assert [msgspec.json.decode(e.meta, type=Finding) for e in entries] == [FINDING, closed]
    assert post(running, "/v1/findings", []).json() == {"status": "accepted"}


def test_a_decommission_is_on_record_with_who_did_it(running: Platform) -> None:
    assert post(running, "/v1/decommissions", DECOMMISSION).json() == {"status": "accepted"}
    (entry,) = running.entries(Kind.DECOMMISSION)
    assert msgspec.json.decode(entry.meta, type=DecommissionEntry) == DecommissionEntry(
        at_us=NOW_US, by=admin_id(running), stream=STREAM.id, reason="the host is gone"
    )


@pytest.mark.parametrize(
    "path, content",
    [
        ("/v1/losses", msgspec.structs.replace(LOSS, ranges=((5, 3),))),
        ("/v1/losses", msgspec.structs.replace(LOSS, id="x" * 300)),
        ("/v1/findings", [msgspec.structs.replace(FINDING, id="")]),
        ("/v1/findings", [FINDING, msgspec.structs.replace(FINDING, count=1 << 63)]),
        ("/v1/decommissions", {"stream": "x", "reason": "y"}),
        ("/v1/decommissions", {"stream": STREAM.id, "reason": "  "}),
        ("/v1/decommissions", {"stream": STREAM.id, "reason": "y" * 3_000}),
    ],
)
def test_what_cannot_be_is_refused_and_not_on_record(running: Platform, path: str, content: Any) -> None:
    before = len(running.entries())
    assert error(post(running, path, content)) == (422, "refused")
    assert len(running.entries()) == before


@pytest.mark.parametrize("path, content", CHANGES)
def test_what_the_journal_did_not_take_did_not_happen(tmp_path: Path, path: str, content: Any) -> None:
    disk = FaultyDisk()
    with platform(tmp_path, disk=disk) as running:
        before, tokens = len(running.entries()), running.gateway.tokens.all()
        disk.faults.sync_errno = errno.EIO
        assert error(post(running, path, content)) == (503, "unavailable")
        disk.faults.sync_errno = 0
        assert running.gateway.tokens.all() == tokens
        assert len(running.entries()) == before
        assert post(running, path, content).is_success
        assert len(running.entries()) > before


def test_a_token_stops_working_even_if_the_journal_cannot_say_so(tmp_path: Path) -> None:
    disk = FaultyDisk()
    with platform(tmp_path, disk=disk) as running:
        created = post(running, "/v1/tokens", {"tenant": "contoso", "scope": "ingest"}).json()
        path = f"/v1/tokens/{created['id']}"
        disk.faults.sync_errno = errno.EIO
        assert error(running.request("DELETE", path, headers=running.admin)) == (503, "unavailable")
        disk.faults.sync_errno = 0
        headers = {"Authorization": f"Bearer {created['token']}"}
        assert error(running.send(batch(0, 10), headers=headers)) == (401, "unauthorized")
        assert running.request("DELETE", path, headers=running.admin).is_success
        assert changes_on_record(running)[-1] == f"token {created['id']} revoked"
