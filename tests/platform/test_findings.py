"""Findings and the audit as programs ask for them, of a platform that runs."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import pytest
from platform_rig import Up, cli, up

from gapless.model.claim import ClaimSet, StreamClaim
from gapless.model.signing import Signer
from gapless.model.stream import EpochOpen, StreamKey
from waiting import until

STREAM = StreamKey("contoso", "SigninLogs", "host-7", "entra")
SHOWN = {
    "id", "kind", "state", "tenant", "table", "agent", "stream", "epoch", "count", "edge", "text", "opened",
    "closed", "opened_us", "closed_us",
}  # fmt: skip


class Asking:
    """Requests to a platform."""

    def __init__(self, platform: Up, token: str) -> None:
        self._url = platform.url
        self._token = token

    def get(self, path: str) -> Any:
        return self._do(urllib.request.Request(f"{self._url}{path}"))

    def post(self, path: str, body: bytes) -> Any:
        return self._do(urllib.request.Request(f"{self._url}{path}", data=body))

    def refused(self, path: str) -> int:
        with pytest.raises(urllib.error.HTTPError) as error:
            self.get(path)
        return error.value.code

    def kinds(self, path: str) -> set[str]:
        return {finding["kind"] for finding in self.get(path)["findings"]}

    def _do(self, request: urllib.request.Request) -> Any:
        request.add_header("Authorization", f"Bearer {self._token}")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


def _claim(epoch: str = "1" * 32, next_: int = 7, key: bytes = b"k" * 32) -> bytes:
    """The first claims of an agent, which holds so many records."""
    claim = StreamClaim(stream=STREAM, opened=EpochOpen(epoch), next=next_, held=((0, next_),))
    said = ClaimSet(agent=STREAM.agent, n=0, prev="", at_us=1, interval_s=0.3, streams=(claim,))
    return msgspec.json.encode(Signer(key).sign(said))


@pytest.mark.system
def test_a_silent_agent_is_found_and_a_frozen_ledger_proves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with up(data) as platform:
        admin = Asking(platform, (data / "admin.token").read_text().strip())
        code, out, _ = cli("token", "create", "--tenant", "fabrikam", "--scope", "read", data=data)
        assert code == 0
        other = Asking(platform, out.decode().strip())
        admin.post("/v1/claims", _claim())

        until(lambda: "agent_silent" in admin.kinds("/v1/findings?tenant=contoso"))
        answer = admin.get("/v1/findings?tenant=contoso&state=all&limit=1000")
        (silent,) = [finding for finding in answer["findings"] if finding["kind"] == "agent_silent"]
        assert set(silent) == SHOWN and answer["audited"].endswith("Z")
        assert (silent["state"], silent["agent"], silent["closed"]) == ("open", "host-7", None)
        assert _journaled(data, silent["id"])

        report = admin.get("/v1/audit?tenant=contoso")
        assert silent["id"] in {finding["id"] for finding in report["findings"]}
        (row,) = report["streams"]
        assert row["discontinuities"] == [] and report["audited"]
        code, out, _ = cli("audit", "--tenant", "contoso", data=data)
        assert code == 2 and b"agent silent" in out

        # An agent is the business of its own tables alone.
        assert "agent_silent" in admin.kinds("/v1/findings?tenant=contoso&table=SigninLogs")
        assert "agent_silent" not in admin.kinds("/v1/findings?tenant=contoso&table=AuditLogs")

        assert other.kinds("/v1/findings?tenant=fabrikam&state=all") == set()
        assert other.refused("/v1/findings?tenant=contoso") == 403
        assert other.refused("/v1/findings") == 403
        for wrong in ("state=closed", "limit=0", "limit=1001", "limit=x"):
            assert admin.refused(f"/v1/findings?{wrong}") == 422
        assert "agent_silent" in admin.kinds("/v1/findings")
        paths = admin.get("/v1/openapi.json")["paths"]
        assert "limit" in paths["/v1/findings"]["get"]["description"]

        os.kill(platform.child("ledger"), signal.SIGSTOP)
        until(lambda: "ledger process" in admin.get("/v1/audit?tenant=contoso")["reasons"][0])
        assert admin.get("/v1/audit?tenant=contoso")["verdict"] == "unknown"
        platform.kill_child("ledger")
        until(lambda: "ledger process" not in admin.get("/v1/audit?tenant=contoso")["reasons"][0])


@pytest.mark.system
def test_an_epoch_that_nobody_can_close_is_accepted_with_a_reason(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with up(data) as platform:
        admin = Asking(platform, (data / "admin.token").read_text().strip())
        admin.post("/v1/claims", _claim())
        admin.post("/v1/claims", _claim("2" * 32, 3, b"o" * 32))  # its disk was lost
        until(lambda: "epoch_unclosed" in admin.kinds("/v1/findings?tenant=contoso"))
        (row,) = [each for each in admin.get("/v1/audit?tenant=contoso")["streams"] if each["open_end"]]
        assert (row["epoch"], row["claimed"]) == ("1" * 32, 7)
        which = ("--tenant", "contoso", "--stream", row["stream"])
        code, _, words = cli("epoch", "accept", *which, "--epoch", "2" * 32, "--reason", "x", data=data)
        assert code == 2 and "closed or goes on" in words
        why = ("--reason", "the disk burnt")
        code, out, words = cli("epoch", "accept", *which, "--epoch", row["epoch"], *why, data=data)
        assert code == 0, words
        until(lambda: "epoch_unclosed" not in admin.kinds("/v1/findings?tenant=contoso"))
        (row,) = [each for each in admin.get("/v1/audit?tenant=contoso")["streams"] if each["losses"]]
        assert (row["losses"][0]["id"], row["losses"][0]["evidence"]) == (
            out.decode().strip(),
            "the disk burnt",
        )
        assert row["open_end"] is None
        until(lambda: "gap" in admin.kinds("/v1/findings?tenant=contoso"))  # what its spool held


def _journaled(data: Path, id_: str) -> bool:
    """Whether the journal has a finding, exactly once."""
    until(lambda: _count(data, id_) > 0)
    return _count(data, id_) == 1


def _count(data: Path, id_: str) -> int:
    return sum(path.read_bytes().count(id_.encode()) for path in (data / "journal").glob("*.log"))
