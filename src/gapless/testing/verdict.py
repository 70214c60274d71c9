"""What must hold when the faults are over: every record has an account, and nothing untrue is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from gapless.ledger.audit import Audit, EpochReport
from gapless.ledger.book import EpochBook, Gap
from gapless.ledger.ledger import Ledger, StreamBook
from gapless.model.claim import Loss, SkippedBytes
from gapless.model.finding import LASTING
from gapless.model.ranges import RangeSet
from gapless.testing.agent_host import AgentHost
from gapless.testing.oracle import PLATFORM, Oracle, Violation
from gapless.testing.platform_host import PlatformHost
from gapless.testing.source_host import Content, Written

#: Causes, made to happen, after which records that were spooled may be lost, or their end unknown.
LOSING = frozenset(
    {"spool damaged", "spool declared", "disk lost", "rolled back", "receipt without bytes", "decommissioned"}
)
_SOURCE_LOSSES = ("source_truncated", "source_deleted")
#: Findings that stay open where the journal was damaged.
_OF_DAMAGE = ("gap", "books_unbalanced")
#: What books prove about a moment so long ago, beyond the time in which records come to rest.
_PROVEN_S = 60.0


#: By the file, ranges of its bytes; None where nobody was looking, so that nobody can say how much.
Explained = dict[Content | None, list[SkippedBytes | None]]


class Waiting(NamedTuple):
    """What is not over yet, in words, and the rule by which it has to be."""

    check: str
    text: str


class Verdict:
    """Judges one simulation."""

    def __init__(self, oracle: Oracle, platform: PlatformHost, hosts: Sequence[AgentHost]) -> None:
        self._oracle = oracle
        self._platform = platform
        self._hosts = hosts
        self.unwitnessed = 0
        self._lakes = 0
        self._looked: dict[Content, tuple[int, list[Written]]] = {}  # how many, and those not at rest

    def sound(self) -> None:
        """At any time: "complete" is never said of what is not, nor of nothing."""
        ledger = self._platform.store.seen()
        if self._platform.audit(ledger, "nobody").verdict != "unknown":
            raise Violation("0 of 0 is not complete", "a tenant without streams is called complete")
        report = self._platform.audit(ledger)
        for stream in report.streams:
            if stream.state == "closed":  # no simulation takes a source out of a configuration
                raise Violation("no stream ends unasked", f"{stream.book.name} was closed")
            asked = "decommissioned" in self._oracle.excuses.get(stream.book.key.agent, ())
            if stream.state == "decommissioned" and not asked:
                raise Violation("no stream ends unasked", f"{stream.book.name} was decommissioned")
        if report.verdict != "complete":
            return
        oracle = self._oracle
        # What is said is said as of the platform's own clock, which may be wrong.
        now_us = min(oracle.loop.now_us, self._platform.clock.now_us())
        before_us = now_us - int((self._platform.allowed.settle_s + _PROVEN_S) * 1e6)
        for record in oracle.waiting:
            at_us = oracle.spooled_us[record]
            if at_us < before_us and not self._unheard_of(record, ledger):
                age_s = (now_us - at_us) / 1e6
                raise Violation("complete means complete", f"{record[:40]!r} was read {age_s:.0f} s ago")
        expected = {stream.book.key.agent for stream in report.streams if stream.state != "decommissioned"}
        for host in self._hosts:
            named = self._named(host.name)
            down_since_s = [each.down_since_s for each in named if each.down_since_s is not None]
            if host.name not in expected or len(down_since_s) < len(named):
                continue  # who has the same name and key speaks for it
            silent_s = oracle.loop.now_s - max(down_since_s)
            if silent_s > 3 * host.config.agent.claim_interval_s + _PROVEN_S:
                raise Violation("silence is not complete", f"{host.name} was down for {silent_s:.0f} s")

    def waits_for(self) -> Waiting | None:
        """What is not over yet; None when all has come to rest."""
        ledger = self._platform.store.seen()
        for text in self._without_account(ledger):
            return Waiting("every record has an account", text)
        wanted = self._wanted(ledger)
        report = self._platform.audit(ledger)
        if report.verdict not in wanted:
            reasons = "; ".join(report.reasons[:4])
            return Waiting("the verdict is right", f"it is {report.verdict}, not {wanted}: {reasons}")
        if self._platform.store.read_upto < self._platform.catalog.last_id:
            return Waiting("the books are right", "they are behind the lake")
        for finding in self._open_findings():
            return Waiting("findings end", f"still open: {finding}")
        return None

    def final(self) -> None:
        """The books say what the lake has, and no seq is lost that is there."""
        ledger = self._platform.store.seen()
        self._check_doubles()
        for stream_id, stream in ledger.streams.items():
            for loss in stream.losses.values():
                if not self._excuses(stream.key.agent):
                    self._check_source_loss(loss)
            for epoch, book in stream.epochs.items():
                self._compare(stream_id, epoch, book, bool(self._excuses(stream.key.agent)))

    def _compare(self, stream_id: str, epoch: str, book: EpochBook, excused: bool) -> None:
        rows = _runs(sorted(self._oracle.lake[stream_id, epoch]))
        rest = RangeSet(book.stored)
        rest.update(book.quarantined)
        rotten = self._oracle.rotten[stream_id, epoch]
        if _without(rotten, rows) != _without(rotten, rest):
            raise Violation("the books are right", f"{epoch}: the lake has {rows}, the books {rest}")
        filtered = self._oracle.filtered[stream_id, epoch]
        if _without(rotten, book.filtered) != _without(rotten, filtered):
            text = f"{epoch}: a rule kept {filtered} out of the lake, the books say {book.filtered}"
            raise Violation("the books are right", text)
        if _without(rotten, book.lost) and not excused:
            raise Violation("no loss without cause", f"{epoch}: {book.lost} are declared lost")
        now_us, lag_us = self._platform.clock.now_us(), int(self._platform.allowed.lag_s * 1e6)
        for gap in book.gaps(now_us, lag_us):
            self._check_gap(stream_id, epoch, gap)
        for first, next_ in book.lost:
            if rows.overlap(first, next_):
                raise Violation("loss is exact", f"{epoch}: [{first}, {next_}) is lost and partly stored")
            spooled = self._oracle.spooled[stream_id, epoch]
            if any(seq not in spooled for seq in range(first, next_)):
                raise Violation("loss is exact", f"{epoch}: [{first}, {next_}) was never all spooled")

    def _check_doubles(self) -> None:
        """Without a cause, no record is stored under two seqs."""
        if any(self._excuses(host.name) for host in self._hosts) or any(
            host.sources.copied for host in self._hosts
        ):
            return
        seen = dict[bytes, tuple[str, int]]()
        for (_, epoch), rows in self._oracle.lake.items():
            for seq, record in rows.items():
                if (known := seen.setdefault(record, (epoch, seq))) != (epoch, seq):
                    text = f"{record[:40]!r} is seq {known[1]} of {known[0]} and seq {seq} of {epoch}"
                    raise Violation("no record is stored twice", text)

    def _check_source_loss(self, loss: Loss) -> None:
        """What a source is said to have lost exactly is not all in the lake."""
        content = self._oracle.files.get(self._oracle.loss_files.get(loss.id, ""))
        if content is None or loss.skipped is None or loss.cause not in _SOURCE_LOSSES:
            return
        lost = [
            each
            for each in content.written
            if each.start < loss.skipped.end and each.end > loss.skipped.start
        ]
        if lost and all(each.record in self._oracle.at_rest for each in lost):
            text = f"all of {content.path} {loss.skipped} is at rest: {loss.evidence}"
            raise Violation("no loss without cause", text)

    def _check_gap(self, stream_id: str, epoch: str, gap: Gap) -> None:
        """What is missing is nowhere, nor under the seq that it was given instead, unless the journal had it
        under both, and lost it under the first."""
        for seq in range(gap.first, gap.next):
            if self._oracle.rotten[stream_id, epoch].overlap(seq, seq + 1):
                continue
            now = self._oracle.renumbered.get((stream_id, epoch, seq))
            while now is not None:
                if now[1] in self._oracle.lake[stream_id, now[0]]:
                    raise Violation("what is missing is nowhere", f"seq {seq} of {epoch} is now {now}")
                now = self._oracle.renumbered.get((stream_id, *now))

    def _wanted(self, ledger: Ledger) -> tuple[str, ...]:
        excuses = {excuse for host in self._hosts for excuse in self._excuses(host.name)}
        if excuses - {"decommissioned"} or PLATFORM in self._oracle.excuses:
            return ("complete", "incomplete", "unknown")
        known = any(stream.losses or self._missing(stream) for stream in ledger.streams.values())
        return ("incomplete",) if known else ("complete",)

    def _missing(self, stream: StreamBook) -> bool:
        """Whether anything of a stream is known to be missing."""
        now_us, lag_us = self._platform.clock.now_us(), int(self._platform.allowed.lag_s * 1e6)
        return any(book.gaps(now_us, lag_us) for book in stream.epochs.values())

    def _unheard_of(self, record: bytes, ledger: Ledger) -> bool:
        """Whether nobody can know of a record: it went with a machine that was taken away, or with the state
        of one that was set back, or two machines have one name and count as one; and no word of what was only
        in that one's spool arrived."""
        emission = self._oracle.emitted[record]
        named = self._named(emission.agent)
        if len(named) == 1 and not named[0].removed and "rolled back" not in self._excuses(emission.agent):
            return False
        stream = ledger.streams.get(emission.stream)
        books = {} if stream is None else stream.epochs
        return all(
            epoch not in books
            or seq >= books[epoch].next
            or (self._is_taken(stream_id, epoch, seq) and not books[epoch].disputed)
            for stream_id, epoch, seq in self._oracle.identities.get(record, ())
        )

    def _named(self, name: str) -> list[AgentHost]:
        """The machines that have a name: a clone has the original's."""
        return [host for host in self._hosts if host.name == name]

    def _is_taken(self, stream_id: str, epoch: str, seq: int) -> bool:
        """Whether the lake has a record with this seq, or a rule kept it out."""
        key = stream_id, epoch
        return seq in self._oracle.lake[key] or bool(self._oracle.filtered[key].overlap(seq, seq + 1))

    def _open_findings(self) -> Iterator[str]:
        store = self._platform.store
        for finding in store.findings.values():
            excuses = self._excuses(finding.agent)
            excused = finding.kind == "gap" if excuses == {"decommissioned"} else bool(excuses)
            excused = excused or (finding.kind in _OF_DAMAGE and PLATFORM in self._oracle.excuses)
            if finding.kind in LASTING and finding.id not in store.closed_us and not excused:
                yield finding.text

    def _excuses(self, agent: str) -> set[str]:
        return self._oracle.excuses.get(agent, set()) & LOSING

    # -- records ----------------------------------------------------------------------------------------

    def _without_account(self, ledger: Ledger) -> Iterator[str]:
        self.unwitnessed = 0
        report = self._platform.audit(ledger)
        explained = {
            id_: self._explained([*stream.losses.values(), *self._oracle.rotten_losses])
            for id_, stream in ledger.streams.items()
        }
        for host in self._hosts:
            patterns = [path for source in host.config.sources for path in getattr(source, "paths", ())]
            shown = host.sources.shown(patterns)
            for content in host.sources.contents:
                for written in self._left(content):
                    explain = explained.get(self._oracle.emitted[written.record].stream, {})
                    yield from self._explain(
                        host, content, written, content in shown, explain, ledger, report
                    )

    def _left(self, content: Content) -> list[Written]:
        """The records of a file that may not be at rest: what was, at the last look, is, in the same lake."""
        if self._lakes != self._platform.lakes:
            self._lakes = self._platform.lakes
            self._looked.clear()
        known, left = self._looked.get(content, (0, []))
        at_rest = self._oracle.at_rest
        left = [each for each in (*left, *content.written[known:]) if each.record not in at_rest]
        self._looked[content] = len(content.written), left
        return left

    def _explain(
        self,
        host: AgentHost,
        content: Content,
        written: Written,
        shown: bool,
        explained: Explained,
        ledger: Ledger,
        report: Audit,
    ) -> Iterator[str]:
        excuses = self._excuses(host.name)
        if self._unheard_of(written.record, ledger):
            self.unwitnessed += 1
            return
        if (excuses or self._is_rotten(written.record)) and self._posted(written.record, ledger, report):
            return
        if "decommissioned" in excuses and self._is_disputed(written.record, ledger):
            return
        if "spool damaged" in excuses and self._may_be_beyond_an_end(content, written.record, report):
            return
        if not shown:
            skipped = (*explained.get(content.first, ()), *explained.get(None, ()))
            if any(each is None or each.start <= written.start < each.end for each in skipped):
                return
            if written.end > self._oracle.known_bytes.get(content, 0) or excuses & {
                "disk lost",
                "rolled back",
            }:
                self.unwitnessed += 1
                return
        where = "there" if shown else "gone"
        place = f"{content.path} [{written.start}, {written.end})"
        yield f"{written.record[:40]!r} of {place}, {where}, has no account"

    def _is_rotten(self, record: bytes) -> bool:
        """Whether a damaged entry of the journal held it."""
        rotten = self._oracle.rotten
        return any(
            (stream, epoch) in rotten and rotten[stream, epoch].overlap(seq, seq + 1)
            for stream, epoch, seq in self._oracle.identities.get(record, ())
        )

    def _is_disputed(self, record: bytes, ledger: Ledger) -> bool:
        """Whether two counted in an epoch that it had a seq of: whose seq that is, nobody can tell."""
        for stream_id, epoch, _ in self._oracle.identities.get(record, ()):
            stream = ledger.streams.get(stream_id)
            book = stream.epochs.get(epoch) if stream else None
            if book is not None and book.disputed:
                return True
        return False

    def _may_be_beyond_an_end(self, content: Content, record: bytes, report: Audit) -> bool:
        """Whether, while it was there to be read, an epoch ended of which the audit says that nothing tells
        how far it went: what the agent knew of the file was in its spool."""
        emission = self._oracle.emitted[record]
        gone_us = content.destroyed_us or self._oracle.loop.now_us
        ends = [epoch.open_end for epoch in _epochs(report, emission.stream) if epoch.open_end is not None]
        return any(from_us <= gone_us and (to_us or gone_us) >= emission.at_us for from_us, to_us in ends)

    def _posted(self, record: bytes, ledger: Ledger, report: Audit) -> bool:
        """Whether one of the identities that the record had is lost, missing, or beyond an unknown end."""
        for stream_id, epoch, seq in self._oracle.identities.get(record, ()):
            stream = ledger.streams.get(stream_id)
            book = stream.epochs.get(epoch) if stream else None
            if stream is None or book is None:
                return bool(stream and any(e.unclosed for e in _epochs(report, stream_id)))
            if seq in book.lost or (book.closed_next is None and epoch != stream.current):
                return True
            if book.disputed and any(
                loss.epoch == epoch and any(first <= seq < next_ for first, next_ in loss.ranges)
                for loss in stream.losses.values()
            ):
                return True  # it was declared lost, though the journal has another's record of that seq
            gaps = book.gaps(self._platform.clock.now_us(), int(self._platform.allowed.lag_s * 1e6))
            if any(gap.first <= seq < gap.next for gap in gaps):
                return True
        return False

    def _explained(self, losses: Iterable[Loss]) -> Explained:
        """What losses of sources explain, by the file that they are of (None: nobody knows which)."""
        explained: Explained = {}
        for loss in losses:
            if loss.cause in _SOURCE_LOSSES:
                whose = self._oracle.files.get(self._oracle.loss_files.get(loss.id, ""))
                explained.setdefault(whose and whose.first, []).append(loss.skipped)
        return explained


def _without(others: RangeSet, ranges: RangeSet) -> RangeSet:
    return RangeSet(hole for first, next_ in ranges for hole in others.holes(first, next_))


def _runs(seqs: Sequence[int]) -> RangeSet:
    """Seqs in their order, as ranges."""
    edges = [at for at in range(1, len(seqs)) if seqs[at] != seqs[at - 1] + 1]
    return RangeSet((seqs[a], seqs[b - 1] + 1) for a, b in pairwise([0, *edges, len(seqs)]) if a < b)


def _epochs(report: Audit, stream_id: str) -> list[EpochReport]:
    return [epoch for stream in report.streams if stream.stream == stream_id for epoch in stream.epochs]
