"""What a drill asks the platform, over the same HTTP API as everybody."""

from __future__ import annotations

import http.client
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from gapless.model.errors import Refused, Unavailable
from gapless.services.generate import id_column

_TIMEOUT_S = 30.0

T = TypeVar("T")


class StoredRow(NamedTuple):
    """One row of a table: the id in its record, and the record's identity in the books."""

    table: str
    id: str
    stream: str
    epoch: str
    seq: int


class SeenFinding(msgspec.Struct, frozen=True):
    """A finding, as far as a drill looks at it."""

    kind: str
    opened_us: int


class _Findings(msgspec.Struct):
    findings: list[SeenFinding]


class _Token(msgspec.Struct):
    token: str


class _Rows(msgspec.Struct):
    rows: list[tuple[str, str, str, str, int]]
    truncated: bool


class PlatformClient:
    """One connection for each request. Thread-safe. Raises Unavailable when there is no answer, or none
    now, and Refused for any other that is not the one asked for."""

    def __init__(self, url: str, admin_token: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {admin_token}", "Content-Type": "application/json"}

    def ingest_token(self, tenant: str) -> str:
        """A new token with which the tenant's agent may send."""
        return self._request("POST", "/v1/tokens", {"tenant": tenant, "scope": "ingest"}, _Token).token

    def findings(self, tenant: str) -> list[SeenFinding]:
        """Everything that the auditor ever found at a tenant."""
        path = f"/v1/findings?tenant={quote(tenant)}&state=all"
        return self._request("GET", path, None, _Findings).findings

    def audit(self, tenant: str) -> dict[str, Any]:
        """The books of a tenant, as ``gapless audit --format json`` gives them."""
        return self._request("GET", f"/v1/audit?tenant={quote(tenant)}", None, dict[str, Any])

    def rows(self, tenant: str, tables: Iterable[str]) -> list[StoredRow]:
        """Every row of the tables, asked for in SQL as any user may."""
        text = " union all ".join(
            f"select '{table}', \"{id_column(table)}\", _Stream, _Epoch, _Seq from {table}"
            for table in tables
        )
        asked = {"tenant": tenant, "language": "sql", "text": text}
        answer = self._request("POST", "/v1/query", asked, _Rows)
        if answer.truncated:
            raise Refused("a tenant has more rows than one answer takes: let the drill write fewer records")
        return [StoredRow(*row) for row in answer.rows]

    def _request(self, method: str, path: str, message: object, answer: type[T]) -> T:
        body = None if message is None else msgspec.json.encode(message)
        connection = http.client.HTTPConnection(urlsplit(self._url).netloc, timeout=_TIMEOUT_S)
        try:
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"no answer from {self._url}{path} ({error}): look at its log") from error
        finally:
            connection.close()
        if response.status >= 400:
            kind = Unavailable if response.status >= 500 or response.status == 429 else Refused
            words = data[:300].decode(errors="replace")
            raise kind(f"{method} {self._url}{path} is answered {response.status}: {words}")
        return msgspec.json.decode(data, type=answer)
