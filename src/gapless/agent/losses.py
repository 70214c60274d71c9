"""What a spool gives up, as losses. The same records given up again make a loss of the same identity."""

from __future__ import annotations

from collections.abc import Iterable

from gapless.agent.acks import Acks
from gapless.agent.follow import Spooled
from gapless.agent.state import Hole
from gapless.model.claim import Loss, LossCause
from gapless.model.ranges import Range, RangeSet
from gapless.model.stream import StreamKey


def losses_of(
    batches: Iterable[Spooled], acks: Acks, now_us: int, evidence: str, cause: LossCause = "spool_full"
) -> list[Loss]:
    """One loss for each epoch, of those batches that have no receipt."""
    lost: dict[tuple[StreamKey, str], list[Spooled]] = {}
    for batch in batches:
        if not acks.settles(batch):
            lost.setdefault((batch.stream, batch.epoch), []).append(batch)
    return [
        _loss(
            stream,
            epoch,
            cause,
            list(RangeSet((each.first, each.next) for each in gone)),
            (min(each.read_from_us for each in gone), max(each.read_to_us for each in gone)),
            now_us,
            evidence,
        )
        for (stream, epoch), gone in lost.items()
    ]


def loss_of_hole(hole: Hole, acks: Acks, now_us: int) -> Loss | None:
    """What a damaged part of the spool held and has no receipt; None if all of it has."""
    receipts = RangeSet(
        (outcome.first, outcome.next)
        for outcome in acks.outcomes.values()
        if outcome.what == "receipt" and (outcome.stream, outcome.epoch) == (hole.stream.id, hole.epoch)
    )
    ranges = receipts.holes(hole.first, hole.next)
    if not ranges:
        return None
    evidence = f"the spool could not be read before position {hole.before}"
    return _loss(hole.stream, hole.epoch, "spool_corrupt", ranges, (0, now_us), now_us, evidence)


def _loss(
    stream: StreamKey,
    epoch: str,
    cause: LossCause,
    ranges: list[Range],
    bracket: tuple[int, int],
    now_us: int,
    evidence: str,
) -> Loss:
    return Loss(
        id=f"{cause}/{stream.id}/{epoch}/{ranges[0][0]}",
        stream=stream,
        epoch=epoch,
        cause=cause,
        declared_us=now_us,
        not_before_us=bracket[0],
        not_after_us=bracket[1],
        ranges=tuple(ranges),
        evidence=evidence,
    )
