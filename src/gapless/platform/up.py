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
from typing import Any

from gapless.log.disk import OsDisk, write_atomically
from gapless.log.lock import DirectoryLock
from gapless.model.errors import Misconfigured
from gapless.platform.children import STALLED_S, Child
from gapless.platform.layout import url_path
from gapless.watchdog import LOOK_S_MAX

_BACKLOG = 1024
_STALLED_S_MAX = 3600.0


@dataclass(frozen=True)
class UpSettings:
    """``listen`` is HOST:PORT; port 0 takes a free one. Without TLS (both files, PEM) only a loopback
    address is listened on, unless ``insecure``. A process that finishes no step of its work for ``stalled_s``
    is killed and replaced; while it starts, it has twenty times as long."""

    directory: str
    listen: str = "127.0.0.1:8420"
    insecure: bool = False
    tls_certificate: str | None = None
    tls_key: str | None = None
    stalled_s: float = STALLED_S

    @property
    def tls(self) -> tuple[str, ...]:
        if self.tls_certificate is None or self.tls_key is None:
            return ()
        return (os.path.abspath(self.tls_certificate), os.path.abspath(self.tls_key))


def run(settings: UpSettings, announce: Callable[[str], None]) -> None:
    """Run the platform until SIGTERM or SIGINT. ``announce`` is told the URL once it serves.

    Raises Misconfigured for settings that cannot be, Unavailable if the directory is in use or a part of
    the platform cannot start.
    """
    host, port = _address(settings)
    directory = os.path.abspath(settings.directory)
    lock = DirectoryLock(directory)
    try:
        with _listener(host, port) as listener:
            asyncio.run(_supervise(settings, directory, host, listener, announce))
    finally:
        lock.close()


async def _supervise(
    settings: UpSettings,
    directory: str,
    host: str,
    listener: socket.socket,
    announce: Callable[[str], None],
) -> None:
    # The supervisor holds the socket: while the gateway is started again, connections wait.
    descriptor = listener.fileno()
    arguments = (directory, str(descriptor), *settings.tls)
    child = partial(Child, stalled_s=settings.stalled_s)
    children = [
        child("gateway", "gapless.platform.gateway_process", arguments, (descriptor,)),
        child("lake", "gapless.platform.lake_process", (directory,)),
        child("ledger", "gapless.platform.ledger_process", (directory,)),
    ]
    stopped = _stop_signal()
    keepers = [asyncio.create_task(child.keep()) for child in children]
    ready = asyncio.gather(*(child.ready.wait() for child in children))
    try:
        first: list[asyncio.Future[Any]] = [stopped, ready, *keepers]
        done, _ = await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if ready in done:
            url = _url(settings, host, listener)
            write_atomically(OsDisk(), url_path(directory), url.encode() + b"\n")
            announce(url)
            await asyncio.wait((stopped, *keepers), return_when=asyncio.FIRST_COMPLETED)
        for keeper in keepers:
            if keeper.done():
                keeper.result()
    finally:
        ready.cancel()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(ready, *keepers, return_exceptions=True)


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
    elif not (_is_loopback(host) or settings.tls or settings.insecure):
        faults.append(
            f"--listen {settings.listen} can be reached from elsewhere: give --tls-cert and --tls-key, or "
            "say --insecure"
        )
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        faults.append("--tls-cert and --tls-key go together: give both")
    # One look alone, after the supervisor was held up itself, must not be the end of a child.
    if not LOOK_S_MAX < settings.stalled_s <= _STALLED_S_MAX:
        faults.append(
            f"--stalled-s {settings.stalled_s:g} is no time to judge by: give more than {LOOK_S_MAX:g} "
            f"seconds, and at most {_STALLED_S_MAX:g}"
        )
    faults += [f"{path} cannot be read: name a PEM file" for path in settings.tls if not os.path.isfile(path)]
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


def _url(settings: UpSettings, host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls else 'http'}://{name}:{listener.getsockname()[1]}"
