"""One attempt to hand over batches: a request, its deadlines, and what became of it.

http.client does the HTTP. The sockets under it look at two deadlines before each operation: some bytes
within ``io_timeout_s``, and everything within ``attempt_s_max``; so a peer that gives a byte now and then
is no different from one that gives none. Only looking up a name is left to the system's own timeouts.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from gapless.agent.dispatch import Answer, UploadSettings
from gapless.log.disk import Buffer

#: What is read of an answer at most: some 3 KB for each of the batches that a gateway takes at a time.
ANSWER_BYTES_MAX = 4 << 20
#: Offered to a socket at a time; it takes what it has room for. The more it finds, the less often the gateway
#: is woken: 64 KiB cost it a fifth more.
_SEND_BYTES = 256 << 10
#: What may stand in a socket, handed over and not yet arrived: little enough to go through a slow line
#: while its answer is waited for, else a large request could never end well there.
_SOCKET_BYTES = 128 << 10
_RETRY_AFTER_S = 1.0
_TEXT_CHARACTERS_MAX = 300

#: What an attempt met.
#:   answers      every batch, or some, has an answer
#:   busy         the gateway takes nothing from us for ``retry_after_s``
#:   denied       the URL or the token is wrong: nothing sent there would be taken
#:   failed       no answer to go by; be it the gateway's fault, or that of what was sent
#:   unreachable  nothing was sent
Met = Literal["answers", "busy", "denied", "failed", "unreachable"]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt; see ``Met``. ``status`` is HTTP's, 0 where there is none; ``error`` says
    what is wrong, with the URL. ``key`` is the platform's receipt key, where that was asked for."""

    met: Met
    status: int = 0
    answers: tuple[Answer, ...] = ()
    key: str = ""
    retry_after_s: float = 0.0
    error: str = ""


class Transport(Protocol):
    """Sends; one thread's own. Nothing is raised for what a network or a peer may do."""

    @property
    def sent_bytes(self) -> int:
        """Bytes handed to sockets so far. Any thread may look."""

    def post(self, url: str, token: str, frames: Sequence[Buffer]) -> Reply:
        """``POST /v1/batches``. ``frames`` are sent one after the other."""

    def receipt_key(self, url: str) -> Reply:
        """``GET /v1/keys``."""

    def close(self) -> None: ...


class _Results(msgspec.Struct):
    results: tuple[Answer, ...]


class _Key(msgspec.Struct):
    public_key: str


class _Keys(msgspec.Struct):
    receipt: _Key


class _Failure(msgspec.Struct):
    code: str
    text: str


class _NotDone(msgspec.Struct):
    error: _Failure


class HttpTransport:
    """Over HTTP/1.1 or HTTPS (certificates as the system has them; SSL_CERT_FILE names others).

    A connection is used again while it works, and for ``reresolve_s`` at most; then the host's name is
    looked up again.
    """

    def __init__(self, settings: UploadSettings) -> None:
        self._settings = settings
        self._connection: _Connection | None = None
        self._url = ""
        self._sent_bytes = 0

    @property
    def sent_bytes(self) -> int:
        return self._sent_bytes

    def post(self, url: str, token: str, frames: Sequence[Buffer]) -> Reply:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
        reply, data = self._exchange(url, "POST", "/v1/batches", headers, frames)
        if reply.met != "answers":
            return reply
        try:
            return msgspec.structs.replace(reply, answers=msgspec.json.decode(data, type=_Results).results)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return _not_understood(url, reply.status)

    def receipt_key(self, url: str) -> Reply:
        reply, data = self._exchange(url, "GET", "/v1/keys", {}, ())
        if reply.met != "answers":
            return reply
        try:
            return msgspec.structs.replace(
                reply, key=msgspec.json.decode(data, type=_Keys).receipt.public_key
            )
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return _not_understood(url, reply.status)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(
        self, url: str, method: str, path: str, headers: dict[str, str], frames: Sequence[Buffer]
    ) -> tuple[Reply, bytes]:
        deadline = _Deadline(self._settings)
        try:
            used = self._prepare(url, deadline)
            try:
                return self._request(url, method, path, headers, frames)
            except ConnectionError:
                if not used:
                    raise
            # A connection that was idle may have been closed just then: the same batch again is never
            # taken for another, so once more on a fresh one costs nothing.
            self._connect(url, deadline)
            return self._request(url, method, path, headers, frames)
        except _Unreachable as error:
            self.close()
            return Reply(met="unreachable", error=f"{url} cannot be reached ({error})"), b""
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            return Reply(met="failed", error=f"no answer from {url} ({_reason(error)})"), b""

    def _prepare(self, url: str, deadline: _Deadline) -> bool:
        """Have a connection to ``url``; whether it was used before."""
        known = self._connection
        usable = known is not None and known.sock is not None and url == self._url
        if known is not None and usable and time.monotonic() - known.since_s < self._settings.reresolve_s:
            known.arm(deadline)
            return True
        self._connect(url, deadline)
        return False

    def _connect(self, url: str, deadline: _Deadline) -> None:
        self.close()
        self._connection = _connection(url)
        self._connection.arm(deadline)
        self._connection.connect()
        self._url = url

    def _request(
        self, url: str, method: str, path: str, headers: dict[str, str], frames: Sequence[Buffer]
    ) -> tuple[Reply, bytes]:
        connection = self._connection
        assert connection is not None
        connection.putrequest(method, urlsplit(url).path.rstrip("/") + path)
        for name, value in headers.items():
            connection.putheader(name, value)
        if method == "POST":
            connection.putheader("Content-Length", str(sum(len(frame) for frame in frames)))
        connection.endheaders()
        self._send(connection, frames)
        response = connection.getresponse()
        data = response.read(ANSWER_BYTES_MAX)
        if not response.isclosed():  # longer than any answer is
            self.close()
        return _reply(url, response, data), data

    def _send(self, connection: _Connection, frames: Sequence[Buffer]) -> None:
        try:
            for frame in frames:
                view = memoryview(frame)
                while view:
                    sent = connection.sock.send(view[:_SEND_BYTES])
                    self._sent_bytes += sent
                    view = view[sent:]
        except ConnectionError:
            # It may have answered without reading all of it: a refusal is worth more than "closed".
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_WR)


def _reply(url: str, response: http.client.HTTPResponse, data: bytes) -> Reply:
    status = response.status
    if 200 <= status < 300:
        return Reply(met="answers", status=status)
    error = f"{url} answers {status}: {_text(data)}"
    if status == 429:
        after = response.headers.get("Retry-After", "").strip()
        seconds = float(after) if after.isdecimal() and len(after) < 10 else _RETRY_AFTER_S
        return Reply(met="busy", status=status, retry_after_s=seconds, error=error)
    # 403 is about the batches that were sent: the token may be good for others.
    denied = status in (401, 404, 405) or status < 400
    return Reply(met="denied" if denied else "failed", status=status, error=error)


def _not_understood(url: str, status: int) -> Reply:
    return Reply(
        met="failed", status=status, error=f"what {url} answers is not a gateway's answer: see what listens"
    )


def _text(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=_NotDone).error.text[:_TEXT_CHARACTERS_MAX]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return "without a reason"


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class _Unreachable(Exception):
    """No connection came about."""


class _Deadline:
    """When one attempt must be over."""

    def __init__(self, settings: UploadSettings) -> None:
        self.settings = settings
        self._ends_s = time.monotonic() + settings.attempt_s_max

    def left_s(self, most_s: float) -> float:
        """How long the next operation may take. Raises TimeoutError when there is no time left."""
        left_s = min(most_s, self._ends_s - time.monotonic())
        if left_s <= 0:
            raise TimeoutError("the attempt took too long")
        return left_s

    def arm(self, sock: socket.socket) -> None:
        """Set how long the socket's next operation may take."""
        sock.settimeout(self.left_s(self.settings.io_timeout_s))


class _Watched:
    """A socket that looks at its deadline before it waits."""

    deadline: _Deadline

    def recv_into(self, *arguments: Any) -> int:
        self.deadline.arm(self)  # type: ignore[arg-type]
        return super().recv_into(*arguments)  # type: ignore[misc, no-any-return]

    def send(self, *arguments: Any) -> int:
        self.deadline.arm(self)  # type: ignore[arg-type]
        return super().send(*arguments)  # type: ignore[misc, no-any-return]


class _PlainSocket(_Watched, socket.socket):
    pass


class _TlsSocket(_Watched, ssl.SSLSocket):
    pass


class _Connection(http.client.HTTPConnection):
    """Connects to the addresses of a name in turn, when it is told to."""

    auto_open = 0
    tls = False
    sock: Any  # a _PlainSocket or a _TlsSocket, or None
    deadline: _Deadline

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.since_s = time.monotonic()

    def arm(self, deadline: _Deadline) -> None:
        """This deadline holds from now on."""
        self.deadline = deadline
        if self.sock is not None:
            self.sock.deadline = deadline
            deadline.arm(self.sock)

    def connect(self) -> None:
        """All addresses and TLS together must do within ``io_timeout_s``. Raises _Unreachable."""
        by_s = time.monotonic() + self.deadline.settings.io_timeout_s
        try:
            self.sock = self._opened(by_s)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                self.sock.settimeout(self._left_s(by_s))
                self.sock = _tls_context().wrap_socket(self.sock, server_hostname=self.host)
            self.arm(self.deadline)
        except (OSError, ValueError) as error:  # ssl: certificates, names that cannot be one
            self.close()
            raise _Unreachable(_reason(error)) from error

    def _opened(self, by_s: float) -> socket.socket:
        refused = OSError("its name has no address")
        addresses = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in addresses:
            sock = _PlainSocket(family, kind, protocol)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
                sock.settimeout(self._left_s(by_s))
                sock.connect(address)
                return sock
            except OSError as error:
                refused = error
                sock.close()
        raise refused

    def _left_s(self, by_s: float) -> float:
        most_s = min(self.deadline.settings.connect_timeout_s, by_s - time.monotonic())
        return self.deadline.left_s(most_s)


class _TlsConnection(_Connection):
    default_port = http.client.HTTPS_PORT
    tls = True


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.sslsocket_class = _TlsSocket
    return context


def _connection(url: str) -> _Connection:
    """Not connected yet. Raises ValueError for what is no URL."""
    parts = urlsplit(url)
    kind = _TlsConnection if parts.scheme == "https" else _Connection
    return kind(parts.hostname or "", parts.port or kind.default_port)
