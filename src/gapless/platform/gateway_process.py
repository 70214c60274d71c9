"""The process that speaks HTTP. Arguments: the supervisor's pid, the data directory, the descriptor of the
listening socket, and with TLS the files of certificate and key."""

from __future__ import annotations

import socket
import sys

import uvicorn

from gapless.model.errors import Corrupt, GaplessError, Misconfigured
from gapless.platform import logs
from gapless.platform.app import platform_app
from gapless.platform.children import say_ready
from gapless.process import GIVE_UP, die_with

#: How long requests under way may still take when the platform stops.
_GRACE_S = 5


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            say_ready()


def main(parent_pid: str, directory: str, descriptor: str, *tls: str) -> int:
    logs.configure()
    die_with(int(parent_pid))
    listener = socket.socket(fileno=int(descriptor))
    certificate, key = tls or (None, None)
    try:
        config = uvicorn.Config(
            platform_app(directory),
            http="httptools",
            loop="uvloop",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        server = _Server(config)
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
