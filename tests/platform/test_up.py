"""The platform as its users meet it: from records on standard input to the answer of a query."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from platform_rig import COMMAND, SQL, Up, cli, environment, up

from gapless.services.generate import id_column, table_lines
from waiting import until

RECORDS = 8_000
TABLE = "SigninLogs"


def _token(data: Path, tenant: str, scope: str) -> str:
    code, out, words = cli("token", "create", "--tenant", tenant, "--scope", scope, data=data)
    assert code == 0, words
    return out.decode().strip()


def _rows(data: Path, token: str, tenant: str, text: str) -> list[list[object]]:
    """The rows of an answer; none while the platform is not there."""
    code, out, words = cli(*SQL, "--tenant", tenant, "--format", "json", text, data=data, token=token)
    assert code in (0, 3), words
    if code == 3:
        return []
    answer = json.loads(out)
    assert set(answer["completeness"]) == {
        "verdict", "through", "missing", "lost", "quarantined", "holding_back",
    }  # fmt: skip
    rows: list[list[object]] = answer["rows"]
    return rows


def _journal_bytes(data: Path) -> int:
    return sum(path.stat().st_size for path in (data / "journal").glob("*.log"))


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.system
def test_every_record_is_stored_once_whatever_is_killed_and_only_its_tenant_sees_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    lines = [
        line + b"\n"
        for line in table_lines(TABLE, records=RECORDS, seed=7, start_us=1_725_000_000_000_000, rate_per_s=50)
    ]
    ids = {json.loads(line)[id_column(TABLE)] for line in lines}
    count = f"select count(*) from {TABLE}"
    with up(data) as platform:
        assert stat.S_IMODE((data / "admin.token").stat().st_mode) == 0o600
        ingest, read = _token(data, "contoso", "ingest"), _token(data, "contoso", "read")
        other = _token(data, "fabrikam", "read")
        _send_with_kills(platform, data, ingest, lines)

        until(lambda: _rows(data, read, "contoso", count) == [[RECORDS]])
        answered = _rows(data, read, "contoso", f"select {id_column(TABLE)} from {TABLE}")
        stored = [row[0] for row in answered]
        assert len(stored) == RECORDS and set(stored) == ids

        assert _rows(data, other, "fabrikam", count) == [[0]]
        code, out, words = cli(*SQL, "--tenant", "contoso", count, data=data, token=other)
        assert (code, out) == (2, b"") and "may read in tenant 'contoso'" in words

        children = platform.children()
        platform.process.kill()
        until(lambda: all(_gone(pid) for pid in children))
    with up(data) as platform:
        assert _rows(data, read, "contoso", count) == [[RECORDS]]
        children = platform.children()
        platform.process.send_signal(signal.SIGTERM)
        assert platform.process.wait(30) == 0
        assert all(_gone(pid) for pid in children)


def _send_with_kills(platform: Up, data: Path, token: str, lines: list[bytes]) -> None:
    """Send ``lines``; once a part of them is in the journal, kill the gateway and the lake."""
    before = _journal_bytes(data)
    command = [*COMMAND, "send", "--tenant", "contoso", "--table", TABLE, "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(data, token)
    ) as sending:
        assert sending.stdin is not None and sending.stderr is not None
        half = len(lines) // 2
        sending.stdin.write(b"".join(lines[:half]))
        sending.stdin.flush()
        until(lambda: _journal_bytes(data) - before > 100_000)
        os.kill(platform.child("gateway"), signal.SIGSTOP)  # so that the rest meets one that is killed
        rest = threading.Thread(target=sending.stdin.write, args=(b"".join(lines[half:]),))
        rest.start()  # the sender reads it only as fast as it gets receipts
        platform.kill_child("lake")
        platform.kill_child("gateway")
        rest.join()
        sending.stdin.close()
        words = sending.stderr.read().decode()
        assert sending.wait(60) == 0, words
    assert f"{len(lines)} records have their receipts" in words


@pytest.mark.system
def test_a_running_platform_answers_for_itself(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with up(data) as platform:
        with urllib.request.urlopen(f"{platform.url}/v1/services", timeout=10) as answer:
            assert "entra" in [service["name"] for service in json.load(answer)["services"]]
        with urllib.request.urlopen(f"{platform.url}/v1/openapi.json", timeout=10) as answer:
            assert {"/v1/query", "/v1/services", "/v1/batches"} <= json.load(answer)["paths"].keys()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{platform.url}/v1/query", data=b"{}", timeout=10)
        assert refused.value.code == 401

        code, _, words = cli("up", "--listen", "127.0.0.1:0", data=data)
        assert code == 3 and "another process is writing" in words

        send = ("send", "--tenant", "contoso", "--table", "Acme_CL", "-")
        assert cli(*send, data=data, stdin=b"one\n\ntwo")[0] == 0  # an empty line, and one without newline
        assert cli(*send, data=data)[0] == 0  # nothing at all
        admin = (data / "admin.token").read_text().strip()
        ask = "select RawData from Acme_CL order by _Seq"
        until(lambda: _tolerant(data, admin, ask) == [["one"], [""], ["two"]])

        read_only = _token(data, "contoso", "read")
        code, _, words = cli(*send, data=data, stdin=b"x\n", token=read_only)
        assert code == 2 and "0 records have their receipts" in words and "Traceback" not in words


def _tolerant(data: Path, token: str, text: str) -> list[list[object]]:
    """As ``_rows``, and none before the table's first row."""
    code, out, _ = cli(*SQL, "--tenant", "contoso", "--format", "json", text, data=data, token=token)
    return json.loads(out)["rows"] if code == 0 else []
