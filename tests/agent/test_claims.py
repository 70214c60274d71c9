"""Claims say what is durable, number without a hole, and are durable before they are sent."""

from __future__ import annotations

import errno
from random import Random

import pytest

from gapless.agent.acks import AckReader, Acks
from gapless.agent.claims import Claimant
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
