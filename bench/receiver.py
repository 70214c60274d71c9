"""A gateway that does nothing but answer: reads a request, signs a receipt for each frame, keeps nothing.

python -m bench.receiver       prints its port
"""

from __future__ import annotations

import socketserver
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from gapless.model.signing import Signer
from gapless.testing.impostors import forged

_SIGNER = Signer(bytes(32))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"receipt": {"public_key": _SIGNER.public_key}})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/claims"):
            self._answer({"losses": [], "fenced": []})
        else:
            self._send(forged(_SIGNER, self.path, body).data)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, message: object) -> None:
        self._send(msgspec.json.encode(message))

    def _send(self, data: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n"
        self.wfile.write(head.encode() + data)


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
