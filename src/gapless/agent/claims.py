"""The agent's claims: made from the two logs as anybody may read them, chained, durable before sent."""

from __future__ import annotations

import msgspec

from gapless.agent.acks import AckReader, Acks
from gapless.agent.follow import SpoolView
from gapless.log.disk import Disk, read_small, write_atomically
from gapless.model.claim import ClaimSet, Loss, StreamClaim, statement_digest
from gapless.model.errors import Unavailable
from gapless.model.ranges import Range, RangeSet
from gapless.model.signing import Signed, Signer


class Chain(msgspec.Struct, frozen=True):
    """The number of the next statement, the digest of the last, and the losses that the platform has."""

    n: int = 0
    prev: str = ""
    answered: tuple[str, ...] = ()


def stream_claims(view: SpoolView, acks: Acks) -> tuple[StreamClaim, ...]:
    """One claim per stream, and one per epoch that it left (closed, if that is where it ended for
    certain). ``next`` is what is durable."""
    held: dict[str, RangeSet] = {}
    refused: dict[str, RangeSet] = {}
    for batch in view.batches:
        if not acks.settles(batch):
            held.setdefault(batch.epoch, RangeSet()).add(batch.first, batch.next)
            if acks.of(batch) is not None:
                refused.setdefault(batch.epoch, RangeSet()).add(batch.first, batch.next)
    claims: list[StreamClaim] = []
    for state in view.state.snapshot().streams:
        read = sum(cursor.offset for cursor in state.cursors)
        unread = sum(max(0, cursor.size - cursor.offset) for cursor in state.cursors)
        seen = max((cursor.seen_us for cursor in state.cursors), default=0)
        for opened, next_, closed in [
            *((old.opened, old.next, old.proven) for old in state.ended),
            (state.opened, state.next, False),
        ]:
            claims.append(
                StreamClaim(
                    stream=state.stream,
                    opened=opened,
                    next=next_,
                    held=_ranges(held, opened.epoch),
                    refused=_ranges(refused, opened.epoch),
                    read_bytes=read if opened == state.opened else 0,
                    unread_bytes=unread if opened == state.opened else 0,
                    reader_us=seen if opened == state.opened else 0,
                    closed=closed,
                )
            )
    return tuple(claims)


class Claimant:
    """Makes one signed statement after the other. ``path`` is its own small file, beside the logs."""

    def __init__(self, disk: Disk, path: str, agent: str, signer: Signer, *, interval_s: float = 2.0) -> None:
        self._disk = disk
        self._path = path
        self._agent = agent
        self._signer = signer
        self._interval_s = interval_s
        try:
            data = read_small(disk, path)
        except OSError as error:
            raise Unavailable(f"{path} cannot be read ({error.strerror}): retry") from error
        self._chain = Chain() if data is None else msgspec.json.decode(data, type=Chain)

    def state(self, now_us: int, view: SpoolView, acks: AckReader, *, limit_bytes: int = 0) -> Signed:
        """The next statement; its number and digest are durable on return, so it may be sent.
        Raises Unavailable if a disk refuses: then send nothing."""
        view.follow_all()  # first: an outcome may be newer than the batch list, never older than a claim
        found = acks.follow()
        losses = self._unanswered([*view.state.losses.values(), *found.losses()])
        claims = ClaimSet(
            agent=self._agent,
            n=self._chain.n,
            prev=self._chain.prev,
            at_us=now_us,
            interval_s=self._interval_s,
            streams=stream_claims(view, found),
            losses=losses,
            spool_used_bytes=view.durable() - view.first(),
            spool_limit_bytes=limit_bytes,
        )
        signed = self._signer.sign(claims)
        self._keep(Chain(claims.n + 1, statement_digest(signed.statement), self._chain.answered))
        return signed

    def answered(self, loss_ids: list[str]) -> None:
        """The platform has these losses durably. Raises Unavailable."""
        kept = tuple(sorted({*self._chain.answered, *loss_ids}))
        if kept != self._chain.answered:
            self._keep(msgspec.structs.replace(self._chain, answered=kept))

    def _unanswered(self, losses: list[Loss]) -> tuple[Loss, ...]:
        answered = set(self._chain.answered)
        return tuple(loss for loss in losses if loss.id not in answered)

    def _keep(self, chain: Chain) -> None:
        try:
            write_atomically(self._disk, self._path, msgspec.json.encode(chain))
        except OSError as error:
            raise Unavailable(f"{self._path} was not written ({error.strerror}): retry") from error
        self._chain = chain


def _ranges(sets: dict[str, RangeSet], epoch: str) -> tuple[Range, ...]:
    return tuple(sets.get(epoch, ()))
