"""The platform of an act as one process, which ends with the drill. Arguments: the drill's pid, the data
directory, and ``books`` or ``no-books``.

With books it is what ``gapless up`` runs. Without, it is what there was in 2024: records are taken in, kept
and answered for, but nobody counts them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys

from gapless.model.errors import GaplessError
from gapless.platform import logs, up
from gapless.platform.children import Child
from gapless.process import die_with

_LISTEN = "127.0.0.1:0"  # a free port


def main(parent_pid: str, directory: str, books: str) -> int:
    die_with(int(parent_pid))
    logs.configure()
    try:
        if books == "books":
            up.run(up.UpSettings(directory, _LISTEN), lambda serving: _announce(serving.url))
        else:
            asyncio.run(_without_books(directory))
    except GaplessError as error:
        print(f"gapless: {error}", file=sys.stderr)
        return 1
    return 0


def _announce(url: str) -> None:
    print(f"ready {url}", flush=True)


async def _without_books(directory: str) -> None:
    """Gateway and lake, the same as ever, and no ledger beside them; until SIGTERM or SIGINT."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    stopped = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        children = (
            Child("gateway", "gapless.platform.gateway_process", (directory, str(descriptor)), (descriptor,)),
            Child("lake", "gapless.platform.lake_process", (directory,)),
        )
        async with asyncio.TaskGroup() as keeping:
            keepers = [keeping.create_task(child.keep()) for child in children]
            for child in children:
                await child.ready.wait()
            # Before this, a signal ends the process at once, and its children with it.
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stopped.set)
            _announce(f"http://127.0.0.1:{listener.getsockname()[1]}")
            await stopped.wait()
            for keeper in keepers:
                keeper.cancel()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
