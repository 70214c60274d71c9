"""Connections with deadlines on everything.

http.client does the HTTP. The sockets under it look at two deadlines before each operation: some bytes
within ``io_timeout_s``, and everything within ``attempt_s_max``; so a peer that gives a byte now and then
is no different from one that gives none. Only looking up a name is left to the system's own timeouts.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from gapless.agent.dispatch import UploadSettings
from gapless.model.errors import Misconfigured
from gapless.tls import client_context, tls_failure

#: What may stand in a socket, handed over and not yet arrived: little enough to go through a slow line
#: while its answer is waited for, else a large request could never end well there.
_SOCKET_BYTES = 128 << 10


class Unreachable(Exception):
    """No connection came about."""


class Deadline:
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

    deadline: Deadline

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


class Connection(http.client.HTTPConnection):
    """Connects to the addresses of a name in turn, when it is told to."""

    auto_open = 0
    sock: Any  # a _PlainSocket or a _TlsSocket, or None
    deadline: Deadline

    def __init__(self, host: str, port: int, ca_file: str | None) -> None:
        """With TLS if ``ca_file`` is a text; see ``tls.client_context``."""
        super().__init__(host, port)
        self._ca_file = ca_file
        self.since_s = time.monotonic()

    def arm(self, deadline: Deadline) -> None:
        """This deadline holds from now on."""
        self.deadline = deadline
        if self.sock is not None:
            self.sock.deadline = deadline
            deadline.arm(self.sock)

    def connect(self) -> None:
        """All addresses and TLS together must do within ``io_timeout_s``. Raises Unreachable."""
        by_s = time.monotonic() + self.deadline.settings.io_timeout_s
        try:
            self.sock = self._opened(by_s)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._ca_file is not None:
                context = client_context(self._ca_file)
                context.sslsocket_class = _TlsSocket
                self.sock.settimeout(self._left_s(by_s))
                self.sock = context.wrap_socket(self.sock, server_hostname=self.host)
            self.arm(self.deadline)
        except (OSError, ValueError, Misconfigured) as error:  # ssl: certificates, names that cannot be one
            self.close()
            raise Unreachable(reason_of(error)) from error

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


def connection_to(url: str, ca_file: str = "") -> Connection:
    """Not connected yet. Raises ValueError for what is no URL."""
    parts = urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (http.client.HTTPS_PORT if tls else http.client.HTTP_PORT)
    return Connection(host, port, ca_file if tls else None)


def reason_of(error: Exception) -> str:
    """Why it failed, in words."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    failure = tls_failure(error, "gateway.ca_file")
    return failure or getattr(error, "strerror", None) or str(error) or type(error).__name__
