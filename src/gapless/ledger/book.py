"""The book of one epoch: which account holds each of its seqs. Range arithmetic only.

    claimed      [0, next): what the agent's latest claim, or a batch, says exists
    journaled    what the journal holds
    stored, quarantined, filtered, expired, lost, renumbered
                 where a seq has come to rest; disjoint. ``settled`` is their union, kept beside them, so
                 that a seq posted twice shows at once (I3) and each count has a second measure (I14)
    held         what the agent's latest claim says its spool still holds
    overlooked   journaled, and the lake went past it without storing it, or holds it no more

A seq that is claimed and neither settled, journaled nor held is suspect, and so is one that the lake
overlooked; if it stays so for the lag allowed it is a gap. Gaps leave only by a posting (I13).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal

import msgspec

from gapless.model.batch import Part
from gapless.model.claim import SkippedBytes
from gapless.model.ranges import Range, RangeSet, union
from gapless.model.stream import EpochOpen

Account = Literal["stored", "quarantined", "filtered", "expired"]

_WITNESSES_MAX = 64  # points in time kept for bracketing gaps, which form at the young end
_POINTS_MAX = 1024  # claims kept while the watermark waits; thinned beyond, which only makes it later
_WAITING_MAX = 1024  # batches ahead of the next in order whose source positions are not checked yet
_JUMPS_MAX = 256  # unexplained jumps kept


class Gap(msgspec.Struct):
    """Seqs ``[first, next)`` that no account holds, suspect since ``since_us`` (our clock). They were read
    at their source between the two times (0: nobody can say), going by claims and neighbouring batches."""

    first: int
    next: int
    since_us: int
    not_before_us: int
    not_after_us: int


class Witness(msgspec.Struct, array_like=True):
    """At ``at_us`` all seqs below ``seq`` had been read, and none from ``seq`` on."""

    seq: int
    at_us: int


class EpochBook(msgspec.Struct, kw_only=True):
    """See the module. Counts are records; times are microseconds. ``disputed``: two agents, or one that was
    set back, counted in this epoch."""

    opened: EpochOpen
    first_seen_us: int
    next: int = 0
    claimed_next: int = 0  # by claims alone: what batches say beyond it is still on its way
    closed_next: int | None = None
    journaled: RangeSet = msgspec.field(default_factory=RangeSet)
    stored: RangeSet = msgspec.field(default_factory=RangeSet)
    quarantined: RangeSet = msgspec.field(default_factory=RangeSet)
    filtered: RangeSet = msgspec.field(default_factory=RangeSet)
    expired: RangeSet = msgspec.field(default_factory=RangeSet)
    lost: RangeSet = msgspec.field(default_factory=RangeSet)
    renumbered: RangeSet = msgspec.field(default_factory=RangeSet)
    settled: RangeSet = msgspec.field(default_factory=RangeSet)
    overlooked: RangeSet = msgspec.field(default_factory=RangeSet)
    held: RangeSet = msgspec.field(default_factory=RangeSet)
    refused: RangeSet = msgspec.field(default_factory=RangeSet)
    received_records: int = 0
    duplicate_records: int = 0
    reversed_records: int = 0
    suspects: list[Gap] = msgspec.field(default_factory=list)
    points: list[Witness] = msgspec.field(default_factory=list)
    witnesses: list[Witness] = msgspec.field(default_factory=list)
    watermark_us: int = 0
    last_claim_us: int = 0  # the last claim's time, for the bracket of an end that nobody saw
    files: dict[str, int] = msgspec.field(default_factory=dict)
    followed: int = 0
    waiting: dict[int, tuple[int, tuple[Part, ...]]] = msgspec.field(default_factory=dict)
    jumps: dict[str, tuple[SkippedBytes, int]] = msgspec.field(default_factory=dict)  # by start and file
    explained: dict[str, int] = msgspec.field(default_factory=dict)  # by start and file: to where
    disputed: bool = False

    # -- postings ---------------------------------------------------------------------------------------

    def post_batch(self, first: int, next_: int, read_from_us: int, read_to_us: int) -> None:
        """The journal accepted ``[first, next)``. What was declared lost and arrives is reversed."""
        count = next_ - first
        new = self.journaled.add(first, next_)
        self.received_records += count
        self.duplicate_records += count - new
        self._reverse(first, next_)
        self.next = max(self.next, next_)
        self._witness(first, read_from_us)
        self._witness(next_, read_to_us)

    def post(self, account: Account, first: int, next_: int) -> list[str]:
        """The seqs ``[first, next)`` came to rest in ``account``. Returns what is wrong with that, in words:
        a seq upstream never had (I2), or one that rests elsewhere already (I3). Such seqs are left out."""
        faults: list[str] = []
        unknown = self.journaled.holes(first, next_)
        if unknown:
            faults.append(f"{account} holds {_text(unknown)}, which the journal never had")
        for a, b in self.journaled.overlap(first, next_):
            if account == "expired":
                for rest in (self.stored, self.quarantined):
                    for c, d in rest.overlap(a, b):
                        rest.remove(c, d)
                        self.expired.add(c, d)
                continue
            self._reverse(a, b)  # an earlier loss said that the journal's bytes could not be read
            twice = self.settled.overlap(a, b)
            if twice:
                faults.append(f"{account} was given {_text(twice)} a second time")
            self._settle(self._account(account), a, b)
        return faults

    def vouch(self, first: int, next_: int) -> None:
        """Who had ``[first, next)`` from the journal says so, which cannot be read there any more."""
        self.received_records += self.journaled.add(first, next_)
        self.next = max(self.next, next_)

    def withdraw(self, first: int, next_: int) -> list[str]:
        """The lake holds ``[first, next)`` no more, and will post it anew: until then it is missing, at once.
        Returns what is wrong with that, in words."""
        here = [
            (rest, a, b) for rest in (self.stored, self.quarantined) for a, b in rest.overlap(first, next_)
        ]
        for rest, a, b in here:
            rest.remove(a, b)
            self.settled.remove(a, b)
            self.overlooked.add(a, b)
            self.suspects.append(Gap(a, b, 0, *self.bracket(a, b)))
        count = sum(b - a for _, a, b in here)
        if count < next_ - first:
            return [f"[{first}, {next_}) is withdrawn, of which {count} were stored"]
        return []

    def overlook(self, ranges: RangeSet) -> bool:
        """The lake went past these journaled seqs: those not settled by now it will not store. Returns
        whether there are any."""
        passed = [each for first, next_ in ranges for each in self.settled.holes(first, next_)]
        return self.overlooked.update(passed) > 0

    def unsettled(self) -> RangeSet:
        """What the journal has and is at rest nowhere."""
        return RangeSet(hole for first, next_ in self.journaled for hole in self.settled.holes(first, next_))

    def forget_lake(self) -> None:
        """Another lake is made from the journal: what the one before held counts for nothing."""
        self.stored, self.quarantined, self.filtered, self.expired = (RangeSet() for _ in range(4))
        self.overlooked = RangeSet()
        self.settled = union((self.lost, self.renumbered))

    def lose(self, first: int, next_: int, *, from_journal: bool) -> None:
        """The seqs ``[first, next_)`` are declared lost: those that are nowhere else. With ``from_journal``
        the journal got them, and cannot be read there any more: those of them that are at rest nowhere."""
        for a, b in [(first, next_)] if from_journal else self.journaled.holes(first, next_):
            self._settle(self.lost, a, b)
        self.next = max(self.next, next_)

    def post_renumbered(self, first: int, next_: int) -> None:
        """The records ``[first, next_)`` of this epoch, which was fenced, arrived under other seqs: these do
        not come any more, but for those that the journal has."""
        for a, b in self.journaled.holes(first, next_):
            self._settle(self.renumbered, a, b)
        self.next = max(self.next, next_)
        self.advance()

    def goes_back(self, next_: int) -> bool:
        """Whether to claim ``next_`` is to say less than was said (I5). In a disputed epoch nothing is."""
        return not self.disputed and next_ < self.claimed_next

    def claim(self, next_: int, held: RangeSet, refused: RangeSet, at_us: int) -> bool:
        """An agent's claim. Returns False if its ``next`` went back (I5): it is not taken then. Of a disputed
        epoch no claim is taken any more: whose records it speaks of, nobody can tell."""
        if self.disputed:
            return True
        if self.goes_back(next_):
            return False
        self.claimed_next = next_
        self.next = max(self.next, next_)
        self.hold(held, refused)
        self.last_claim_us = max(self.last_claim_us, at_us)
        self._witness(next_, at_us)
        if self.points and self.points[-1].seq == next_:
            self.points[-1].at_us = max(self.points[-1].at_us, at_us)
        else:
            self.points.append(Witness(next_, at_us))
            if len(self.points) > _POINTS_MAX:
                del self.points[1 : _POINTS_MAX // 2 : 2]
        self.advance()
        return True

    def claim_at_least(self, next_: int) -> None:
        """A claim of somebody who does not know the last word: the seqs below ``next_`` were given. It is no
        witness of its time, and proves no other claim wrong."""
        if not self.disputed:
            self.claimed_next = max(self.claimed_next, next_)
            self.next = max(self.next, next_)

    def hold(self, held: RangeSet, refused: RangeSet) -> None:
        """What an agent's latest claim says its spool holds. In a disputed epoch nothing counts as held."""
        if not self.disputed:
            self.held, self.refused = held, refused

    def dispute(self) -> None:
        """Two counted in this epoch. What was claimed before stays due; what one of them holds may be
        another's, so that nothing counts as held."""
        self.disputed = True
        self.held, self.refused = RangeSet(), RangeSet()

    def close(self, final_next: int) -> None:
        """Nothing follows ``final_next``."""
        self.closed_next = final_next
        self.next = max(self.next, final_next)

    def advance(self) -> None:
        """Move the watermark over the claims that are settled by now."""
        prefix = self.settled.prefix()
        done = 0
        while done < len(self.points) and self.points[done].seq <= prefix:
            self.watermark_us = max(self.watermark_us, self.points[done].at_us)
            done += 1
        # The last point stays: a later claim with the same next moves it.
        del self.points[: min(done, len(self.points) - 1)]

    def redate(self, now_us: int) -> bool:
        """The platform's clock was set back to ``now_us``, if this book knows later times: they prove nothing
        of now. The claims to come say anew up to when all is settled. Returns whether that was so."""
        late = [gap for gap in self.suspects if gap.since_us > now_us]
        for gap in late:
            gap.since_us = now_us
        times = [self.watermark_us, self.last_claim_us, *(point.at_us for point in self.points)]
        if max(times) <= now_us:
            return bool(late)
        self.watermark_us, self.last_claim_us, self.points = 0, min(self.last_claim_us, now_us), []
        self.witnesses = [witness for witness in self.witnesses if witness.at_us <= now_us]
        return True

    # -- source positions (I8) --------------------------------------------------------------------------

    def follow(self, first: int, next_: int, parts: tuple[Part, ...], now_us: int) -> None:
        """Check that the parts of consecutive batches continue their files. Batches that come early wait."""
        if first != self.followed:
            if first > self.followed and len(self.waiting) < _WAITING_MAX:
                self.waiting[first] = (next_, parts)
            return
        while True:
            for part in parts:
                self._follow_part(part, now_us)
            self.followed = next_
            if next_ not in self.waiting:
                return
            next_, parts = self.waiting.pop(next_)

    def explain(self, skipped: SkippedBytes) -> None:
        """A loss says that these bytes were skipped: a jump over them is no discontinuity. There need not be
        one: a file whose end was cut off goes on where it was cut."""
        name = _jump_name(skipped)
        jump = self.jumps.get(name)
        if jump is not None and jump[0] == skipped:
            del self.jumps[name]
            return
        self.explained[name] = skipped.end
        if len(self.explained) > _JUMPS_MAX:
            del self.explained[next(iter(self.explained))]

    def _follow_part(self, part: Part, now_us: int) -> None:
        known = self.files.get(part.file)
        if known is not None and known != part.start:
            jump = SkippedBytes(part.file, known, part.start)
            name = _jump_name(jump)
            if self.explained.get(name) == part.start:
                del self.explained[name]
            elif len(self.jumps) < _JUMPS_MAX:
                self.jumps[name] = (jump, now_us)
        if part.done:
            self.files.pop(part.file, None)
        else:
            self.files[part.file] = part.end

    # -- what the books say -----------------------------------------------------------------------------

    def review(self, now_us: int) -> bool:
        """Find anew what is suspect, keeping since when each seq has been so; return whether it changed."""
        fresh = self.suspected(now_us)
        changed = fresh != self.suspects
        self.suspects = fresh
        return changed

    def suspected(self, now_us: int) -> list[Gap]:
        """What is suspect as of ``now_us``, with since when; changes nothing."""
        if not self.suspects and self.settled.prefix() == self.next:
            return []
        fresh: list[Gap] = []
        for first, next_ in self._unaccounted():
            older = [gap for gap in self.suspects if gap.first < next_ and gap.next > first]
            if older:
                oldest = min(older, key=lambda gap: gap.since_us)
                not_before = min(gap.not_before_us for gap in older)
                not_after = max(gap.not_after_us for gap in older)
                fresh.append(Gap(first, next_, oldest.since_us, not_before, not_after))
            else:
                fresh.append(Gap(first, next_, now_us, *self.bracket(first, next_)))
        return fresh

    def gaps(self, now_us: int, lag_us: int) -> list[Gap]:
        """What has been suspect for the lag allowed."""
        return [gap for gap in self.suspected(now_us) if now_us - gap.since_us >= lag_us]

    def edge(self, gap: Gap) -> str:
        """The hop after the last one that held the gap's seqs (I12)."""
        if self.overlooked.overlap(gap.first, gap.next):
            return "journal to lake"
        if self.refused.overlap(gap.first, gap.next):
            return "refused by the gateway"
        return "spool to journal" if gap.next <= self.claimed_next else "before the spool"

    def reach_us(self, gaps: list[Gap]) -> int:
        """The time of the latest claim below which every seq is settled or in one of ``gaps``: up to there
        it is known what is missing, and what is not. Never before the watermark."""
        known = self.settled.prefix()
        for gap in gaps:  # in order
            if gap.first > known:
                break
            known = self._settled_from(max(known, gap.next))
        index = bisect_right(self.points, known, key=lambda point: point.seq)
        return max(self.watermark_us, self.points[index - 1].at_us if index else 0)

    @property
    def finished(self) -> bool:
        """Closed, and every seq at rest."""
        return self.closed_next is not None and self.settled.prefix() >= max(self.closed_next, self.next)

    def balance(self) -> list[str]:
        """What does not add up: I2, I3 and I14. Empty when the books are right."""
        faults = []
        rests = (self.stored, self.quarantined, self.filtered, self.expired, self.lost, self.renumbered)
        if sum(rest.total for rest in rests) != self.settled.total:
            faults.append("the accounts are not disjoint")
        for ranges in (*rests, self.journaled, self.settled):
            if ranges.counted_anew() != ranges.total:
                faults.append("a counter differs from its ranges")
        if self.received_records != self.journaled.total + self.duplicate_records:
            faults.append("received is not unique plus duplicates")
        if self.journaled.end() > self.next:
            faults.append("the journal holds more than is known to exist")
        return faults

    def bracket(self, first: int, next_: int) -> Range:
        """Between which times the seqs ``[first, next)`` were read, as far as witnesses tell."""
        before = [point.at_us for point in self.witnesses if point.seq <= first]
        after = [point.at_us for point in self.witnesses if point.seq >= next_]
        return max(before, default=self.first_seen_us), min(after, default=self.last_claim_us)

    # -- private ----------------------------------------------------------------------------------------

    def _account(self, account: Account) -> RangeSet:
        ranges: RangeSet = getattr(self, account)
        return ranges

    def _reverse(self, first: int, next_: int) -> None:
        """What was declared lost, or renumbered, turns up after all."""
        for a, b in self.lost.overlap(first, next_):
            self.lost.remove(a, b)
            self.settled.remove(a, b)
            self.reversed_records += b - a
        for a, b in self.renumbered.overlap(first, next_):
            self.renumbered.remove(a, b)
            self.settled.remove(a, b)

    def _settle(self, ranges: RangeSet, first: int, next_: int) -> None:
        for a, b in self.settled.holes(first, next_):
            self.settled.add(a, b)
            ranges.add(a, b)
            self.overlooked.remove(a, b)

    def _settled_from(self, seq: int) -> int:
        held = self.settled.overlap(seq, self.next)
        return held[0][1] if held and held[0][0] == seq else seq

    def _unaccounted(self) -> list[Range]:
        """Claimed, and neither journaled, settled nor held; or overlooked."""
        nowhere = [
            (e, f)
            for a, b in self.journaled.holes(0, self.next)
            for c, d in self.settled.holes(a, b)
            for e, f in self.held.holes(c, d)
        ]
        return sorted([*nowhere, *self.overlooked])

    def _witness(self, seq: int, at_us: int) -> None:
        self.witnesses.append(Witness(seq, at_us))
        if len(self.witnesses) > 2 * _WITNESSES_MAX:
            del self.witnesses[:_WITNESSES_MAX]


def _jump_name(skipped: SkippedBytes) -> str:
    return f"{skipped.start}/{skipped.file}"


def _text(ranges: list[Range]) -> str:
    return ", ".join(f"[{first}, {next_})" for first, next_ in ranges[:8])
