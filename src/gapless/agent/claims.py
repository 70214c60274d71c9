"""The agent's claims: made from the two logs as anybody may read them, chained, durable before sent."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection, Mapping

import msgspec

from gapless.agent.acks import AckReader, Acks
from gapless.agent.follow import SpoolView
from gapless.log.disk import Disk, read_small, write_atomically
from gapless.model.claim import ClaimSet, Coverage, Restart, StreamClaim, statement_digest
from gapless.model.errors import UNDECODABLE, Unavailable
from gapless.model.ranges import Range, RangeSet
from gapless.model.signing import Signed, Signer
from gapless.model.stream import StreamKey


class Chain(msgspec.Struct, frozen=True):
    """The number of the next statement, the digest of the last, the losses that the platform has, and up to
    when it was told of restarts. ``position``: how far the spool was read for the last statement; ``said``:
    which ``next`` that named for each epoch. ``heard``: somebody answered to the statements before this
    number, as was known when the last was made."""

    n: int = 0
    prev: str = ""
    answered: tuple[str, ...] = ()
    restarts_until_us: int = 0
    position: int = 0
    said: dict[str, int] = {}
    heard: int = 0


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The chain's file. ``digest``: SHA-256 of the chain's JSON, in hex. A chain that rotted would contradict
    what was said before, as if the spool had been set back."""

    chain: msgspec.Raw
    digest: str


class Witnessed(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim says beside the two logs. ``unread_bytes``: of each stream, how far its source's end is
    beyond what is durable, as somebody else than its reader saw it; ``left_us``: for how long a part of it
    was left out. ``coverage``: where its books begin."""

    unread_bytes: Mapping[StreamKey, int] = {}
    left_us: Mapping[StreamKey, int] = {}
    coverage: Mapping[StreamKey, Coverage] = {}
    restarts: tuple[Restart, ...] = ()
    spool_limit_bytes: int = 0
    fills_in_s: float | None = None


_NOTHING_ELSE = Witnessed()


def stream_claims(
    view: SpoolView, acks: Acks, witnessed: Witnessed = _NOTHING_ELSE
) -> tuple[StreamClaim, ...]:
    """One claim per stream, and one per epoch that it left: closed, if that is where it ended for certain.
    ``next`` is what is durable."""
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
        unread = witnessed.unread_bytes.get(state.stream, 0)
        left_us = witnessed.left_us.get(state.stream, 0)
        seen = max((cursor.seen_us for cursor in state.cursors), default=0)
        for opened, next_, closed in [
            *((old.opened, old.next, old.proven) for old in state.ended if not old.fenced),
            (state.opened, state.next, state.closed),
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
                    left_us=left_us if opened == state.opened else 0,
                    closed=closed,
                    at_least=not closed and (opened != state.opened or view.state.doubts(state.stream)),
                    coverage=witnessed.coverage.get(state.stream),
                )
            )
    return tuple(claims)


#: A spool that is full later than in a month is not filling.
FULL_IN_S_MAX = 30 * 86_400.0


class Filling:
    """How fast what has no receipt grows, over the last ``window_s``."""

    def __init__(self, window_s: float = 30.0) -> None:
        self._window_us = int(window_s * 1e6)
        self._seen: deque[tuple[int, int]] = deque()

    def full_in_s(self, now_us: int, unsent_bytes: int, room_bytes: int) -> float | None:
        """The time left until ``room_bytes`` are used up at the present rate; None when that is more than
        ``FULL_IN_S_MAX`` away, or nobody can say yet."""
        if self._seen and now_us < self._seen[-1][0]:
            self._seen.clear()  # the clock went back
        self._seen.append((now_us, unsent_bytes))
        while self._seen[0][0] < now_us - self._window_us:
            self._seen.popleft()
        since_us, before_bytes = self._seen[0]
        if unsent_bytes <= before_bytes or now_us == since_us:
            return None
        full_in_s = max(0, room_bytes) * (now_us - since_us) / 1e6 / (unsent_bytes - before_bytes)
        return full_in_s if full_in_s <= FULL_IN_S_MAX else None


def read_chain(disk: Disk, path: str) -> Chain | None:
    """Where the chain stands; None if there is none, or none that can be read: then another begins, with a
    key of its own. Raises Unavailable if the disk refuses."""
    try:
        data = read_small(disk, path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be read ({error.strerror}): retry") from error
    try:
        kept = msgspec.json.decode(data or b"", type=_Kept)
        return msgspec.json.decode(kept.chain, type=Chain) if _digest(kept.chain) == kept.digest else None
    except UNDECODABLE:
        return None


class Claimant:
    """Makes one signed statement after the other. ``path`` is its own small file, beside the logs: where
    there is none to go on from, ``signer`` must be new."""

    def __init__(self, disk: Disk, path: str, agent: str, signer: Signer, *, interval_s: float = 2.0) -> None:
        self._disk = disk
        self._path = path
        self._agent = agent
        self._signer = signer
        self._said_restarts_us = 0
        self.interval_s = interval_s
        self._chain = read_chain(disk, path) or Chain()
        self._heard = self._chain.heard

    @property
    def unanswered(self) -> int:
        """How many statements were made since somebody answered to one; of an earlier process' at most one
        too many."""
        return self._chain.n - self._heard

    def heard(self) -> None:
        """Somebody answered to the last statement, whatever."""
        self._heard = self._chain.n

    @property
    def answered(self) -> Collection[str]:
        """The losses that the platform has durably."""
        return self._chain.answered

    def state(
        self, now_us: int, view: SpoolView, acks: AckReader, witnessed: Witnessed = _NOTHING_ELSE
    ) -> Signed:
        """The next statement; its number and digest are durable on return, so it may be sent.
        Raises Unavailable if a disk refuses: then send nothing."""
        view.follow_all()  # first: an outcome may be newer than the batch list, never older than a claim
        found = acks.follow()
        losses = [*view.state.losses.values(), *found.losses()]
        # Each loss is asked for again until the spool, and the log of outcomes, have forgotten it.
        answered = tuple(sorted({loss.id for loss in losses}.intersection(self._chain.answered)))
        durable, position = view.durable(), self._chain.position
        streams = self._no_less(stream_claims(view, found, witnessed), durable)
        claims = ClaimSet(
            agent=self._agent,
            n=self._chain.n,
            prev=self._chain.prev,
            at_us=now_us,
            interval_s=self.interval_s,
            streams=streams,
            losses=tuple(loss for loss in losses if loss.id not in answered),
            restarts=tuple(r for r in witnessed.restarts if r.at_us > self._chain.restarts_until_us),
            spool_used_bytes=view.durable() - view.first(),
            spool_limit_bytes=witnessed.spool_limit_bytes,
            fills_in_s=witnessed.fills_in_s,
            begun_with="" if self._chain.prev else self._signer.public_key,
        )
        signed = self._signer.sign(claims)
        nexts = {claim.opened.epoch: claim.next for claim in streams if not claim.at_least}
        self._keep(
            msgspec.structs.replace(
                self._chain,
                n=claims.n + 1,
                prev=statement_digest(signed.statement),
                answered=answered,
                position=max(position, durable),
                said=nexts if durable >= position else self._chain.said | nexts,
                heard=self._heard,
            )
        )
        self._said_restarts_us = max((r.at_us for r in claims.restarts), default=0)
        return signed

    def accepted(self, loss_ids: Collection[str]) -> None:
        """The platform has the last statement durably, and these losses of it. Raises Unavailable."""
        chain = msgspec.structs.replace(
            self._chain,
            answered=tuple(sorted({*self._chain.answered, *loss_ids})),
            restarts_until_us=max(self._chain.restarts_until_us, self._said_restarts_us),
        )
        if chain != self._chain:
            self._keep(chain)

    def _no_less(self, claims: tuple[StreamClaim, ...], durable: int) -> tuple[StreamClaim, ...]:
        """After a power loss the spool tells readers of less than is durable, until its writer has opened it:
        what was said before holds on, and less than that is no step back."""
        if durable >= self._chain.position:
            return claims
        return tuple(
            msgspec.structs.replace(claim, at_least=True)
            if not claim.closed and claim.next < self._chain.said.get(claim.opened.epoch, 0)
            else claim
            for claim in claims
        )

    def _keep(self, chain: Chain) -> None:
        encoded = msgspec.Raw(msgspec.json.encode(chain))
        try:
            write_atomically(self._disk, self._path, msgspec.json.encode(_Kept(encoded, _digest(encoded))))
        except OSError as error:
            raise Unavailable(f"{self._path} was not written ({error.strerror}): retry") from error
        self._chain = chain


def _digest(chain: msgspec.Raw) -> str:
    return hashlib.sha256(chain).hexdigest()


def _ranges(sets: dict[str, RangeSet], epoch: str) -> tuple[Range, ...]:
    return tuple(sets.get(epoch, ()))
