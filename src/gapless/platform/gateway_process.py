"""The process that speaks HTTP. Arguments: the supervisor's pid, the data directory, the descriptor of the
listening socket, and with TLS the files of certificate and key, or one file with both.

It tells the supervisor of a step about every second: that the event loop turns, and that requests under way
end. A request that ends with "unavailable" has ended. So a disk that is full or fails, which shows in
``/healthz`` and to whoever sends, does not get the gateway killed: to start it again would mend nothing, and
would take away the answer. Requests of which none ever ends are another matter: something in here hangs.
"""

from __future__ import annotations

import socket
import sys

import msgspec
import uvicorn
from starlette.types import ASGIApp, Message

from gapless.gateway.gateway import Health
from gapless.gateway.settings import GatewaySettings
from gapless.model.errors import Corrupt, GaplessError, Misconfigured
from gapless.platform import logs
from gapless.platform.app import platform_app
from gapless.platform.children import say_ready, say_step
from gapless.platform.server_tls import ServerTls
from gapless.process import GIVE_UP, die_with

#: How long requests under way may still take when the platform stops.
_GRACE_S = 5
#: The server ticks ten times a second.
_TICKS_PER_LOOK = 10


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: ASGIApp, tls: ServerTls | None) -> None:
        super().__init__(config)
        self._app = app
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            say_ready()

    async def on_tick(self, counter: int) -> bool:
        # Ticks end when the server shuts down: if that hangs, it is noticed too.
        if counter % _TICKS_PER_LOOK == 0:
            if gets_on(await health(self._app)):
                say_step()
            if self._tls is not None:
                self._tls.renew()
        return await super().on_tick(counter)


async def health(app: ASGIApp) -> Health:
    """What ``/healthz`` says, asked as anybody asks it: through the application."""
    body = bytearray()

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        body.extend(message.get("body", b""))

    scope = {"type": "http", "method": "GET", "path": "/healthz", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    return msgspec.json.decode(body, type=Health)


def gets_on(health: Health) -> bool:
    """Whether what is under way ends, with whatever answer."""
    hanging_s = max(health.batches_stalled_s, health.claims_stalled_s, health.uploads_stalled_s)
    return hanging_s <= GatewaySettings().stuck_after_s


def main(parent_pid: str, directory: str, descriptor: str, *tls: str) -> int:
    logs.configure()
    die_with(int(parent_pid))
    listener = socket.socket(fileno=int(descriptor))
    try:
        secured = ServerTls(*tls) if tls else None
        app = platform_app(directory)
        config = uvicorn.Config(
            app,
            http="httptools",
            loop="uvloop",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            ssl_context_factory=None if secured is None else lambda *_: secured.context,
        )
        server = _Server(config, app, secured)
        server.run(sockets=[listener])
    except GaplessError as error:
        print(f"gapless: {error}", file=sys.stderr)
        return GIVE_UP if isinstance(error, (Misconfigured, Corrupt)) else 1
    except OSError as error:
        print(f"gapless: the gateway cannot start: {error}", file=sys.stderr)
        return GIVE_UP
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
