"""Azure's own client libraries, unmodified, against a running platform over TLS."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode, urlsplit

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import ClientSecretCredential, EnvironmentCredential, ManagedIdentityCredential
from azure.monitor.query import (
    LogsBatchQuery,
    LogsQueryClient,
    LogsQueryError,
    LogsQueryPartialResult,
    LogsQueryResult,
)
from azure_rig import Platform, azure
from platform_rig import cli, until

from gapless.gateway.tenants import tenant_guid
from gapless.platform.layout import ca_path

SITE = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Web/sites/shop"
START = datetime(2024, 9, 2, tzinfo=UTC)
TRACES = [
    {
        "TimeGenerated": f"2024-09-02T00:00:{n:02}.123456Z",
        "Message": f"message {n}",
        "Properties": {"n": n},
        "_ResourceId": SITE if n % 2 else "/subscriptions/s2",
    }
    for n in range(10)
]
#: What no machine answers in time.
ENDLESS = (
    "range a from 1 to 10000000 step 1 | extend k = 1 "
    "| join (range b from 1 to 10000000 step 1 | extend k = 1) on k "
    "| summarize count() by x = strcat(tostring(a), tostring(b)) | count"
)


def queries(platform: Platform, *options: str) -> LogsQueryClient:
    """A client of contoso; no failure is tried again."""
    credential = platform.credential("contoso", "read", *options)
    return LogsQueryClient(credential, endpoint=platform.url, retry_total=0)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    data = tmp_path_factory.mktemp("azure") / "data"
    lines = "".join(json.dumps(trace) + "\n" for trace in TRACES).encode()
    with azure(data) as platform:
        for tenant in ("contoso", "fabrikam"):
            sent = ("send", "--tenant", tenant, "--table", "AppTraces", "-")
            assert cli(*sent, data=data, stdin=lines)[0] == 0
            asked = ("query", "--tenant", tenant, "--format", "csv", "AppTraces | count")
            until(lambda asked=asked: b"10" in cli(*asked, data=data)[1])  # type: ignore[misc]
        yield platform


@pytest.mark.system
def test_every_credential_gets_its_token(platform: Platform) -> None:
    made = platform.client("contoso", "read")
    scope = f"{platform.url}/.default"
    tokens = [platform.credential("contoso", "read").get_token(scope)]
    with patch.dict(os.environ, made | {"AZURE_AUTHORITY_HOST": platform.url}):
        tokens.append(EnvironmentCredential(disable_instance_discovery=True).get_token(scope))
    identity = {
        "IDENTITY_ENDPOINT": f"{platform.url}/msi/token",
        "IDENTITY_HEADER": made["AZURE_CLIENT_SECRET"],
    }
    with patch.dict(os.environ, identity):
        tokens.append(ManagedIdentityCredential().get_token(scope))
    for token in tokens:
        code, _, words = cli("audit", "--tenant", "contoso", data=platform.data, token=token.token)
        assert code in (0, 2) and "gapless:" not in words
        code, _, words = cli("audit", "--tenant", "fabrikam", data=platform.data, token=token.token)
        assert code == 2 and "may read in tenant 'fabrikam'" in words

    wrong = ClientSecretCredential(
        "fabrikam",
        made["AZURE_CLIENT_ID"],
        made["AZURE_CLIENT_SECRET"],
        authority=platform.url,
        disable_instance_discovery=True,
    )
    with pytest.raises(ClientAuthenticationError, match="unknown or revoked"):
        wrong.get_token(scope)


@pytest.mark.system
def test_a_workspace_answers_in_types(platform: Platform) -> None:
    client = queries(platform)
    text = "AppTraces | where Message == 'message 3' | project TimeGenerated, Message, Properties, D = 90s"
    for workspace in ("contoso", tenant_guid("contoso")):
        found = client.query_workspace(
            workspace, text, timespan=None, include_statistics=True, include_visualization=True
        )
        assert isinstance(found, LogsQueryResult)
        (table,) = found.tables
        assert table.columns_types == ["datetime", "string", "dynamic", "timespan"]
        at = START + timedelta(seconds=3, microseconds=123456)
        ((when, message, properties, took),) = table.rows
        assert (when, message, json.loads(properties), took) == (at, "message 3", {"n": 3}, "00:01:30")
        assert found.statistics and found.visualization
    assert isinstance(client.query_workspace("contoso", text, timespan=timedelta(days=1)), LogsQueryResult)


@pytest.mark.system
def test_a_timespan_is_one_more_condition(platform: Platform) -> None:
    client = queries(platform)

    def count(timespan: Any, text: str = "AppTraces | count") -> Any:
        found = client.query_workspace("contoso", text, timespan=timespan)
        assert isinstance(found, LogsQueryResult)
        return found.tables[0].rows[0][0]

    assert count((START, timedelta(seconds=2.5))) == 3
    assert count((START, START + timedelta(seconds=3, microseconds=123457))) == 4
    assert count((START, START + timedelta(seconds=3, microseconds=123456))) == 3
    assert count((START, START + timedelta(seconds=5)), "AppTraces | where Message endswith '1' | count") == 1
    assert count(timedelta(hours=1)) == 0


@pytest.mark.system
def test_completeness_is_in_a_header_and_if_asked_for_in_a_table(platform: Platform) -> None:
    client = queries(platform)
    headers: list[str] = []

    def note(response: Any) -> None:
        headers.append(response.http_response.headers["X-Gapless-Completeness"])

    def ask(**more: Any) -> list[str]:
        found = client.query_workspace("contoso", "AppTraces", timespan=None, raw_response_hook=note, **more)
        assert isinstance(found, LogsQueryResult)
        return [table.name for table in found.tables]

    assert ask() == ["PrimaryResult"]
    assert ask(headers={"X-Gapless-Completeness": "table"}) == ["PrimaryResult", "Completeness"]
    for header in headers:
        verdict, *more = header.split(";")
        assert verdict in ("complete", "unknown") and "missing=0" in more


@pytest.mark.system
def test_a_batch_answers_each_by_itself(platform: Platform) -> None:
    asked = [
        LogsBatchQuery("contoso", "AppTraces | count", timespan=None, include_statistics=True),
        LogsBatchQuery("contoso", "AppTraces | nope", timespan=None),
        LogsBatchQuery("fabrikam", "AppTraces | count", timespan=None),
        LogsBatchQuery("contoso", "range x from 1 to 600000 step 1", timespan=None),
        LogsBatchQuery("contoso", ENDLESS, timespan=None, server_timeout=1),
        LogsBatchQuery("contoso", "print 1", timespan=(START, START + timedelta(seconds=1))),
        LogsBatchQuery("", "print 1", timespan=None),
    ]
    good, wrong, other, cut, late, last, nobodys = queries(platform).query_batch(asked)
    assert isinstance(good, LogsQueryResult) and good.tables[0].rows[0][0] == 10
    assert isinstance(wrong, LogsQueryError) and "nope" in wrong.message
    assert isinstance(other, LogsQueryError) and other.code == "InsufficientAccessError"
    assert isinstance(cut, LogsQueryPartialResult) and cut.partial_error is not None
    assert cut.partial_error.code == "PartialError" and len(cut.partial_data[0].rows) == 500_000
    assert isinstance(late, LogsQueryError) and late.code == "GatewayTimeout"
    assert isinstance(last, LogsQueryResult)
    assert isinstance(nobodys, LogsQueryError) and nobodys.code == "InsufficientAccessError"


@pytest.mark.system
def test_a_resource_has_its_rows(platform: Platform) -> None:
    client = queries(platform)

    def count(resource: str) -> Any:
        found = client.query_resource(resource, "AppTraces | count", timespan=None)
        assert isinstance(found, LogsQueryResult)
        return found.tables[0].rows[0][0]

    assert count(SITE) == count(SITE.upper()) == count("/subscriptions/s1") == 5
    assert count(SITE + "/slots/x") == 0
    insights = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces"
    assert count(f"{insights}/contoso") == 10
    with pytest.raises(HttpResponseError) as caught:
        count(f"{insights}/fabrikam")
    assert caught.value.status_code == 403


@pytest.mark.system
def test_what_is_not_done_is_said_as_azure_says_it(platform: Platform) -> None:
    client = queries(platform)

    def failed(workspace: str, text: str, **more: Any) -> tuple[int | None, str, str]:
        with pytest.raises(HttpResponseError) as caught:
            client.query_workspace(workspace, text, timespan=None, **more)
        body = json.loads(caught.value.response.text())["error"]  # type: ignore[union-attr]
        return caught.value.status_code, body["code"], body.get("innererror", {}).get("code", "")

    assert failed("contoso", "AppTraces | where") == (400, "BadArgumentError", "SyntaxError")
    assert failed("contoso", "AppTraces | where X == 1") == (400, "BadArgumentError", "SemanticError")
    assert failed("fabrikam", "AppTraces") == (403, "InsufficientAccessError", "")
    assert failed(tenant_guid("fabrikam"), "AppTraces") == (403, "InsufficientAccessError", "")
    others = {"additional_workspaces": ["fabrikam"]}
    assert failed("contoso", "AppTraces", **others) == (403, "InsufficientAccessError", "")
    assert failed("contoso", ENDLESS, server_timeout=1) == (504, "GatewayTimeout", "")
    found = client.query_workspace("contoso", "AppTraces", timespan=None, additional_workspaces=["contoso"])
    assert isinstance(found, LogsQueryResult)
    narrow = queries(platform, "--table", "SigninLogs")
    with pytest.raises(HttpResponseError, match="SemanticError"):
        narrow.query_workspace("contoso", "AppTraces", timespan=None)


@pytest.mark.system
def test_a_bad_token_is_not_taken(platform: Platform) -> None:
    class Forger:
        def get_token(self, *scopes: str, **more: Any) -> AccessToken:
            return AccessToken("eyJhbGciOiJub25lIn0.e30.", 2_000_000_000)

    client = LogsQueryClient(Forger(), endpoint=platform.url, retry_total=0)
    with pytest.raises(HttpResponseError) as caught:
        client.query_workspace("contoso", "AppTraces", timespan=None)
    assert caught.value.status_code == 401
    assert json.loads(caught.value.response.text())["error"]["code"] == "InvalidAuthenticationToken"  # type: ignore[union-attr]


@pytest.mark.system
def test_the_get_form_and_what_is_no_request(platform: Platform) -> None:
    context = ssl.create_default_context(cafile=ca_path(str(platform.data)))
    token = platform.credential("contoso", "read").get_token(f"{platform.url}/.default").token

    def get(path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(f"{platform.url}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, context=context) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    allowed = {"Authorization": f"Bearer {token}"}
    asked = urlencode({"query": "AppTraces | count", "timespan": "2024-09-02T00:00:00Z/PT5S"})
    for path in ("/v1/workspaces/contoso/query", f"/v1{SITE}/query"):
        status, said = get(f"{path}?{asked}", **allowed)
        assert status == 200 and said["tables"][0]["rows"] in ([[5]], [[2]])
    assert get(f"/v1/workspaces/contoso/query?{asked}")[1]["error"]["code"] == "AuthenticationFailed"
    for path, body in (
        ("/v1/workspaces/contoso/query", None),
        ("/v1/workspaces/contoso/query?query=print+1&timespan=soon", None),
        ("/v1/workspaces/contoso/query", b"{"),
        ("/v1/workspaces/contoso/query", b'{"query": 1}'),
        ("/v1/$batch", b'{"requests": [{}]}'),
        (
            "/v1/$batch",
            json.dumps({"requests": [{"id": "1", "workspace": "w", "body": {"query": ""}}] * 101}).encode(),
        ),
    ):
        status, said = get(path, body, **allowed)
        assert (status, said["error"]["code"]) == (400, "BadArgumentError"), said


@pytest.mark.system
def test_a_client_that_goes_away_takes_its_query_along(platform: Platform) -> None:
    token = platform.credential("contoso", "read").get_token(f"{platform.url}/.default").token
    context = ssl.create_default_context(cafile=ca_path(str(platform.data)))
    connection = http.client.HTTPSConnection(urlsplit(platform.url).netloc, context=context)
    body = json.dumps({"query": ENDLESS}).encode()
    headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=600"}
    assert queries_under_way(platform) == []
    connection.request("POST", "/v1/workspaces/contoso/query", body, headers)
    until(lambda: queries_under_way(platform))
    connection.close()
    until(lambda: not queries_under_way(platform))


def queries_under_way(platform: Platform) -> list[int]:
    """Processes that the platform's query workers have forked, one each query."""
    gateway = platform.running.child("gateway")
    return [pid for worker in children(gateway) for pid in children(worker)]


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found
