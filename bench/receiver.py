"""A gateway that does nothing but answer: reads a request, signs a receipt for each frame, keeps nothing.

python -m bench.receiver       prints its port
"""

from __future__ import annotations

import socketserver
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from gapless.log.frame import decode_all
from gapless.model.batch import BatchHeader
from gapless.model.receipt import Receipt
from gapless.model.signing import Signer

_SIGNER = Signer(bytes(32))
_FRAMES_MAX = 1000


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"receipt": {"public_key": _SIGNER.public_key}})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/claims"):
            self._answer({"losses": [], "fenced": []})
        else:
            self._answer({"results": [_result(bytes(frame.meta)) for frame in _frames(body)]})

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, message: object) -> None:
        data = msgspec.json.encode(message)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n"
        self.wfile.write(head.encode() + data)


def _frames(body: bytes) -> list:  # type: ignore[type-arg]
    return list(decode_all(body, frames_max=_FRAMES_MAX))


def _result(meta: bytes) -> dict[str, object]:
    header = msgspec.json.decode(meta, type=BatchHeader)
    receipt = Receipt(
        stream=header.stream,
        epoch=header.epoch,
        first=header.first,
        next=header.next,
        digest=header.digest,
        position=0,
        journaled_us=time.time_ns() // 1000,
    )
    return {
        "status": "receipt",
        "stream": header.stream.id,
        "epoch": header.epoch,
        "first": header.first,
        "next": header.next,
        "receipt": _SIGNER.sign(receipt),
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    socketserver.TCPServer.allow_reuse_address = True
    server = _Server(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
