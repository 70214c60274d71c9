"""What the drill writes, and its own count of it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gapless.drills.workload import LogFile, LogKey, Records, Workload, generate
from gapless.services.catalogue import services

START_US = 1_725_000_000_000_000


def numbered(count: int) -> Records:
    return Records([b"%d\n" % number for number in range(count)], [str(number) for number in range(count)])


def test_every_table_of_every_service_is_written_for_every_tenant_and_no_id_comes_twice() -> None:
    records = generate(("contoso", "fabrikam"), records_per_log=5, seed=3, start_us=START_US)
    assert {(log.service, log.table) for log in records} == {
        (service.name, table) for service in services() for table in service.tables
    }
    assert {log.tenant for log in records} == {"contoso", "fabrikam"}
    ids = [each for log in records.values() for each in log.ids]
    assert len(ids) == len(set(ids)) == 5 * len(records)
    for log in records.values():
        for line, record in zip(log.lines, log.ids, strict=True):
            assert line.endswith(b"\n") and record in json.loads(line).values()


@given(
    total=st.integers(0, 40),
    lines_max=st.integers(1, 9),
    steps=st.lists(st.integers(0, 50), max_size=8),
)
def test_rotation_keeps_every_line_once_and_in_order(total: int, lines_max: int, steps: list[int]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "logs" / "a.json"
        records = numbered(total)
        file = LogFile(path, records, lines_max)
        for wanted in steps:
            file.write_to(wanted)
            # Newest first: a.json, a.json.1, a.json.2 …
            files = sorted(path.parent.iterdir(), key=lambda each: int(each.suffix[1:].replace("json", "0")))
            contents = [each.read_bytes().splitlines(keepends=True) for each in files]
            assert [line for content in reversed(contents) for line in content] == records.lines[
                : file.written
            ]
            assert all(len(content) == lines_max for content in contents[1:])
            assert len(contents[0]) <= lines_max
        assert file.written == min(total, max(steps, default=0))
        assert file.emitted == records.ids[: file.written]
        file.close()


def test_a_trickle_goes_round_and_stops_where_it_is_told(tmp_path: Path) -> None:
    logs = [LogKey(tenant, "entra", table) for tenant in ("a", "b") for table in ("SigninLogs", "AuditLogs")]
    workload = Workload(tmp_path, {log: numbered(10) for log in logs}, lines_max=4)
    workload.trickle(files=3, records=2, share_max=0.5)
    assert sorted(file.written for file in workload.files.values()) == [0, 2, 2, 2]
    for _ in range(20):
        workload.trickle(files=3, records=2, share_max=0.5)
    assert [file.written for file in workload.files.values()] == [5, 5, 5, 5]
    workload.write_to(0.2)  # less than there is: nothing happens
    assert workload.emitted == 20
    workload.write_to(1)
    assert workload.emitted == workload.total == 40
    assert workload.emitted_by("a") == 20
    assert workload.newest() == dict.fromkeys(logs, "9")
    workload.close()
