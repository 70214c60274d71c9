"""What stands on disks, as good as it was written: the seeds of a journal, a spool and a log of outcomes."""

from __future__ import annotations

from random import Random

import msgspec

from gapless.agent.acks import AckReader, AckWriter, Outcome
from gapless.agent.claims import stream_claims
from gapless.agent.follow import SpoolView
from gapless.agent.sources import FileCursor
from gapless.agent.spool import Spool, Times
from gapless.agent.spool_settings import SpoolSettings
from gapless.log.segments import LogWriter, Message
from gapless.model.batch import Mark, Part
from gapless.model.claim import ClaimSet, Loss, StreamClaim
from gapless.model.entry import BatchEntry, ClaimsEntry, DecommissionEntry, Kind, LossEntry
from gapless.model.finding import Finding
from gapless.model.signing import Signer
from gapless.model.stream import EpochOpen, StreamKey
from gapless.testing.disk import SimDisk
from gateway.support import batch

STREAM = StreamKey("contoso", "App_CL", "host-7", "files")
EPOCH = "0" * 31 + "1"
SIGNER = Signer(bytes(range(32)))
LOSS = Loss(
    id="operator/1", stream=STREAM, epoch=EPOCH, cause="operator", declared_us=1, not_before_us=1,
    not_after_us=1, ranges=((3, 5),),
)  # fmt: skip
_SETTINGS = SpoolSettings(size_bytes_max=1 << 20, segment_bytes_max=1 << 16, free_bytes_min=0)


def claims() -> ClaimSet:
    claim = StreamClaim(stream=STREAM, opened=EpochOpen(EPOCH), next=20, held=((10, 20),))
    return ClaimSet(agent="host-7", n=0, prev="", at_us=7, interval_s=2.0, streams=(claim,), losses=(LOSS,))


def journal(disk: SimDisk) -> None:
    """One entry of each kind that is folded."""
    entries = [
        Message(Kind.BATCH, msgspec.json.encode(BatchEntry(header, 9)), payload)
        for header, payload in (batch(0, 10, stream=STREAM), batch(10, 20, stream=STREAM))
    ]
    finding = Finding(
        id="fork/1", kind="fork", at_us=1, state="opened", text="", stream=STREAM.id, epoch=EPOCH
    )
    entries += [
        Message(Kind.CLAIMS, msgspec.json.encode(ClaimsEntry(SIGNER.sign(claims()), 9))),
        Message(Kind.LOSS, msgspec.json.encode(LossEntry(LOSS, "operator"))),
        Message(Kind.FINDING, msgspec.json.encode(finding)),
        Message(
            Kind.DECOMMISSION,
            msgspec.json.encode(DecommissionEntry(at_us=9, by="operator", stream=STREAM.id, reason="gone")),
        ),
    ]
    writer = LogWriter(disk, "journal", segment_bytes_max=1 << 20)
    writer.append(entries)
    writer.sync()
    writer.close()


def spool(disk: SimDisk) -> Spool:
    """A spool that is opened over whatever there is."""
    return Spool(disk, "spool", _SETTINGS, now_us=lambda: 7, mint=lambda: EPOCH, place=lambda _: "here")


def fill(opened: Spool) -> None:
    """Start, and add what a collector adds. Raises Unavailable."""
    opened.start([STREAM], AckReader(SimDisk(Random(0)), "none").acks)
    at = sum(cursor.offset for cursor in opened.stream(STREAM).cursors)
    cursor = FileCursor(file="f" * 32, path="/x", dev=1, ino=2, offset=at + 20, size=at + 20, seen_us=7)
    for _ in range(2):
        opened.add_batch(
            STREAM, b"payload", raw_bytes=20, count=10, parts=(Part("f" * 32, at, at + 20, 10),),
            marks=(Mark(3, "part"),), cursors=(cursor,), times=Times(7, 7),
        )  # fmt: skip
    opened.add_cursors(STREAM, (cursor,))
    opened.add_loss(LOSS)
    opened.commit()


def acks(disk: SimDisk) -> None:
    """Outcomes of what ``fill`` added."""
    view = SpoolView(disk, "spool")
    view.follow_all()
    writer = AckWriter(disk, "acks", spool_first=lambda: 0)
    receipt = SIGNER.sign(claims())
    writer.write([Outcome.of(each, "receipt", 8, receipt=receipt) for each in view.batches[:1]])
    writer.write([Outcome.of(each, "refused", 8, text="too large") for each in view.batches[1:]])
    writer.close()
    view.close()


def claimed(disk: SimDisk) -> None:
    """What a claim says of the two. Raises Unavailable."""
    view, reader = SpoolView(disk, "spool"), AckReader(disk, "acks")
    try:
        view.follow_all()
        stream_claims(view, reader.follow())
    finally:
        view.close()
        reader.close()
