"""What the books say of one record: of one that the journal does not have, all that is known."""

from __future__ import annotations

from gapless import clock
from gapless.gateway.problems import Problem
from gapless.ledger.audit import audit
from gapless.ledger.ledger import Ledger, StreamBook
from gapless.ledger.states import Allowances
from gapless.platform.audits import iso
from gapless.platform.record_answer import GapShown, LossShown, Rest, Wanted


def not_found(text: str) -> Problem:
    """The answer to an id that is no record's, as far as the tenant may know."""
    return Problem(404, "not_found", text)


def unjournaled(ledger: Ledger, wanted: Wanted) -> Rest:
    """What the books say of a record that the journal does not have. Raises Problem 404 if nothing at all."""
    stream = ledger.streams[wanted.stream]
    epoch = stream.epochs.get(wanted.epoch)
    seq = wanted.seq
    if epoch is None:
        raise not_found(f"stream {wanted.stream} has no epoch {wanted.epoch}: see `gapless audit`")
    if seq >= epoch.next:
        raise not_found(f"nothing is known of seq {seq}: this epoch has those below {epoch.next} so far")
    if seq in epoch.journaled:
        return Rest("pending", "the journal got it a moment ago: ask again")
    if seq in epoch.lost:
        return Rest("lost", "it was declared lost", loss=_loss(stream, wanted.epoch, seq))
    if seq in epoch.renumbered:
        return Rest("renumbered", "its epoch was fenced: it arrived under another seq of a later one")
    gap = _gap(ledger, wanted)
    if gap is not None:
        return Rest("missing", f"it was read at its source and is nowhere; gone: {gap.edge}", gap=gap)
    if seq in epoch.refused:
        return Rest("pending", "the gateway refused it, and the agent's spool still holds it")
    if seq in epoch.held:
        return Rest("pending", "the agent's spool holds it")
    return Rest("pending", "the agent has read it, and it is on its way")


def _gap(ledger: Ledger, wanted: Wanted) -> GapShown | None:
    report = audit(ledger, clock.now_us(), tenant=wanted.tenant, table=wanted.table, allowed=Allowances())
    for stream in report.streams:
        for epoch in stream.epochs:
            if (epoch.stream, epoch.epoch) != (wanted.stream, wanted.epoch):
                continue
            for gap in epoch.gaps:
                if gap.first <= wanted.seq < gap.next:
                    return GapShown(
                        first=gap.first,
                        next=gap.next,
                        not_before=iso(gap.not_before_us),
                        not_after=iso(gap.not_after_us),
                        edge=gap.edge,
                    )
    return None


def _loss(stream: StreamBook, epoch: str, seq: int) -> LossShown | None:
    for loss in stream.losses.values():
        if loss.epoch == epoch and any(first <= seq < next_ for first, next_ in loss.ranges):
            return LossShown(
                id=loss.id, cause=loss.cause, declared=iso(loss.declared_us), evidence=loss.evidence
            )
    return None
