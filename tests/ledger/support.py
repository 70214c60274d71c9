"""Short ways to say what agents say."""

from __future__ import annotations

from gapless.ledger.ledger import Ledger
from gapless.model.batch import BatchHeader, Origin, Part
from gapless.model.claim import ClaimSet, Restart, StreamClaim, statement_digest
from gapless.model.finding import Finding
from gapless.model.signing import Signer
from gapless.model.stream import EpochOpen, StreamKey

SECOND = 1_000_000
STREAM = StreamKey("contoso", "SigninLogs", "host-7", "entra")
FIRST = EpochOpen("1" * 32)
SECOND_EPOCH = EpochOpen("2" * 32, FIRST.epoch, 100)


def header(
    first: int,
    next_: int,
    at_us: int,
    opened: EpochOpen = FIRST,
    stream: StreamKey = STREAM,
    parts: tuple[Part, ...] = (),
    renumbers: tuple[Origin, ...] = (),
) -> BatchHeader:
    return BatchHeader(
        stream=stream,
        opened=opened,
        first=first,
        next=next_,
        digest=f"{first:064x}",
        raw_bytes=100 * (next_ - first),
        read_from_us=at_us,
        read_to_us=at_us,
        parts=parts,
        renumbers=renumbers,
    )


class Agent:
    """Speaks for one agent: a chain of signed claims."""

    def __init__(self, name: str = "host-7", private_key: bytes = b"k" * 32) -> None:
        self._signer = Signer(private_key)
        self._name = name
        self.n = 0
        self.prev = ""

    def claim(
        self,
        ledger: Ledger,
        at_us: int,
        *streams: StreamClaim,
        restarts: tuple[Restart, ...] = (),
        fills_in_s: float | None = None,
    ) -> list[Finding]:
        self.n += 1
        said = ClaimSet(
            agent=self._name,
            n=self.n,
            prev=self.prev,
            at_us=at_us,
            interval_s=2.0,
            streams=streams,
            restarts=restarts,
            spool_used_bytes=700,
            spool_limit_bytes=1000,
            fills_in_s=fills_in_s,
        )
        signed = self._signer.sign(said)
        self.prev = statement_digest(signed.statement)
        return ledger.claims(signed, at_us)


def says(
    next_: int,
    *,
    held: tuple[tuple[int, int], ...] = (),
    refused: tuple[tuple[int, int], ...] = (),
    opened: EpochOpen = FIRST,
    stream: StreamKey = STREAM,
    closed: bool = False,
    at_least: bool = False,
    read_bytes: int = 0,
    unread_bytes: int = 0,
    left_us: int = 0,
) -> StreamClaim:
    return StreamClaim(
        stream=stream,
        opened=opened,
        next=next_,
        held=held,
        refused=refused,
        closed=closed,
        at_least=at_least,
        read_bytes=read_bytes,
        unread_bytes=unread_bytes,
        left_us=left_us,
    )
