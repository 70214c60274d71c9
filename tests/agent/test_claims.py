"""Claims say what is durable, number without a hole, and are durable before they are sent."""

from __future__ import annotations

import errno
from itertools import count
from random import Random

import pytest

from gapless.agent.acks import AckReader, Acks
from gapless.agent.claims import Claimant, stream_claims
from gapless.agent.follow import SpoolView
from gapless.agent.spool import Spool, Times
from gapless.agent.spool_settings import SpoolSettings
from gapless.model.claim import ClaimSet, statement_digest
from gapless.model.errors import Unavailable
from gapless.model.signing import Signer, verify
from gapless.model.stream import StreamKey
from gapless.testing.disk import SimDisk
from gapless.testing.faults import Fault, faults

STREAM = StreamKey("contoso", "SigninLogs", "host-7", "files")
SIGNER = Signer(b"1" * 32)


def test_claims_are_chained_and_never_ahead_of_what_is_durable() -> None:
    disk = SimDisk(Random(1))
    spool = Spool(
        disk, "spool", SpoolSettings(), now_us=lambda: 7, mint=lambda: "a" * 32, place=lambda _: "here"
    )
    spool.start([STREAM], Acks())
    view, acks = SpoolView(disk, "spool"), AckReader(disk, "acks")
    claimant = Claimant(disk, "spool/claims", "host-7", SIGNER)
    first = claimant.state(1, view, acks)
    spool.add_batch(STREAM, b"x", raw_bytes=3, count=3, parts=(), marks=(), cursors=(), times=Times(1, 1))
    second = verify(claimant.state(2, view, acks), SIGNER.public_key, ClaimSet)
    assert (second.n, second.prev) == (1, statement_digest(first.statement))
    assert second.streams[0].next == 0
    spool.commit()
    disk.before_effect = faults(Fault("rename", errno.EIO))
    with pytest.raises(Unavailable):
        claimant.state(3, view, acks)
    disk.crash()
    again = Claimant(disk, "spool/claims", "host-7", SIGNER)
    third = verify(
        again.state(4, SpoolView(disk, "spool"), AckReader(disk, "acks")), SIGNER.public_key, ClaimSet
    )
    assert third.n == 2
    assert (third.streams[0].next, third.streams[0].held) == (3, ((0, 3),))


@pytest.mark.parametrize("damaged", [False, True])
def test_an_epoch_whose_end_is_not_proven_is_claimed_as_at_least(damaged: bool) -> None:
    disk, mints = SimDisk(Random(1)), count(1)
    sources: list[StreamKey] = [STREAM]
    for started in range(3):
        spool = Spool(
            disk,
            "spool",
            SpoolSettings(),
            now_us=lambda: 7,
            mint=lambda: f"{next(mints):032x}",
            place=lambda _: "here",
        )
        spool.start(sources if started != 1 else [], Acks())  # without a source an epoch ends, for certain
        if not started:
            spool.add_batch(
                STREAM, b"x", raw_bytes=3, count=3, parts=(), marks=(), cursors=(), times=Times(1, 1)
            )
            spool.commit()
            if damaged:
                disk.flip(f"spool/{0:020d}.log", 8 * spool.view.batches[0].position)
        spool.close()
    view = SpoolView(disk, "spool")
    view.follow_all()
    left, *_, current = stream_claims(view, Acks())
    assert (left.next, left.closed, left.at_least) == ((0, False, True) if damaged else (3, True, False))
    assert not current.at_least and not current.closed
