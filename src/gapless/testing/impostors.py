"""What may answer in a gateway's place: proxies, strangers, and whoever says what nobody asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from gapless.log.frame import decode_all
from gapless.model.batch import BatchHeader
from gapless.model.receipt import Receipt
from gapless.model.signing import Signer
from gapless.testing.network import HttpAnswer

_STRANGER = Signer(b"stranger".ljust(32, b"."))


def _status(status: int, path: str, body: bytes) -> HttpAnswer:
    return HttpAnswer(status, b'{"error":{"code":"x","text":"not now"}}', {"Retry-After": "1"})


def _empty(path: str, body: bytes) -> HttpAnswer:
    return HttpAnswer(200, b'{"results":[]}' if path == "/v1/batches" else b"{}")


def forged(signer: Signer, path: str, body: bytes) -> HttpAnswer:
    """Says that it has everything, and has nothing."""
    if path != "/v1/batches":
        return HttpAnswer(503, b"")
    results = []
    for frame in decode_all(body, frames_max=1000):
        header = msgspec.json.decode(frame.meta, type=BatchHeader)
        receipt = Receipt(
            stream=header.stream,
            epoch=header.epoch,
            first=header.first,
            next=header.next,
            digest=header.digest,
            position=0,
            journaled_us=1,
        )
        identity = {"stream": header.stream.id, "epoch": header.epoch, "first": header.first}
        signed = msgspec.to_builtins(signer.sign(receipt))
        results.append({"status": "receipt", "next": header.next, "receipt": signed} | identity)
    return HttpAnswer(200, msgspec.json.encode({"results": results}))


#: Each is given the path and the body of a request. A forger is met as often as two others.
IMPOSTORS: tuple[Callable[[str, bytes], HttpAnswer], ...] = (
    *2 * (partial(forged, _STRANGER),),
    _empty,
    *(partial(_status, status) for status in (401, 403, 404, 413, 429, 500)),
)
