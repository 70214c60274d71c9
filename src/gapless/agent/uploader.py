"""The uploader's decisions: from the spool to attempts, from replies to outcomes. No thread, no socket.

An attempt captures where it goes, its token and its key when it begins, and its reply is judged by those:
a change of the configuration meanwhile neither waits for it nor spoils it. Nothing is held but a place
among the attempts in flight.

Commit point: ``write``. A crash before it leaves batches without an outcome: they are sent again, and get
the same receipt.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

import msgspec

from gapless.agent.acks import AckWriter, Outcome
from gapless.agent.dispatch import Answer, Dispatch, UploadSettings, outcome_of
from gapless.agent.endpoints import Endpoints
from gapless.agent.follow import Spooled, SpoolView
from gapless.agent.target import Target, is_key
from gapless.agent.transport import Reply
from gapless.agent.troubles import Troubles
from gapless.log.disk import Buffer
from gapless.log.frame import encode
from gapless.model.claim import Loss
from gapless.model.entry import Kind
from gapless.model.errors import Unavailable

_END = 1 << 62
#: What the system may take to look up a name; all else an attempt does has its own deadline.
_LOOKUP_S_MAX = 30.0
#: How often the log of outcomes is read, to see that others can.
_MEND_EVERY_S = 60.0


class Attempt(NamedTuple):
    """One request, with all that it needs. Without ``batches`` it asks for the receipt key."""

    number: int
    url: str
    target: Target
    settings: UploadSettings
    began_s: float
    batches: tuple[Spooled, ...]
    frames: tuple[Buffer, ...]


class Uploader:
    """Not thread-safe. ``now_s`` is a clock that never steps, ``now_us`` the time of day. ``pin`` makes the
    key of first contact durable."""

    def __init__(
        self,
        view: SpoolView,
        acks: AckWriter,
        settings: UploadSettings,
        random: Random,
        *,
        pin: Callable[[str], None],
    ) -> None:
        self._view = view
        self._acks = acks
        self._pin = pin
        self._dispatch = Dispatch(settings, random)
        self._endpoints = Endpoints(settings, random)
        self._target = Target((), "", "")
        self._settings = settings
        self._attempts: dict[int, Attempt] = {}
        self._numbers = 0
        self._offered = 0  # the spool's batches before this position were offered
        self._outcomes: list[tuple[Spooled, Outcome]] = []
        self._new_key = ""
        self._write_again_s = 0.0
        self._mend_s = 0.0
        self.troubles = Troubles()
        self.steps = 0

    @property
    def backlog(self) -> int:
        """Batches without an outcome."""
        return self._dispatch.backlog

    @property
    def in_flight(self) -> int:
        """Attempts without a reply."""
        return len(self._attempts)

    @property
    def refused(self) -> int:
        """Batches that the gateway refuses; one of each stream is sent again now and then."""
        return self._dispatch.refused

    @property
    def url(self) -> str:
        return self._endpoints.current

    @property
    def idle(self) -> bool:
        """Nothing is under way, waits to be sent or to be written: only the spool brings something new."""
        known = self._target.token and self._target.receipt_key
        return bool(known) and not (self.backlog or self._attempts or self._outcomes or self._new_key)

    def aim(self, target: Target, settings: UploadSettings, now_s: float) -> None:
        """What attempts go by from now on. Where it is another target, everything is due at once."""
        self._settings = self._dispatch.settings = self._endpoints.settings = settings
        if target != self._target:
            self._target = target
            self._new_key = "" if target.receipt_key else self._new_key
            self._endpoints.reset(target.urls, now_s)
            self._dispatch.hurry()

    def follow(self, now_us: int) -> bool:
        """Take in what is new in the spool; True if there may be more."""
        if not self._dispatch.retrying:
            self.troubles.over("batches")
        try:
            more = self._view.follow()
        except Unavailable as error:
            self.troubles.note("spool", str(error), now_us)
            return False
        self.troubles.over("spool")
        self._dispatch.withdraw(self._view.withdrawn)
        self._view.withdrawn.clear()
        self._dispatch.forget_before(self._view.batches[0].position if self._view.batches else _END)
        new = self._view.between(self._offered, _END)
        if new:
            self._dispatch.offer(new, self._acks.acks)
            self._offered = new[-1].next_position
        return more

    def begin(self, now_s: float, now_us: int) -> Attempt | None:
        """The next attempt, to be carried out and handed to ``finished``. None: there is nothing to do, or
        enough under way. While outcomes wait for the disk, nothing new begins: that bounds them."""
        waits_for_disk = bool(self._outcomes or self._new_key)
        if self.in_flight >= self._settings.in_flight_max or waits_for_disk or not self._target.token:
            return None
        if not self._target.receipt_key:
            return self._ask_key(now_s)
        while self._dispatch.due(now_s) and (url := self._endpoints.choose(now_s)) is not None:
            batches, frames = self._read(self._dispatch.take(now_s), now_s, now_us)
            if batches:
                return self._begun(url, now_s, batches, frames)
        return None

    def finished(self, attempt: Attempt, reply: Reply, now_s: float, now_us: int) -> None:
        """Judge what became of an attempt."""
        del self._attempts[attempt.number]
        self.steps += 1
        left, error = attempt.batches, reply.error
        if reply.met == "answers":
            left, error = self._judge(attempt, reply, now_s, now_us) if left else ((), self._heed_key(reply))
        if not error:
            self._endpoints.worked(attempt.url, attempt.began_s)
            self.troubles.over("gateway")
            return
        rest_s = 0.0
        if reply.met == "busy":
            self._endpoints.busy(attempt.url, attempt.began_s, now_s, reply.retry_after_s)
        else:
            slow = reply.met == "denied"
            rest_s = self._endpoints.failed(attempt.url, attempt.began_s, now_s, slow=slow)
        if left and reply.met in ("failed", "answers"):
            self.troubles.note("batches", error, now_us)
            for batch in left:
                # It may have been one of these: when the URL is tried again, it is with others.
                self._dispatch.failed(batch, now_s, wait_s=2 * rest_s, alone=True)
            return
        if attempt.target == self._target:
            self.troubles.note("gateway", error, now_us)
        for batch in left:
            self._dispatch.put_back(batch)

    def write(self, now_s: float, now_us: int) -> None:
        """Make durable what was found out; what the disk refuses is kept, and written later. Now and then
        see that it can still be read."""
        if now_s >= self._mend_s and now_s >= self._write_again_s:
            self._mend_s = now_s + _MEND_EVERY_S
            try:
                self._acks.mend()
            except Unavailable as error:
                self.troubles.note("disk", str(error), now_us)
                self._write_again_s = now_s + self._settings.retry_min_s
                return
        if not (self._outcomes or self._new_key) or now_s < self._write_again_s:
            return
        try:
            self._acks.write(outcome for _, outcome in self._outcomes)
            for batch, outcome in self._outcomes:
                self._dispatch.settled(batch, outcome.what, now_s)
            self.steps += len(self._outcomes)
            self._outcomes.clear()
            if self._new_key:
                self._pin(self._new_key)
                self._new_key = ""
        except Unavailable as error:
            self._write_again_s = now_s + self._settings.retry_min_s
            self.troubles.note("disk", str(error), now_us)
            return
        self.troubles.over("disk")

    def overdue(self, now_s: float) -> bool:
        """Whether an attempt is long past its own deadline: whoever carries it out is stuck."""
        return any(
            now_s - attempt.began_s > attempt.settings.attempt_s_max + _LOOKUP_S_MAX
            for attempt in self._attempts.values()
        )

    def _ask_key(self, now_s: float) -> Attempt | None:
        url = self._endpoints.choose(now_s)
        if url is None or self._attempts:
            return None
        return self._begun(url, now_s, (), ())

    def _begun(
        self, url: str, now_s: float, batches: tuple[Spooled, ...], frames: tuple[Buffer, ...]
    ) -> Attempt:
        self._numbers += 1
        attempt = Attempt(self._numbers, url, self._target, self._settings, now_s, batches, frames)
        self._attempts[attempt.number] = attempt
        self._endpoints.began(url, now_s)
        return attempt

    def _read(
        self, batches: tuple[Spooled, ...], now_s: float, now_us: int
    ) -> tuple[tuple[Spooled, ...], tuple[Buffer, ...]]:
        """Those of the batches that the spool can still read, and their frames."""
        readable: list[Spooled] = []
        frames: list[Buffer] = []
        for batch in batches:
            try:
                read = self._view.read(batch)
                lost = read is None and batch.position >= self._view.first()
            except Unavailable as error:
                self.troubles.note("spool", str(error), now_us)
                self._dispatch.failed(batch, now_s)
                continue
            if read is not None:
                readable.append(batch)
                frames += encode(Kind.BATCH, msgspec.json.encode(read[0]), read[1])
            elif lost:
                self._outcomes.append((batch, _damaged(batch, now_us)))
            else:
                self._dispatch.withdraw((batch.position,))
        return tuple(readable), tuple(frames)

    def _judge(
        self, attempt: Attempt, reply: Reply, now_s: float, now_us: int
    ) -> tuple[tuple[Spooled, ...], str]:
        """Sort the batches by their answers; return those that have none to go by, and what is wrong."""
        answers = {(a.stream, a.epoch, a.first, a.next): a for a in reply.answers}
        left: list[Spooled] = []
        wrong = ""
        for batch in attempt.batches:
            answer = answers.get((batch.stream.id, batch.epoch, batch.first, batch.next))
            outcome = outcome_of(batch, answer, attempt.target.receipt_key, now_us)
            if outcome is not None:
                self._outcomes.append((batch, outcome))
            elif answer is not None and answer.status == "busy":
                self._dispatch.failed(batch, now_s)
                self.troubles.note("batches", _held(attempt.url, answer), now_us)
            else:
                left.append(batch)
                wrong = _breach(attempt.url, answer, attempt.target.receipt_key)
        return tuple(left), wrong

    def _heed_key(self, reply: Reply) -> str:
        if not is_key(reply.key):
            return "what the gateway shows as its receipt key is not one: see what listens there"
        if not self._target.receipt_key:
            self._new_key = reply.key
        return ""


def _held(url: str, answer: Answer) -> str:
    return f"{url} holds batches back: {answer.text or answer.code or 'without a reason'}"


def _breach(url: str, answer: Answer | None, key: str) -> str:
    if answer is None:
        return f"{url} left a batch without an answer"
    return (
        f"a receipt of {url} does not hold for what was sent, with the key {key[:16]}...: see whose gateway "
        "it is, or name its key in gateway.receipt_key"
    )


def _damaged(batch: Spooled, now_us: int) -> Outcome:
    loss = Loss(
        id=f"spool_corrupt/{batch.stream.id}/{batch.epoch}/{batch.first}",
        stream=batch.stream,
        epoch=batch.epoch,
        cause="spool_corrupt",
        declared_us=now_us,
        not_before_us=batch.read_from_us,
        not_after_us=batch.read_to_us,
        ranges=((batch.first, batch.next),),
        evidence=f"the spool's frame at position {batch.position} is damaged",
    )
    return Outcome.of(batch, "damaged", now_us, loss=loss)
