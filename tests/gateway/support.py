"""A gateway on a real journal, and agents' requests to it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import zstandard
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.applications import Starlette

from gapless.gateway.gateway import Gateway
from gapless.gateway.metrics import GatewayMetrics
from gapless.gateway.ports import Sieve
from gapless.gateway.problems import problem_handlers
from gapless.gateway.routes import ingest_routes
from gapless.gateway.settings import GatewaySettings
from gapless.journal.local import LocalJournal
from gapless.log.disk import Disk, OsDisk
from gapless.log.frame import Frame, encode
from gapless.log.segments import LogReader
from gapless.model.batch import BatchHeader, payload_digest
from gapless.model.claim import ClaimSet, StreamClaim, statement_digest
from gapless.model.entry import Kind
from gapless.model.receipt import Receipt
from gapless.model.signing import Signed, Signer, verify
from gapless.model.stream import EpochOpen, StreamKey

STREAM = StreamKey("contoso", "SigninLogs", "host-7", "files")
EPOCH = "0" * 31 + "1"
NOW_US = 1_726_000_000_000_000


def epoch(number: int) -> str:
    return f"{number:032x}"


def records(first: int, next_: int, salt: str = "") -> bytes:
    return b"".join(b'{"n":%d,"salt":"%s"}\n' % (n, salt.encode()) for n in range(first, next_))


def batch(
    first: int, next_: int, *, stream: StreamKey = STREAM, epoch: str = EPOCH, salt: str = "", **more: Any
) -> tuple[BatchHeader, bytes]:
    """A batch as an agent makes it; another ``salt`` gives the same range other bytes."""
    raw = records(first, next_, salt)
    payload = zstandard.ZstdCompressor(level=1).compress(raw)
    fields: dict[str, Any] = {
        "stream": stream,
        "opened": EpochOpen(epoch),
        "first": first,
        "next": next_,
        "digest": payload_digest(payload),
        "raw_bytes": len(raw),
        "read_from_us": NOW_US,
        "read_to_us": NOW_US,
    }
    return BatchHeader(**(fields | more)), payload


def frame(header: BatchHeader, payload: bytes, kind: int = Kind.BATCH) -> bytes:
    return b"".join(bytes(piece) for piece in encode(kind, msgspec.json.encode(header), payload))


def body(*batches: tuple[BatchHeader, bytes]) -> bytes:
    return b"".join(frame(header, payload) for header, payload in batches)


class Agent:
    """Signs claims as an agent does: numbered, each naming the one before."""

    def __init__(self, signer: Signer | None = None, name: str = "host-7") -> None:
        self.signer = signer or Signer(random.Random(name).randbytes(32))
        self.name = name
        self.n = 0
        self.prev = ""

    def claims(self, *epochs: str, stream: StreamKey = STREAM, **more: Any) -> Signed:
        fields: dict[str, Any] = {
            "agent": self.name,
            "n": self.n,
            "prev": self.prev,
            "at_us": NOW_US,
            "interval_s": 2.0,
            "streams": tuple(StreamClaim(stream=stream, opened=EpochOpen(e), next=10) for e in epochs),
        }
        signed = self.signer.sign(ClaimSet(**(fields | more)))
        self.n += 1
        self.prev = statement_digest(signed.statement)
        return signed

    def restored(self) -> Agent:
        """The same agent from a copy of its spool as it is now."""
        twin = Agent(self.signer, self.name)
        twin.n, twin.prev = self.n, self.prev
        return twin


class Platform:
    """A gateway in an event loop of its own thread, its HTTP client, and the journal behind it."""

    def __init__(
        self, gateway: Gateway, journal: LocalJournal, portal: BlockingPortal, directory: Path
    ) -> None:
        self.gateway = gateway
        self.journal = journal
        self.portal = portal
        self.directory = directory
        self.admin = {"Authorization": f"Bearer {(directory / 'admin.token').read_text().strip()}"}
        app = Starlette(routes=ingest_routes(gateway), exception_handlers=problem_handlers())
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://gateway", timeout=None
        )

    def start(self, method: str, path: str, **arguments: Any) -> Future[httpx.Response]:
        """A request under way."""
        return self.portal.start_task_soon(partial(self._client.request, method, path, **arguments))

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return self.start(method, path, **arguments).result(30)

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self.request("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> httpx.Response:
        return self.request("POST", path, **arguments)

    def token(self, tenant: str = "contoso", scope: str = "ingest", *tables: str) -> dict[str, str]:
        """The header with a new token."""
        wanted = {"tenant": tenant, "scope": scope, "tables": tables}
        answer = self.post("/v1/tokens", json=wanted, headers=self.admin)
        assert answer.status_code == 201, answer.text
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    def send(
        self, *batches: tuple[BatchHeader, bytes], headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return self.post("/v1/batches", content=body(*batches), headers=headers or self.admin)

    def results(self, *batches: tuple[BatchHeader, bytes]) -> list[dict[str, Any]]:
        answer = self.send(*batches)
        assert answer.status_code == 200, answer.text
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    def claim(self, signed: Signed, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.post("/v1/claims", content=msgspec.json.encode(signed), headers=headers or self.admin)

    def receipt(self, result: dict[str, Any]) -> Receipt:
        """The receipt of a result, verified."""
        signed = msgspec.convert(result["receipt"], Signed)
        return verify(signed, self.gateway.receipt_key, Receipt)

    def entries(self, kind: Kind | None = None) -> list[Frame]:
        return entries(self.directory / "journal", kind)


def entries(directory: Path, kind: Kind | None = None) -> list[Frame]:
    """The journal's entries (of one kind)."""
    reader = LogReader(OsDisk(), str(directory))
    frames: list[Frame] = []
    position = reader.first()
    while more := reader.read(position, bytes_max=1 << 20):
        frames += more
        position = more[-1].next_position
    reader.close()
    return [f for f in frames if kind is None or f.kind == kind]


@contextmanager
def platform(
    directory: Path,
    *,
    disk: Disk | None = None,
    settings: GatewaySettings | None = None,
    sieve: Sieve | None = None,
) -> Iterator[Platform]:
    """A gateway that runs while the block does; its clock stands still at ``NOW_US``."""
    metrics = GatewayMetrics()
    journal = LocalJournal(disk or OsDisk(), f"{directory}/journal", on_sync_s=metrics.synced)
    gateway = Gateway(
        str(directory), journal, settings=settings, sieve=sieve, metrics=metrics, now_us=lambda: NOW_US
    )
    with start_blocking_portal() as portal:
        portal.call(gateway.start)
        try:
            yield Platform(gateway, journal, portal, directory)
        finally:
            portal.call(gateway.stop)
            journal.close()
