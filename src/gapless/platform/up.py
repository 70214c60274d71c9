"""``gapless up``: one supervisor, and under it the processes of the platform."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import structlog

from gapless.log.disk import OsDisk, write_atomically
from gapless.log.lock import DirectoryLock
from gapless.model.errors import GaplessError, Misconfigured
from gapless.platform.certificates import provide
from gapless.platform.children import STALLED_S, Child
from gapless.platform.layout import ca_path, url_path
from gapless.platform.server_names import Names, names_for, names_in, own_address, public_name
from gapless.watchdog import LOOK_S_MAX

_BACKLOG = 1024
_STALLED_S_MAX = 3600.0
_RENEW_EVERY_S = 3600.0

_log = structlog.get_logger("gapless.platform")


@dataclass(frozen=True)
class UpSettings:
    """``listen`` is HOST:PORT; port 0 takes a free one. Without TLS only a loopback address is listened on,
    unless ``insecure``. TLS is with a certificate and key of the caller's (both files, PEM), or with ``tls``
    by a CA of the platform's own, for the names that it finds and ``tls_names``. A process that finishes no
    step of its work for ``stalled_s`` is killed and replaced; while it starts, it has twenty times as
    long."""

    directory: str
    listen: str = "127.0.0.1:8420"
    insecure: bool = False
    tls: bool = False
    tls_names: tuple[str, ...] = ()
    tls_certificate: str | None = None
    tls_key: str | None = None
    stalled_s: float = STALLED_S

    @property
    def tls_files(self) -> tuple[str, ...]:
        """The caller's own certificate and key."""
        if self.tls_certificate is None or self.tls_key is None:
            return ()
        return (os.path.abspath(self.tls_certificate), os.path.abspath(self.tls_key))


class Serving(NamedTuple):
    """Where the platform serves; ``ca`` is the file that its clients have to trust, "" if it is not by a CA
    of the platform's own."""

    url: str
    ca: str


class _Endpoint(NamedTuple):
    """The socket, and how it is reached: by its clients, and by the platform's own processes. ``tls`` are
    the files of the certificate, none without TLS."""

    listener: socket.socket
    tls: tuple[str, ...]
    url: str
    own_url: str


def run(settings: UpSettings, announce: Callable[[Serving], None]) -> None:
    """Run the platform until SIGTERM or SIGINT. ``announce`` is told where, once it serves.

    Raises Misconfigured for settings that cannot be, Unavailable if the directory is in use or a part of
    the platform cannot start.
    """
    host, port = _address(settings)
    directory = os.path.abspath(settings.directory)
    lock = DirectoryLock(directory)
    try:
        with _listener(host, port) as listener:
            names = names_for(host, settings.tls_names) if settings.tls else None
            tls = (provide(directory, names),) if names else settings.tls_files
            endpoint = _endpoint(listener, host, tls)
            asyncio.run(_supervise(settings, directory, endpoint, names, announce))
    finally:
        lock.close()


async def _supervise(
    settings: UpSettings,
    directory: str,
    endpoint: _Endpoint,
    names: Names | None,
    announce: Callable[[Serving], None],
) -> None:
    # The supervisor holds the socket: while the gateway is started again, connections wait.
    descriptor = endpoint.listener.fileno()
    arguments = (directory, str(descriptor), *endpoint.tls)
    child = partial(Child, stalled_s=settings.stalled_s)
    children = [
        child("gateway", "gapless.platform.gateway_process", arguments, (descriptor,)),
        child("lake", "gapless.platform.lake_process", (directory,)),
        child("ledger", "gapless.platform.ledger_process", (directory, endpoint.own_url)),
    ]
    stopped = _stop_signal()
    keepers = [asyncio.create_task(child.keep()) for child in children]
    if names:
        keepers.append(asyncio.create_task(_renew(directory, names)))
    ready = asyncio.gather(*(child.ready.wait() for child in children))
    try:
        first: list[asyncio.Future[Any]] = [stopped, ready, *keepers]
        done, _ = await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if ready in done:
            write_atomically(OsDisk(), url_path(directory), endpoint.url.encode() + b"\n")
            announce(Serving(endpoint.url, ca_path(directory) if names else ""))
            await asyncio.wait((stopped, *keepers), return_when=asyncio.FIRST_COMPLETED)
        for keeper in keepers:
            if keeper.done():
                keeper.result()
    finally:
        ready.cancel()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(ready, *keepers, return_exceptions=True)


async def _renew(directory: str, names: Names) -> None:
    """Replace the server's certificate before its end; the gateway looks at the file by itself."""
    while True:
        await asyncio.sleep(_RENEW_EVERY_S)
        try:
            await asyncio.to_thread(provide, directory, names)
        except GaplessError as error:
            _log.error("certificate_not_renewed", error=str(error), retry_in_s=_RENEW_EVERY_S)


def _stop_signal() -> asyncio.Future[None]:
    """Done when the platform is told to stop."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopped.done():
            stopped.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopped


def _address(settings: UpSettings) -> tuple[str, int]:
    host, colon, port = settings.listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    faults = []
    if not (host and colon and port.isascii() and port.isdigit() and int(port) < 1 << 16):
        faults.append(f"--listen {settings.listen} is not HOST:PORT: write for example 127.0.0.1:8420")
    elif not (_is_loopback(host) or settings.tls or settings.tls_files or settings.insecure):
        faults.append(
            f"--listen {settings.listen} can be reached from elsewhere: give --tls, or --tls-cert and "
            "--tls-key, or say --insecure"
        )
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        faults.append("--tls-cert and --tls-key go together: give both")
    if settings.tls and settings.tls_files:
        faults.append("--tls makes a certificate, and --tls-cert names one: give one of them")
    if settings.tls_names and not settings.tls:
        faults.append("--tls-name is for the certificate that --tls makes: give that too")
    # One look alone, after the supervisor was held up itself, must not be the end of a child.
    if not LOOK_S_MAX < settings.stalled_s <= _STALLED_S_MAX:
        faults.append(
            f"--stalled-s {settings.stalled_s:g} is no time to judge by: give more than {LOOK_S_MAX:g} "
            f"seconds, and at most {_STALLED_S_MAX:g}"
        )
    faults += [
        f"{path} cannot be read: name a PEM file" for path in settings.tls_files if not os.path.isfile(path)
    ]
    if faults:
        raise Misconfigured(faults)
    return host, int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Misconfigured(
            [f"cannot listen on {host}:{port} ({error.strerror}): choose another --listen"]
        ) from error


def _endpoint(listener: socket.socket, host: str, tls: tuple[str, ...]) -> _Endpoint:
    port = listener.getsockname()[1]
    scheme = "https" if tls else "http"
    own = own_address(listener)
    named = public_name(host, own, names_in(tls[0]) if tls else ())
    return _Endpoint(
        listener, tls, f"{scheme}://{_in_url(named)}:{port}", f"{scheme}://{_in_url(own)}:{port}"
    )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
