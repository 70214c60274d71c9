"""One attempt to hand over batches: a request, and what became of it."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from gapless.agent.dispatch import Answer, UploadSettings
from gapless.agent.wire import Connection, Deadline, Unreachable, connection_to, reason_of
from gapless.log.disk import Buffer
from gapless.model.errors import UNDECODABLE

#: What is read of an answer at most: some 3 KB for each of the batches that a gateway takes at a time.
ANSWER_BYTES_MAX = 4 << 20
#: Offered to a socket at a time; it takes what it has room for. The more it finds, the less often the gateway
#: is woken: 64 KiB cost it a fifth more.
_SEND_BYTES = 256 << 10
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

    def post(self, url: str, token: str, frames: Sequence[Buffer], ca_file: str = "") -> Reply:
        """``POST /v1/batches``. ``frames`` are sent one after the other. For ``ca_file`` see
        ``tls.client_context``."""

    def receipt_key(self, url: str, ca_file: str = "") -> Reply:
        """``GET /v1/keys``."""

    def close(self) -> None: ...


class Response(NamedTuple):
    """What was answered, by whomever. ``retry_after`` is the header's, empty without one."""

    status: int
    retry_after: str
    data: bytes


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
    """Over HTTP/1.1 or HTTPS.

    A connection is used again while it works, and for ``reresolve_s`` at most; then the host's name is
    looked up again.
    """

    def __init__(self, settings: UploadSettings) -> None:
        self._settings = settings
        self._connection: Connection | None = None
        self._peer = ("", "")  # its URL, and who vouches for it
        self._sent_bytes = 0

    @property
    def sent_bytes(self) -> int:
        return self._sent_bytes

    def post(self, url: str, token: str, frames: Sequence[Buffer], ca_file: str = "") -> Reply:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
        met = self._exchange((url, ca_file), "POST", "/v1/batches", headers, frames)
        return met if isinstance(met, Reply) else batches_reply(url, met)

    def receipt_key(self, url: str, ca_file: str = "") -> Reply:
        met = self._exchange((url, ca_file), "GET", "/v1/keys", {}, ())
        return met if isinstance(met, Reply) else key_reply(url, met)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(
        self,
        peer: tuple[str, str],
        method: str,
        path: str,
        headers: dict[str, str],
        frames: Sequence[Buffer],
    ) -> Response | Reply:
        """What was answered, or what became of it instead."""
        deadline = Deadline(self._settings)
        url, _ = peer
        try:
            used = self._prepare(peer, deadline)
            try:
                return self._request(url, method, path, headers, frames)
            except ConnectionError:
                if not used:
                    raise
            # A connection that was idle may have been closed just then: the same batch again is never
            # taken for another, so once more on a fresh one costs nothing.
            self._connect(peer, deadline)
            return self._request(url, method, path, headers, frames)
        except Unreachable as error:
            self.close()
            return unreachable(url, str(error))
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            return unanswered(url, reason_of(error))

    def _prepare(self, peer: tuple[str, str], deadline: Deadline) -> bool:
        """Have a connection to ``peer``; whether it was used before."""
        known = self._connection
        usable = known is not None and known.sock is not None and peer == self._peer
        if known is not None and usable and time.monotonic() - known.since_s < self._settings.reresolve_s:
            known.arm(deadline)
            return True
        self._connect(peer, deadline)
        return False

    def _connect(self, peer: tuple[str, str], deadline: Deadline) -> None:
        self.close()
        self._connection = connection_to(*peer)
        self._connection.arm(deadline)
        self._connection.connect()
        self._peer = peer

    def _request(
        self, url: str, method: str, path: str, headers: dict[str, str], frames: Sequence[Buffer]
    ) -> Response:
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
        return Response(response.status, response.headers.get("Retry-After", ""), data)

    def _send(self, connection: Connection, frames: Sequence[Buffer]) -> None:
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


def batches_reply(url: str, response: Response) -> Reply:
    """What a response to batches means."""
    if refused := _refused(url, response):
        return refused
    try:
        results = msgspec.json.decode(response.data, type=_Results).results
    except UNDECODABLE:
        return _not_understood(url, response.status)
    return Reply(met="answers", status=response.status, answers=results)


def key_reply(url: str, response: Response) -> Reply:
    """What a response to the question for the receipt key means."""
    if refused := _refused(url, response):
        return refused
    try:
        key = msgspec.json.decode(response.data, type=_Keys).receipt.public_key
    except UNDECODABLE:
        return _not_understood(url, response.status)
    return Reply(met="answers", status=response.status, key=key)


def unreachable(url: str, reason: str) -> Reply:
    """Nothing was sent."""
    return Reply(met="unreachable", error=f"{url} cannot be reached ({reason})")


def unanswered(url: str, reason: str) -> Reply:
    """It was sent, as far as anybody knows."""
    return Reply(met="failed", error=f"no answer from {url} ({reason})")


def _refused(url: str, response: Response) -> Reply | None:
    status = response.status
    if 200 <= status < 300:
        return None
    error = f"{url} answers {status}: {_text(response.data)}"
    if status == 429:
        after = response.retry_after.strip()
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
    except UNDECODABLE:
        return "without a reason"
