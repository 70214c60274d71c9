"""A gateway under uvicorn, for tests that kill it. Arguments: directory, file to write the port to."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from gapless.gateway.gateway import Gateway
from gapless.gateway.routes import ingest_routes
from gapless.journal.local import LocalJournal
from gapless.log.disk import OsDisk


def main(directory: str, port_file: str) -> None:
    journal = LocalJournal(OsDisk(), f"{directory}/journal", segment_bytes_max=200_000)
    gateway = Gateway(directory, journal)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await gateway.start()
        Path(port_file + ".new").write_text(str(listener.getsockname()[1]))
        Path(port_file + ".new").rename(port_file)
        yield
        await gateway.stop()

    listener = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=ingest_routes(gateway), lifespan=lifespan)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=5))
    server.run(sockets=[listener])
    journal.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
