"""Data files that go or change under a platform that runs: noticed, said with every answer, and made
again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from crash_rig import site
from platform_rig import cli, until, up

TABLE = "App_CL"
RECORDS = 500


def _asked(data: Path, text: str) -> dict[str, Any]:
    code, out, words = cli(
        "query", "--language", "sql", "--tenant", "contoso", "--format", "json", text, data=data
    )
    assert code == 0, words
    answer: dict[str, Any] = json.loads(out)
    return answer


def _ids(data: Path) -> list[int]:
    rows = _asked(data, f"SELECT CAST(Data->>'$.id' AS INT) FROM {TABLE} ORDER BY 1")["rows"]
    return [row[0] for row in rows]


def _audited(data: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(cli("audit", "--tenant", "contoso", "--format", "json", data=data)[1])
    return report


def _send(data: Path, first: int, next_: int) -> None:
    lines = b"".join(b'{"id":%d}\n' % number for number in range(first, next_))
    code, _, words = cli("send", "--tenant", "contoso", "--table", TABLE, "-", data=data, stdin=lines)
    assert code == 0, words


def _files(data: Path) -> list[Path]:
    return sorted((data / "lake" / "tables" / "contoso" / TABLE).glob("*.parquet"))


def _findings(data: Path, platform_kinds: set[str]) -> list[dict[str, Any]]:
    return [each for each in _audited(data)["findings"] if each["kind"] in platform_kinds]


@pytest.mark.system
def test_a_file_that_is_deleted_or_altered_comes_back_and_nothing_is_served_as_complete(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    everything = list(range(RECORDS))
    with up(data):
        _send(data, 0, RECORDS)
        until(lambda: _audited(data)["verdict"] == "complete")
        (path,) = _files(data)
        path.unlink()
        # From here on no answer that lacks rows may call itself complete.
        until(lambda: _is_honest(data, everything) and _files(data) and _files(data) != [path])
        until(lambda: _ids(data) == everything and _audited(data)["verdict"] == "complete")
    (path,) = _files(data)
    altered = bytearray(path.read_bytes())
    altered[len(altered) // 2] ^= 0x10
    path.write_bytes(altered)
    with up(data):
        until(lambda: path not in _files(data) or _files(data) != [path])
        until(lambda: _ids(data) == everything and _audited(data)["verdict"] == "complete")
        assert _audited(data)["totals"]["stored"] == RECORDS
        damaged = [each for each in _told(data) if each["kind"] == "file_damaged"]
        assert len(damaged) == 2 and {each["state"] for each in damaged} == {"closed"}


@pytest.mark.system
def test_a_lake_that_is_killed_while_it_finds_and_mends_does_it_again(tmp_path: Path) -> None:
    with site(tmp_path, sources=1) as of:
        of.start_platform()
        of.until(lambda: of.ask("GET", "/v1/tokens") is not None)
        of.start_agent()
        of.write(200)
        of.settle()
        for points in (["lake:condemn"], ["lake:condemned"], ["lake:step", "lake:stepped"]):
            of.platform_points.arm(points, "kill")
            for path in (of.data / "lake" / "tables").rglob("*.parquet"):
                path.unlink()
            of.until(lambda: not of.platform_points.waiting())
            of.settle()
        of.complete()


def _is_honest(data: Path, everything: list[int]) -> bool:
    """Whether an answer could be had; if so, it is whole or says that it is not."""
    text = f"SELECT CAST(Data->>'$.id' AS INT) FROM {TABLE} ORDER BY 1"
    code, out, _ = cli(
        "query", "--language", "sql", "--tenant", "contoso", "--format", "json", text, data=data
    )
    if code:
        return False
    answer = json.loads(out)
    whole = [row[0] for row in answer["rows"]] == everything
    assert whole or answer["completeness"]["verdict"] != "complete", answer["completeness"]
    return True


def _told(data: Path) -> list[dict[str, Any]]:
    import urllib.request

    url = (data / "url").read_text().strip()
    request = urllib.request.Request(f"{url}/v1/findings?tenant=contoso&state=all&limit=100")
    request.add_header("Authorization", f"Bearer {(data / 'admin.token').read_text().strip()}")
    with urllib.request.urlopen(request, timeout=20) as answer:
        told: list[dict[str, Any]] = json.load(answer)["findings"]
    return told


@pytest.mark.system
def test_a_file_that_neither_disk_nor_journal_has_is_a_loss_with_its_ranges(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with up(data):
        _send(data, 0, RECORDS)
        _send(data, RECORDS, RECORDS + 7)
        until(lambda: _audited(data)["totals"]["stored"] == RECORDS + 7)
    (segment,) = (data / "journal").glob("*.log")
    raw = bytearray(segment.read_bytes())
    at = raw.find(b'"table":"App_CL"')
    raw[at : at + 4] = b"\0\0\0\0"  # the meta of the first batch: nobody can say any more whose it was
    segment.write_bytes(raw)
    for path in _files(data):
        path.unlink()
    with up(data):
        until(lambda: _audited(data)["totals"]["lost"] == RECORDS)
        until(lambda: _ids(data) == list(range(RECORDS, RECORDS + 7)))
        until(lambda: _audited(data)["verdict"] == "incomplete")
        report = _audited(data)
        (loss,) = [loss for stream in report["streams"] for loss in stream["losses"]]
        assert (loss["cause"], loss["ranges"]) == ("journal_corrupt", [[0, RECORDS]])
        assert _asked(data, f"SELECT count(*) FROM {TABLE}")["completeness"]["lost"] == RECORDS
