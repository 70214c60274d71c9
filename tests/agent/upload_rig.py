"""A gateway that misbehaves on demand, a spool with batches in it, and a channel without a supervisor."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from spool_rig import STREAM, opened

from gapless.agent.acks import AckReader, Acks, Outcome
from gapless.agent.channel import Report, Stopped
from gapless.agent.config import GatewaySection
from gapless.agent.dispatch import UploadSettings
from gapless.agent.follow import Spooled, SpoolView
from gapless.agent.layout import acks_directory, spool_directory
from gapless.agent.spool import Times
from gapless.agent.spool_settings import SpoolSettings
from gapless.log.disk import Disk, OsDisk
from gapless.log.frame import DAMAGED, decode_all
from gapless.log.segments import LogReader
from gapless.model.batch import BatchHeader, payload_digest
from gapless.model.receipt import Receipt
from gapless.model.signing import Signer

SIGNER = Signer(b"1" * 32)
OTHER = Signer(b"2" * 32)
QUICK = UploadSettings(
    io_timeout_s=0.25,
    connect_timeout_s=0.25,
    attempt_s_max=2.0,
    retry_min_s=0.01,
    retry_max_s=0.1,
    failback_s=0.2,
)


def result(header: BatchHeader | Spooled, signer: Signer = SIGNER, **other: Any) -> dict[str, Any]:
    """The gateway's answer for a batch that it journaled."""
    fields: dict[str, Any] = {
        "stream": header.stream,
        "epoch": header.epoch,
        "first": header.first,
        "next": header.next,
        "digest": header.digest,
        "position": 0,
        "journaled_us": 1,
    }
    signed = signer.sign(Receipt(**(fields | other)))
    return answer("receipt", header) | {"receipt": msgspec.to_builtins(signed)}


def answer(status: str, header: BatchHeader | Spooled, **more: str) -> dict[str, Any]:
    identity = {"stream": header.stream.id, "epoch": header.epoch, "first": header.first, "next": header.next}
    return {"status": status} | identity | more


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Gateway

    def do_GET(self) -> None:
        self.server.asked_key += 1
        self.reply(200, {"receipt": {"algorithm": "Ed25519", "public_key": self.server.signer.public_key}})

    def do_POST(self) -> None:
        server = self.server
        with server.lock:
            server.requests += 1
            behave = server.plan.popleft() if server.plan else server.usual
        behave(self)

    def headers_of_body(self) -> list[BatchHeader]:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = []
        for frame in decode_all(body, frames_max=1000):
            header = msgspec.json.decode(frame.meta, type=BatchHeader)
            assert payload_digest(frame.body) == header.digest
            headers.append(header)
        return headers

    def reply(self, status: int, content: Any, **headers: str) -> None:
        body = content if isinstance(content, bytes) else msgspec.json.encode(content)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


Behaviour = Callable[[Handler], None]


class Gateway(ThreadingHTTPServer):
    """Each POST takes the next behaviour of ``plan``, or else the ``usual`` one."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.lock = threading.Lock()
        self.plan: deque[Behaviour] = deque()
        self.usual: Behaviour = good
        self.signer = SIGNER
        self.token = "secret"
        self.requests = 0
        self.asked_key = 0
        self.connections = 0
        self.journaled: dict[str, int] = {}
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients go away in the middle


def good(handler: Handler) -> None:
    headers = handler.headers_of_body()
    server = handler.server
    if handler.headers["Authorization"] != f"Bearer {server.token}":
        handler.reply(401, {"error": {"code": "token", "text": "not with this token"}})
        return
    with server.lock:
        for header in headers:
            server.journaled[header.digest] = server.journaled.get(header.digest, 0) + 1
    handler.reply(200, {"results": [result(header, server.signer) for header in headers]})


def silent(handler: Handler) -> None:
    """Accepts, and never answers."""
    handler.headers_of_body()
    handler.server.closing.wait(10)
    handler.close_connection = True


def dripping(handler: Handler) -> None:
    """A byte now and then, and never the end."""
    handler.headers_of_body()
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while not handler.server.closing.wait(0.05):
        handler.wfile.write(b"x")


def broken_off(handler: Handler) -> None:
    """Journals, and closes in the middle of the answer."""
    headers = handler.headers_of_body()
    body = msgspec.json.encode({"results": [result(header) for header in headers]})
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[: len(body) // 2])
    handler.close_connection = True


def hung_up(handler: Handler) -> None:
    """Closes without reading."""
    handler.close_connection = True


def slow_reader(handler: Handler) -> None:
    """Reads a little at a time, each in time; then answers as it should."""
    rfile, left = handler.rfile, int(handler.headers["Content-Length"])
    pieces = []
    while left:
        pieces.append(rfile.read(min(left, 60_000)))
        left -= len(pieces[-1])
        handler.server.closing.wait(0.005)
    handler.rfile = SimpleNamespace(read=lambda _: b"".join(pieces))  # type: ignore[assignment]
    good(handler)
    handler.rfile = rfile


def says(status: int, content: Any = b"", **headers: str) -> Behaviour:
    def behave(handler: Handler) -> None:
        handler.headers_of_body()
        handler.reply(status, content, **headers)

    return behave


def answers(make: Callable[[list[BatchHeader]], list[dict[str, Any]]]) -> Behaviour:
    """200 with the results that ``make`` gives for the request's batches."""

    def behave(handler: Handler) -> None:
        handler.reply(200, {"results": make(handler.headers_of_body())})

    return behave


@contextmanager
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Rig:
    """A data directory whose spool holds batches."""

    def __init__(self, directory: Path, disk: Disk | None = None) -> None:
        self.directory = str(directory)
        self.disk = disk or OsDisk()
        self._mints = count(1)
        settings = SpoolSettings(size_bytes_max=64 << 20, segment_bytes_max=8 << 20, free_bytes_min=0)
        self.spool = opened(self.disk, self._mints, settings, directory=spool_directory(self.directory))
        self.token_file = directory / "token"
        if disk is None:
            self.token_file.write_text("secret\n")

    def add(self, batches: int, payload_bytes: int = 10) -> None:
        for _ in range(batches):
            payload = f"{next(self._mints)}".encode().ljust(payload_bytes, b".")
            self.spool.add_batch(
                STREAM, payload, raw_bytes=100, count=10, parts=(), marks=(), cursors=(), times=Times(3, 4)
            )
        self.spool.commit()

    def batches(self) -> list[Spooled]:
        view = SpoolView(self.disk, spool_directory(self.directory))
        view.follow_all()
        view.close()
        return view.batches

    def acks(self) -> Acks:
        reader = AckReader(self.disk, acks_directory(self.directory))
        acks = reader.follow()
        reader.close()
        return acks

    def outcomes(self) -> list[Outcome]:
        """Every outcome that was ever written, in order."""
        reader = LogReader(self.disk, acks_directory(self.directory))
        frames = reader.read(reader.first(), bytes_max=1 << 26)
        reader.close()
        assert all(frame.kind != DAMAGED for frame in frames)
        return [msgspec.json.decode(frame.meta, type=Outcome) for frame in frames if frame.kind > 1]

    def settled(self) -> bool:
        acks = self.acks()
        return all(acks.of(batch) is not None for batch in self.batches())

    def config(self, *urls: str, upload: UploadSettings = QUICK, receipt_key: str = SIGNER.public_key) -> Any:
        return SimpleNamespace(
            agent=SimpleNamespace(data_dir=self.directory),
            gateway=GatewaySection(urls=urls, token_file=str(self.token_file), receipt_key=receipt_key),
            upload=upload,
        )


class LooseChannel:
    """A channel that the test holds the other end of."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.stopped = False
        self.last = Report()

    def wait(self, timeout_s: float) -> bool:
        if self.stopped:
            raise Stopped
        return False

    def report(self, report: Report) -> None:
        self.last = report
