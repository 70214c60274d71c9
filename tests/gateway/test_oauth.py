"""Access tokens: given for a client's secret alone, bound as the client is, and only for a while."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gapless.gateway.oauth import rate
from gapless.gateway.oauth.access_tokens import AccessTokens, Expired
from gapless.gateway.oauth.rate import Rate
from gapless.gateway.settings import GatewaySettings
from gapless.gateway.tenants import azure_tenant_id, means, tenant_guid
from gapless.gateway.tokens import mint
from gapless.model.errors import Busy, Refused
from waiting import until

from .support import Agent, Platform, batch, platform

NOW_US = 1_800_000_000_000_000


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Platform]:
    with platform(tmp_path) as started:
        yield started


def client(running: Platform, tenant: str = "contoso", scope: str = "ingest", *tables: str) -> dict[str, str]:
    """A new client, as it introduces itself."""
    wanted = {"tenant": tenant, "scope": scope, "tables": tables, "client": True}
    made = running.post("/v1/tokens", json=wanted, headers=running.admin).json()
    return {"client_id": made["id"], "client_secret": made["token"], "grant_type": "client_credentials"}


def ask(running: Platform, form: dict[str, str], tenant: str = "contoso", **more: Any) -> httpx.Response:
    return running.post(f"/{tenant}/oauth2/v2.0/token", data=form, **more)


def bearer(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_an_access_token_is_good_for_what_its_client_is(running: Platform) -> None:
    known = client(running, "contoso", "ingest", "SigninLogs")
    answer = ask(running, known | {"scope": "https://logs.example/.default"})
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    assert (said["token_type"], said["expires_in"]) == ("Bearer", GatewaySettings().access_token_s)
    assert running.send(batch(0, 10), headers=bearer(answer)).json()["results"][0]["status"] == "receipt"
    for path in ("/v1/tokens", "/v1/audit"):
        assert running.get(path, headers=bearer(answer)).status_code in (403, 404)
    claims = json.loads(base64.urlsafe_b64decode(said["access_token"].split(".")[1] + "=="))
    assert (claims["aud"], claims["tid"]) == ("https://logs.example", "contoso")
    assert claims["iss"] == "http://gateway/contoso/v2.0"
    # Revoked, it is out at once.
    assert running.request("DELETE", f"/v1/tokens/{known['client_id']}", headers=running.admin).is_success
    assert running.send(batch(10, 10), headers=bearer(answer)).status_code == 401
    assert ask(running, known).status_code == 401


def test_a_secret_opens_nothing_by_itself_and_a_token_is_no_secret(running: Platform) -> None:
    known = client(running)
    as_token = {"Authorization": f"Bearer {known['client_secret']}"}
    assert running.send(batch(0, 10), headers=as_token).status_code == 401
    token = running.token("contoso", "ingest")["Authorization"].removeprefix("Bearer ")
    assert ask(running, known | {"client_secret": token}).status_code == 401
    assert known["client_secret"] not in (running.directory / "tokens.json").read_text()


def test_it_is_asked_for_in_other_ways_too(running: Platform) -> None:
    known = client(running)
    assert ask(running, known, tenant_guid("contoso")).is_success
    pair = f"{known['client_id']}:{known['client_secret']}".encode()
    basic = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    assert ask(running, {"grant_type": "client_credentials"}, headers=basic).is_success
    header = {"X-IDENTITY-HEADER": known["client_secret"]}
    identity = running.get("/msi/token?resource=https://logs.example&api-version=2019-08-01", headers=header)
    assert identity.json()["client_id"] == known["client_id"]
    assert int(identity.json()["expires_on"]) > 0
    assert running.send(batch(0, 10), headers=bearer(identity)).is_success
    found = running.get("/contoso/v2.0/.well-known/openid-configuration").json()
    assert found["token_endpoint"] == "http://gateway/contoso/oauth2/v2.0/token"
    assert {"issuer", "authorization_endpoint"} <= set(found)


def test_what_is_refused_is_said_as_oauth_says_it(running: Platform) -> None:
    known = client(running)

    def refused(answer: httpx.Response) -> tuple[int, str]:
        assert set(answer.json()) == {"error", "error_description"}
        return answer.status_code, answer.json()["error"]

    invalid = (401, "invalid_client")
    assert refused(ask(running, known, "fabrikam")) == invalid
    assert refused(ask(running, known | {"client_secret": "gls_x"})) == invalid
    assert refused(ask(running, known | {"client_id": "x"})) == invalid
    assert refused(ask(running, {"grant_type": "client_credentials"})) == invalid
    by_basic = ask(running, known, headers={"Authorization": "Basic ~"})
    assert refused(by_basic) == invalid and by_basic.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert refused(ask(running, known | {"grant_type": "password"})) == (400, "unsupported_grant_type")
    path = "/contoso/oauth2/v2.0/token"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert refused(running.post(path, json=known)) == (400, "invalid_request")
    assert refused(running.post(path, content=b"a=1&a=2", headers=form)) == (400, "invalid_request")
    assert refused(running.post(path, content=b"\xff=1", headers=form)) == (400, "invalid_request")
    assert refused(running.post(path, content=b"a=1&" * 100, headers=form)) == (400, "invalid_request")
    assert refused(running.post(path, content=b"a" * 70_000, headers=form)) == (413, "invalid_request")
    assert running.get("/msi/token", headers={"X-IDENTITY-HEADER": "x"}).json()["statusCode"] == 401
    wanted = {"tenant": "*", "scope": "admin", "client": True}
    assert running.post("/v1/tokens", json=wanted, headers=running.admin).status_code == 422


def test_too_many_requests_of_one_peer_are_told_to_wait(tmp_path: Path) -> None:
    with platform(tmp_path, settings=GatewaySettings(token_requests_per_s_max=0.5)) as running:
        assert ask(running, {}).status_code == 400
        answer = ask(running, {})
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"] == "temporarily_unavailable"


def test_whoever_asks_for_a_token_slowly_keeps_no_claims_out(tmp_path: Path) -> None:
    with platform(tmp_path, settings=GatewaySettings(claims_in_flight_max=1)) as running:
        enough = running.portal.call(_event)

        async def slowly() -> AsyncIterator[bytes]:
            yield b"grant_type="
            await enough.wait()

        form = {"Content-Type": "application/x-www-form-urlencoded"}
        asking = running.start("POST", "/contoso/oauth2/v2.0/token", content=slowly(), headers=form)
        until(lambda: running.gateway.token_budget.count == 1)
        assert running.claim(Agent().claims("0" * 32)).status_code == 200
        running.portal.call(enough.set)
        assert asking.result(30).status_code == 400


async def _event() -> asyncio.Event:
    return asyncio.Event()


def test_a_rate_is_of_each_peer_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "_PEERS_MAX", 3)
    now_s = 0.0
    limit = Rate(2.0, lambda: now_s)
    for peer in ("a", "b"):
        for _ in range(4):
            limit.take(peer)
        with pytest.raises(Busy) as caught:
            limit.take(peer)
        assert caught.value.retry_after_s == 0.5
    now_s = 0.5
    limit.take("a")
    with pytest.raises(Busy):
        limit.take("a")
    for peer in ("c", "d", "e"):
        limit.take(peer)
    assert len(limit._left) == 3


def test_an_access_token_ends_and_no_other_is_taken() -> None:
    made, _ = mint("contoso", (), "read", by="test", now_us=NOW_US, client=True)
    tokens = AccessTokens(b"k" * 32, 60)
    text, expires_s = tokens.issue(made, "iss", "aud", NOW_US)
    assert expires_s == NOW_US // 1_000_000 + 60
    assert tokens.client_of(text, NOW_US + 59_999_999) == made.id
    with pytest.raises(Expired):
        tokens.client_of(text, NOW_US + 60_000_000)
    assert AccessTokens(b"x" * 32, 60).client_of(text, NOW_US) is None
    head, payload, mac = text.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    later = json.loads(base64.urlsafe_b64decode(payload + "==")) | {"exp": 9_999_999_999}
    longer = base64.urlsafe_b64encode(json.dumps(later).encode()).decode().rstrip("=")
    for forged in (
        f"{unsigned}.{payload}.", f"{unsigned}.{payload}.{mac}", f"{head}.{longer}.{mac}",
        f"{head}.{payload}.", f"{head}.{payload}.{mac}x", f"{head}.{payload}", f"{head}..{mac}",
        "..", ".", "é.é.é", "a." * 9000,
    ):  # fmt: skip
        assert tokens.client_of(forged, NOW_US) is None


def test_tenants_have_names_that_azures_clients_take() -> None:
    assert azure_tenant_id("contoso.com") == "contoso.com"
    assert azure_tenant_id("con_toso") == tenant_guid("con_toso")
    assert means(tenant_guid("a").upper(), "a") and not means(tenant_guid("a"), "b")
    with pytest.raises(Refused):
        mint("*", (), "admin", by="test", now_us=1, client=True)
