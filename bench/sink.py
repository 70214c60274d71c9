"""A TCP server that reads and throws away: what syslog-ng is measured against.

python -m bench.sink FILE       prints its port; FILE holds how many bytes came, renewed as they come
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

_TOLD_EVERY_S = 0.1


def main(path: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    peer, _ = listener.accept()
    peer.settimeout(_TOLD_EVERY_S)
    buffer, size, told_s = bytearray(1 << 20), 0, 0.0
    while True:
        try:
            got = peer.recv_into(buffer)
        except TimeoutError:
            got = -1
        if got == 0:
            return
        size += max(got, 0)
        if got < 0 or time.monotonic() - told_s >= _TOLD_EVERY_S:
            Path(path).write_text(str(size))
            told_s = time.monotonic()


if __name__ == "__main__":
    main(sys.argv[1])
