"""``gapless send``: the records of one file, each with a receipt before it says so."""

from __future__ import annotations

import re
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Annotated, BinaryIO, TypeVar
from uuid import uuid4

import typer

from gapless import clock
from gapless.cli.batches import Batch, batches
from gapless.cli.client import Client, connect
from gapless.cli.options import DATA_DEFAULT, Ca, Data, Tenant, Token, Url
from gapless.cli.output import say
from gapless.gateway.answers import Result
from gapless.gateway.claims import ClaimsAnswer
from gapless.gateway.routes import BatchResults, Keys
from gapless.model.claim import ClaimSet, StreamClaim
from gapless.model.errors import Busy, Corrupt, GaplessError, Misconfigured, Refused, Unavailable
from gapless.model.receipt import Receipt
from gapless.model.signing import Signed, Signer, verify
from gapless.model.stream import EpochOpen, StreamKey
from gapless.model.tables import table_schema

T = TypeVar("T")

_PAUSE_S_MIN, _PAUSE_S_MAX = 0.1, 5.0
_CLAIM_INTERVAL_S = 2.0


def send(
    file: Annotated[str, typer.Argument(metavar="FILE", help="One record a line; - is standard input.")],
    tenant: Tenant,
    table: Annotated[str, typer.Option(help="Where the records go.")],
    source: Annotated[str | None, typer.Option(help="What to call the file. Default: its name.")] = None,
    timeout_s: Annotated[
        float, typer.Option(help="Give up when no receipt has come for so many seconds.")
    ] = 60.0,
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """Send the records of a file; exit 0 only when every one has its receipt.

    Whatever was not sent is not lost: the file still holds it. To send a file again stores it again.
    """
    table_schema(table)
    if not timeout_s > 0:
        raise Refused(f"--timeout-s {timeout_s:g} is no time: give seconds above 0")
    epoch = uuid4().hex
    # Each run is an agent of its own: its counter begins at 0, its key is new, and it ends with it.
    agent = f"send-{_name(socket.gethostname())[:80]}-{epoch[:12]}"
    stream = StreamKey(tenant, table, agent, source or _source(file)).check()
    with connect(data, url, token, ca) as client, _opened(file) as records:
        sender = _Sender(client, timeout_s)
        opened = EpochOpen(epoch)
        try:
            for batch in batches(records, stream, opened):
                sender.send(batch)
        except (GaplessError, OSError) as error:
            sender.abandon(stream, opened)
            raise _with_count(error, sender.next) from error
        except KeyboardInterrupt:
            say([f"{sender.next} records have their receipts, no other has"])
            sender.abandon(stream, opened)
            raise
        sender.close(stream, opened)
    say([f"{sender.next} records have their receipts"])


class _Sender:
    """Sends batches one after the other; ``next`` is the seq before which every record has its receipt."""

    def __init__(self, client: Client, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._key = self._patiently(lambda: client.get("/v1/keys", Keys)).receipt.public_key
        self.next = 0

    def send(self, batch: Batch) -> None:
        """Returns once the batch's receipt was seen to hold. Raises Refused, or Unavailable in the end."""
        receipt = self._patiently(lambda: self._receipt(batch))
        header = batch.header
        given = (receipt.stream, receipt.epoch, receipt.first, receipt.next, receipt.digest)
        if given != (header.stream, header.epoch, header.first, header.next, header.digest):
            raise Corrupt("the receipt is for other records than were sent: do not trust this platform")
        self.next = header.next

    def close(self, stream: StreamKey, opened: EpochOpen) -> None:
        """Claim that the epoch ends here, so that the books can say that nothing of it is missing."""
        signed = self._end(stream, opened)
        self._patiently(lambda: self._client.post("/v1/claims", signed, ClaimsAnswer))

    def abandon(self, stream: StreamKey, opened: EpochOpen) -> None:
        """Claim the same after a failure, if the platform is there: what was never sent has no seq, and who
        waited for more of this epoch would wait for ever."""
        with suppress(GaplessError):
            self._client.post("/v1/claims", self._end(stream, opened), ClaimsAnswer)

    def _end(self, stream: StreamKey, opened: EpochOpen) -> Signed:
        now_us = clock.now_us()
        claim = StreamClaim(stream=stream, opened=opened, next=self.next, reader_us=now_us, closed=True)
        claims = ClaimSet(
            agent=stream.agent, n=0, prev="", at_us=now_us, interval_s=_CLAIM_INTERVAL_S, streams=(claim,)
        )
        return Signer(Signer.new_private_key()).sign(claims)

    def _receipt(self, batch: Batch) -> Receipt:
        results = self._client.post_bytes("/v1/batches", batch.body, BatchResults).results
        if len(results) != 1:
            raise Corrupt(f"{len(results)} answers came for one batch: do not trust this platform")
        return self._verified(results[0])

    def _verified(self, result: Result) -> Receipt:
        text = result.text or f"the platform answers {result.status!r}"
        if result.status == "busy":
            raise Busy(text)
        if not result.receipt:
            raise Refused(text)
        return verify(result.receipt, self._key, Receipt)

    def _patiently(self, attempt: Callable[[], T]) -> T:
        """Try until it succeeds or is refused. Raises the last Busy or Unavailable after ``timeout_s``."""
        end_s = time.monotonic() + self._timeout_s
        pause_s = _PAUSE_S_MIN
        while True:
            try:
                return attempt()
            except (Busy, Unavailable) as error:
                left_s = end_s - time.monotonic()
                if left_s <= 0:
                    raise
                wait_s = max(pause_s, error.retry_after_s) if isinstance(error, Busy) else pause_s
                time.sleep(min(wait_s, left_s))
                pause_s = min(pause_s * 2, _PAUSE_S_MAX)


def _with_count(error: GaplessError | OSError, received: int) -> GaplessError:
    """``error`` as its kind of failure, with how far the records came."""
    count = f"({received} records have their receipts, no other has)"
    match error:
        case OSError():
            return Unavailable(f"the file cannot be read on ({error.strerror}): mend it, then retry {count}")
        case Busy():
            return Unavailable(f"{error} {count}")
        case Misconfigured():
            return Misconfigured([*error.faults, count])
        case _:
            return type(error)(f"{error} {count}")


def _opened(file: str) -> AbstractContextManager[BinaryIO]:
    if file == "-":
        if sys.stdin is None:
            raise Refused("standard input is closed: name a file, or give it something to read")
        return nullcontext(sys.stdin.buffer)
    return Path(file).open("rb")


def _source(file: str) -> str:
    return "stdin" if file == "-" else _name(Path(file).name)


def _name(text: str) -> str:
    """``text`` as a name may be: others of its characters become dashes."""
    return re.sub(r"[^A-Za-z0-9._@:-]", "-", text).lstrip("._@:-")[:128] or "unnamed"
