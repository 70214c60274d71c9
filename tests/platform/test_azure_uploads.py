"""Azure's upload client, unmodified, against a running platform over TLS: what it uploads is stored once."""

from __future__ import annotations

import gzip
import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.monitor.ingestion import LogsIngestionClient, LogsUploadError
from azure.monitor.query import LogsQueryClient, LogsQueryResult
from azure_rig import Platform, azure
from crash_rig import Points
from platform_rig import cli, until

STREAM, TABLE = "Custom-App", "App_CL"
Record = dict[str, Any]


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Points:
    return Points(tmp_path_factory.mktemp("points") / "armed")


@pytest.fixture(scope="module")
def platform(points: Points, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with azure(tmp_path_factory.mktemp("up") / "data", points.environment) as platform:
        yield platform


def new_rule(platform: Platform, tenant: str) -> str:
    arguments = ("--tenant", tenant, "--stream", STREAM, "--column", "n:long", "--column", "text:string")
    return platform.done("dcr", "create", *arguments).strip()


def client(platform: Platform, tenant: str, **more: Any) -> LogsIngestionClient:
    return LogsIngestionClient(platform.url, platform.credential(tenant, "ingest"), **more)


def records(first: int, next_: int, size: int = 700) -> list[Record]:
    return [{"n": n, "text": f"{n} \u00e4\n" + "x" * size} for n in range(first, next_)]


def stored(platform: Platform, tenant: str) -> list[int]:
    """The numbers of the records that are in the table, each as often as it is there."""
    text = f"select (Data->>'$.n')::int as n from {TABLE} order by n"
    answer = platform.ask("POST", "/v1/query", json={"tenant": tenant, "text": text, "language": "sql"})
    return [n for (n,) in answer["rows"]]


def audit(platform: Platform, tenant: str) -> dict[str, Any]:
    found: dict[str, Any] = platform.ask("GET", "/v1/audit", params={"tenant": tenant})
    return found


def complete(platform: Platform, tenant: str, count: int) -> None:
    """Until the audit proves ``count`` records, and the table has each once."""

    def proven() -> bool:
        found = audit(platform, tenant)
        totals = found["totals"]
        assert totals["claimed"] <= count and totals["missing"] == totals["lost"] == 0
        return found["verdict"] == "complete" and totals["claimed"] == totals["stored"] == count

    until(proven)
    assert stored(platform, tenant) == list(range(count))


@pytest.mark.system
def test_a_list_of_records_is_uploaded_in_chunks_and_proven(platform: Platform) -> None:
    rule = new_rule(platform, "chunks")
    with client(platform, "chunks") as azure_client:
        azure_client.upload(rule, STREAM, records(0, 3000))
        azure_client.upload(rule, STREAM, io.BytesIO(json.dumps(records(3000, 3010)).encode()))
        azure_client.upload(rule, STREAM, io.BytesIO(gzip.compress(json.dumps(records(3010, 3020)).encode())))
        azure_client.upload(rule, STREAM, [])
    complete(platform, "chunks", 3020)
    (row,) = audit(platform, "chunks")["streams"]
    assert (row["table"], row["source"], row["unclosed"]) == (TABLE, f"{rule}:{STREAM}", False)
    assert row["coverage"] == "from-socket"


@pytest.mark.system
def test_what_may_not_be_uploaded_comes_back_to_its_client(platform: Platform) -> None:
    rule = new_rule(platform, "mine")
    failed: list[LogsUploadError] = []
    with client(platform, "mine") as mine, client(platform, "yours") as yours:
        mine.upload("dcr-" + "0" * 32, STREAM, records(0, 2), on_error=failed.append)
        yours.upload(rule, STREAM, records(0, 2), on_error=failed.append)
        mine.upload(rule, "Custom-Other", records(0, 2), on_error=failed.append)
        assert [error.failed_logs for error in failed] == [records(0, 2)] * 3
        told = [(each.error.status_code, each.error.error.code) for each in failed]  # type: ignore[attr-defined]
        assert told == [(403, "OperationFailed"), (403, "OperationFailed"), (400, "InvalidStream")]
        with pytest.raises(HttpResponseError, match="InvalidPayload"):
            mine.upload(rule, STREAM, io.BytesIO(b'[{"n": 1}, {"n": 2]'))
        with pytest.raises(HttpResponseError, match="ContentLengthLimitExceeded"):
            mine.upload(rule, STREAM, io.BytesIO(json.dumps(records(0, 6000)).encode()))
    assert audit(platform, "mine")["totals"]["claimed"] == 0


@pytest.mark.system
def test_an_upload_that_the_platform_cannot_take_now_is_retried_by_the_client(
    platform: Platform, points: Points
) -> None:
    rule = new_rule(platform, "retried")
    points.arm(["uploads:journaled"], "fail")
    with client(platform, "retried", retry_backoff_factor=0.1) as azure_client:
        azure_client.upload(rule, STREAM, records(0, 10))
    assert points.waiting() == []
    complete(platform, "retried", 10)


class Sender(threading.Thread):
    """Uploads its share of the records; what fails it uploads again, as programs do."""

    def __init__(self, platform: Platform, tenant: str, rule: str, first: int, next_: int) -> None:
        super().__init__(daemon=True)
        self._client = client(platform, tenant, retry_total=1, retry_backoff_factor=0.05)
        self._rule = rule
        self._waiting: list[list[Record]] = [records(at, at + 10) for at in range(first, next_, 10)]

    def run(self) -> None:
        while self._waiting:
            chunk, failed = self._waiting.pop(), list[LogsUploadError]()
            self._client.upload(self._rule, STREAM, chunk, on_error=failed.append)
            self._waiting += [list(map(dict, error.failed_logs)) for error in failed]


@pytest.mark.system
def test_a_gateway_killed_in_the_middle_of_uploads_leaves_every_record_stored_once(
    platform: Platform, points: Points
) -> None:
    rule = new_rule(platform, "killed")
    senders = [Sender(platform, "killed", rule, at, at + 500) for at in range(0, 2000, 500)]
    for number, name in enumerate(("uploads:journaled", "journal:synced")):
        points.arm([name], "kill")
        if number == 0:
            for sender in senders:
                sender.start()
        until(lambda: points.waiting() == [])
    for sender in senders:
        sender.join(120)
        assert not sender.is_alive()
    complete(platform, "killed", 2000)


@pytest.mark.system
@pytest.mark.case("T44")
def test_what_a_rule_filters_is_counted_and_kept_in_the_journal(platform: Platform) -> None:
    arguments = ("--tenant", "sieved", "--stream", STREAM, "--column", "n:long", "--column", "Level:string")
    transform = "source | where Level != 'debug'"
    code, _, words = cli(
        "dcr", "create", *arguments, "--transform-kql", "source | take 1", data=platform.data
    )
    assert code == 2 and "line 1, column 10: operator take is not supported" in words
    rule = platform.done("dcr", "create", *arguments, "--transform-kql", transform).strip()
    with client(platform, "sieved") as azure_client:
        for first in range(0, 90, 30):
            sent = [{"n": n, "Level": "info" if n % 3 else "debug"} for n in range(first, first + 30)]
            azure_client.upload(rule, STREAM, sent)
    wanted = {"claimed": 90, "journaled": 90, "stored": 60, "filtered": 30, "missing": 0, "pending": 0}

    def counted() -> bool:
        found = audit(platform, "sieved")
        return found["verdict"] == "complete" and wanted.items() <= found["totals"].items()

    until(counted)
    assert stored(platform, "sieved") == [n for n in range(90) if n % 3]
    (filtered,) = (row for row in audit(platform, "sieved")["streams"] if row["filtered"])
    assert (filtered["claimed"], filtered["source"]) == (30, f"{rule}:{STREAM}:filtered")
    id_ = f"{filtered['stream']}/{filtered['epoch']}/7"
    shown = platform.done("show", "--tenant", "sieved", "--table", TABLE, "--id", id_, "--format", "json")
    assert json.loads(shown)["place"] == "filtered" and json.loads(json.loads(shown)["raw"])["n"] == 21


@pytest.mark.system
def test_what_a_rule_declares_are_columns_of_all_that_is_in_its_table(platform: Platform) -> None:
    """Records that were there before the rule, those of a client, and lines of a file."""
    lines = b'{"Status": "x", "Took": "00:00:01.5", "n": "7"}\nno JSON at all\n'
    sent = ("send", "--tenant", "typed", "--table", TABLE, "-")
    assert cli(*sent, data=platform.data, stdin=lines)[0] == 0
    declared = ("TimeGenerated:datetime", "Status:string", "Took:timespan", "n:long", "At:datetime")
    columns = [option for each in declared for option in ("--column", each)]
    rule = platform.done("dcr", "create", "--tenant", "typed", "--stream", STREAM, *columns).strip()
    record = {"TimeGenerated": "2024-09-02T00:00:00Z", "Status": "y", "n": 8, "At": "2024-09-01"}
    with client(platform, "typed") as azure_client:
        azure_client.upload(rule, STREAM, [record, {"Status": "x", "n": "many"}])
    asking = LogsQueryClient(platform.credential("typed", "read"), endpoint=platform.url)

    def rows(text: str) -> list[list[Any]]:
        answer = asking.query_workspace("typed", text, timespan=None)
        assert isinstance(answer, LogsQueryResult)
        return [list(row) for row in answer.tables[0].rows]

    until(lambda: rows("App_CL | count") == [[4]])
    assert rows("App_CL | where Status == 'x' | summarize count(), sum(n), max(Took)") == [
        [2, 7, "00:00:01.5000000"]
    ]
    assert rows("App_CL | where n > 7 | project At, TimeGenerated") == [
        [datetime(2024, 9, 1, tzinfo=UTC), datetime(2024, 9, 2, tzinfo=UTC)]
    ]
    # What is no long is not lost.
    assert rows("App_CL | where isnull(n) and isnotnull(Data.n) | project tostring(Data.n)") == [["many"]]
    code, _, words = cli(
        "dcr", "create", "--tenant", "typed", "--stream", "Custom-Two", "--table", TABLE,
        "--column", "n:string", data=platform.data,
    )  # fmt: skip
    assert code == 2 and f"rule {rule} declares n long" in words
    shown = platform.done("tables", "--tenant", "typed", TABLE, "--format", "json")
    (table,) = json.loads(shown)
    assert {"name": "n", "type": "long"} in table["columns"] and table["timespanColumn"] == "TimeGenerated"
    assert "Status" in platform.done("tables", "--tenant", "typed", TABLE)
    assert TABLE in platform.done("tables", "--tenant", "typed")
    code, _, words = cli("tables", "--tenant", "typed", "Apq_CL", data=platform.data)
    assert code == 2 and "has no table Apq_CL" in words


@pytest.mark.system
def test_a_transform_says_which_time_is_the_records_and_which_columns_are_shown(platform: Platform) -> None:
    columns = ("--column", "Time:string", "--column", "Level:string", "--column", "Secret:string")
    to = ("--tenant", "timed", "--table", TABLE, *columns, "--transform-kql")
    dated = platform.done(
        "dcr", "create", "--stream", "Custom-Dated", *to,
        "source | extend TimeGenerated = todatetime(Time) | where Level != 'debug' | project-away Secret",
    ).strip()  # fmt: skip
    now = ("source | extend TimeGenerated = now() | project TimeGenerated, Level, Time",)
    received = platform.done("dcr", "create", "--stream", "Custom-Now", *to, *now).strip()
    sent = [
        {"Time": f"2024-09-0{day}T00:00:00Z", "Level": level, "Secret": "s", "TimeGenerated": "2024-10-10"}
        for day, level in ((1, "info"), (2, "debug"), (3, "info"))
    ]
    with client(platform, "timed") as azure_client:
        for _ in range(3):  # alternately, so that they are stored together
            azure_client.upload(dated, "Custom-Dated", sent)
            azure_client.upload(received, "Custom-Now", sent)
    wanted = {"claimed": 18, "stored": 15, "filtered": 3, "missing": 0, "pending": 0}

    def counted() -> bool:
        found = audit(platform, "timed")
        return found["verdict"] == "complete" and wanted.items() <= found["totals"].items()

    until(counted)
    text = (
        f"{TABLE} | summarize n = count() by _TimeSource, Level, "
        "t = iff(TimeGenerated > ago(1d), '', format_datetime(TimeGenerated, 'MM-dd')) | sort by t, Level, n"
    )
    asked = platform.ask("POST", "/v1/query", json={"tenant": "timed", "text": text})
    assert asked["rows"] == [
        ["record", "info", "09-03", 3], ["record", "info", "09-01", 3],
        ["received", "info", "", 6], ["received", "debug", "", 3],
    ]  # fmt: skip
    (table,) = json.loads(platform.done("tables", "--tenant", "timed", TABLE, "--format", "json"))
    names = [column["name"] for column in table["columns"]]
    assert names[:5] == ["TimeGenerated", "RawData", "Data", "Time", "Level"] and "Secret" not in names


@pytest.mark.system
def test_a_rule_as_azure_writes_it_computes_its_columns(platform: Platform, tmp_path: Path) -> None:
    """The records stay as they were sent; the columns stay when the rule is deleted."""
    declared = {"Time": "datetime", "Computer": "string", "AdditionalContext": "string"}
    transform = (
        "source | extend jsonContext = parse_json(AdditionalContext) | project TimeGenerated = Time, "
        "Computer, AdditionalContext = jsonContext, ExtendedColumn = tostring(jsonContext.CounterName)"
    )
    columns = [{"name": name, "type": kind} for name, kind in declared.items()]
    flow = {
        "streams": ["Custom-MyTable"], "transformKql": transform, "outputStream": "Custom-MyTable_CL"
    }  # fmt: skip
    written = {"streamDeclarations": {"Custom-MyTable": {"columns": columns}}, "dataFlows": [flow]}
    rule_file = tmp_path / "rule.json"
    rule_file.write_text(json.dumps({"properties": written}))
    rule = platform.done("dcr", "create", "--tenant", "tutorial", "--file", str(rule_file)).strip()
    context = json.dumps({"CounterName": "AppMetric1", "CounterValue": 15.3})
    record = {"Time": "2024-09-02T15:04:05.1234567Z", "Computer": "vm-1", "AdditionalContext": context}
    with client(platform, "tutorial") as azure_client:
        azure_client.upload(rule, "Custom-MyTable", [record])
    asking = LogsQueryClient(platform.credential("tutorial", "read"), endpoint=platform.url)

    def rows(text: str) -> list[list[Any]]:
        answer = asking.query_workspace("tutorial", text, timespan=None)
        assert isinstance(answer, LogsQueryResult)
        return [list(row) for row in answer.tables[0].rows]

    until(lambda: rows("MyTable_CL | count") == [[1]])
    platform.done("dcr", "delete", rule)
    at = datetime(2024, 9, 2, 15, 4, 5, 123456, UTC)
    text = "MyTable_CL | where ExtendedColumn == 'AppMetric1'"
    assert rows(f"{text} | project TimeGenerated, Computer, ExtendedColumn") == [[at, "vm-1", "AppMetric1"]]
    assert rows(f"{text} | project todouble(AdditionalContext.CounterValue), tostring(Data.Time)") == [
        [15.3, record["Time"]]
    ]
    (kept,) = rows("MyTable_CL | project RawData")
    assert json.loads(kept[0]) == record
    with pytest.raises(HttpResponseError, match="there is no column Time"):
        rows("MyTable_CL | project Time")


@pytest.mark.system
def test_a_rule_that_is_deleted_ends_its_streams_for_good(platform: Platform) -> None:
    rule = new_rule(platform, "ended")
    with client(platform, "ended") as azure_client:
        azure_client.upload(rule, STREAM, records(0, 5))
        assert rule in platform.done("dcr", "list") and '"Custom-App"' in platform.done("dcr", "show", rule)
        platform.done("dcr", "delete", rule)
        with pytest.raises(HttpResponseError, match="OperationFailed"):
            azure_client.upload(rule, STREAM, records(5, 6))
    assert rule not in platform.done("dcr", "list")
    complete(platform, "ended", 5)
    until(lambda: audit(platform, "ended")["streams"][0]["state"] == "closed")
