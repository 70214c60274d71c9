"""Claims say what is durable, number without a hole, and are durable before they are sent."""

from __future__ import annotations

import errno
from itertools import count
from random import Random

import msgspec
import pytest
from spool_rig import CONFIG, STREAM, opened
from upload_rig import LooseChannel

from gapless.agent.acks import AckReader, Acks
from gapless.agent.claim import Claiming, Response
from gapless.agent.claims import Claimant, read_chain, stream_claims
from gapless.agent.config import parse_config
from gapless.agent.follow import SpoolView
from gapless.agent.machine import Machine
from gapless.agent.spool import Times
from gapless.model.claim import CLAIMS_LATE_MAX, ClaimSet, statement_digest
from gapless.model.errors import Unavailable
from gapless.model.signing import Signer, verify
from gapless.testing.disk import Fate, SimDisk
from gapless.testing.faults import Fault, faults
from gapless.testing.source_host import SourceDisk

SIGNER = Signer(b"1" * 32)


def test_claims_are_chained_and_never_ahead_of_what_is_durable() -> None:
    disk = SimDisk(Random(1))
    spool = opened(disk, count(1))
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


def test_no_two_chains_begin_with_the_same_statement() -> None:
    """Not even when the clock stood still: who tells them apart has nothing but their bytes. (Seed 23436 of
    the simulation at revision b3ab9a0.)"""
    disk = SimDisk(Random(1))
    opened(disk, count(1))
    view, acks = SpoolView(disk, "spool"), AckReader(disk, "acks")
    signers = (SIGNER, Signer(b"2" * 32))
    first, second = (
        Claimant(disk, f"spool/{s.public_key}", "host-7", s).state(1, view, acks) for s in signers
    )
    assert statement_digest(first.statement) != statement_digest(second.statement)


@pytest.mark.parametrize("damaged", [False, True])
def test_an_epoch_whose_end_is_not_proven_is_claimed_as_at_least(damaged: bool) -> None:
    disk, mints = SimDisk(Random(1)), count(1)
    for started in range(3):
        # Without a source an epoch ends, for certain.
        spool = opened(disk, mints, streams=[STREAM] if started != 1 else [])
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


def test_a_chain_that_rotted_in_any_bit_is_none() -> None:
    """Whoever went on from another number or digest would contradict himself: another key is made instead."""
    disk = SimDisk(Random(1))
    disk.make_dirs("agent")
    claimant = Claimant(disk, "agent/claims.json", "host-7", SIGNER)
    claimant.state(1, SpoolView(disk, "spool"), AckReader(disk, "acks"))
    claimant.accepted(["l1"])
    good = disk.content("agent/claims.json")
    chain = read_chain(disk, "agent/claims.json")
    assert chain is not None and (chain.n, chain.answered) == (1, ("l1",))
    for bit in range(8 * len(good)):
        disk.flip("agent/claims.json", bit)
        assert read_chain(disk, "agent/claims.json") is None
        disk.damage("agent/claims.json", good)


def test_a_spool_that_rotted_is_claimed_as_at_least_until_another_epoch_begins() -> None:
    """Whoever reads it before the collector mended it would else say less than was said before."""
    disk, mints = SimDisk(Random(1)), count(1)

    def claimed() -> list[tuple[int, bool]]:
        view = SpoolView(disk, "spool")
        view.follow_all()
        return [(claim.next, claim.at_least) for claim in stream_claims(view, Acks())]

    spool = opened(disk, mints)
    spool.add_batch(STREAM, b"x", raw_bytes=3, count=3, parts=(), marks=(), cursors=(), times=Times(1, 1))
    spool.commit()
    assert claimed() == [(3, False)]
    disk.flip(f"spool/{0:020d}.log", 8 * spool.view.batches[0].position)
    spool.close()
    assert claimed() == [(0, True)]
    opened(disk, mints)
    assert claimed() == [(0, True), (0, False)]


def test_a_spool_that_its_writer_did_not_open_since_the_power_failed_is_no_step_back() -> None:
    """What the file tells readers of may be old then; the spool itself is whole."""
    disk, mints = SimDisk(Random(1), fates=[Fate.DROPPED]), count(1)

    def claimed() -> tuple[int, bool]:
        claimant = Claimant(disk, "spool/claims", "host-7", SIGNER)
        signed = claimant.state(1, SpoolView(disk, "spool"), AckReader(disk, "acks"))
        [claim] = verify(signed, SIGNER.public_key, ClaimSet).streams
        return claim.next, claim.at_least

    for _ in range(2):  # its opening makes durable what it tells; a commit does not
        spool = opened(disk, mints)
        spool.add_batch(STREAM, b"x", raw_bytes=3, count=3, parts=(), marks=(), cursors=(), times=Times(1, 1))
        spool.commit()
    assert claimed() == (6, False)
    disk.crash()
    assert [claimed() for _ in range(3)] == [(3, True)] * 3
    opened(disk, mints)
    assert claimed() == (6, False)


def test_statements_that_nobody_answers_are_never_so_many_that_a_late_one_is_a_rollback() -> None:
    disk = SimDisk(Random(0))
    disk.make_dirs("/agent")
    machine = Machine(
        disk, SourceDisk(lambda: 0), lambda: 1, lambda: 0.0, lambda: "a" * 32, lambda: b"k".ljust(32, b".")
    )
    channel = LooseChannel(parse_config(CONFIG))
    claiming = Claiming(channel, machine)

    def say(outcome: Response | str) -> int:
        statement = claiming.next()
        assert statement is not None
        claiming.finished(outcome)
        return msgspec.json.decode(statement.signed.statement, type=ClaimSet).n

    first = say(Response(200, b"{}"))
    said = [say("no answer" if number % 2 else Response(504, b"")) for number in range(100)]
    assert len(set(said)) <= CLAIMS_LATE_MAX // 2
    assert said == sorted(said) and said[0] == first + 1
    # Nor if its process is started anew meanwhile.
    for restart in range(1, 4):
        claiming = Claiming(channel, machine)
        assert {say("no answer") for _ in range(100)} == {said[-1] + restart}
    said.append(said[-1] + 3)
    assert say(Response(200, b"{}")) == said[-1]
    assert [say(Response(400, b"")), say(Response(400, b""))] == [said[-1] + 1, said[-1] + 2]
