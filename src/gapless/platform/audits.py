"""Audits and findings as programs read them: the shapes of `GET /v1/audit` and `GET /v1/findings`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from gapless.ledger.audit import Audit, EpochReport, GapReport, StreamReport
from gapless.ledger.book import EpochBook
from gapless.model.claim import Loss
from gapless.model.finding import NOTED, Finding, FindingKind


def iso(at_us: int) -> str | None:
    """A time as ISO 8601 in UTC with microseconds; None for 0, which means that nobody can say."""
    if not at_us:
        return None
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


class FindingShown(msgspec.Struct, frozen=True, kw_only=True):
    """A finding; "noted" is what happened once and asks for nothing. ``table``, ``agent``, ``stream`` and
    ``epoch`` are empty where it is not about one; ``count`` are the records that it concerned at most, 0
    where that cannot be said."""

    id: str
    kind: FindingKind
    state: Literal["open", "closed", "noted"]
    tenant: str
    table: str
    agent: str
    stream: str
    epoch: str
    count: int
    edge: str
    text: str
    opened: str | None
    closed: str | None
    opened_us: int
    closed_us: int | None


class FindingsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Findings, newest first. ``audited`` is when the auditor last looked at books that had caught up with
    the journal (None: not yet): what came later is not among them."""

    audited: str | None
    findings: list[FindingShown]


def finding_shown(opening: Finding, closed_us: int | None) -> FindingShown:
    """A finding from its opening and the time at which it was closed, None if it is open."""
    return FindingShown(
        id=opening.id,
        kind=opening.kind,
        state="noted" if opening.kind in NOTED else "open" if closed_us is None else "closed",
        tenant=opening.tenant,
        table=opening.table,
        agent=opening.agent,
        stream=opening.stream,
        epoch=opening.epoch,
        count=opening.count,
        edge=opening.edge,
        text=opening.text,
        opened=iso(opening.at_us),
        closed=None if closed_us is None else iso(closed_us),
        opened_us=opening.at_us,
        closed_us=closed_us,
    )


def audit_json(report: Audit, audited_us: int, findings: list[FindingShown]) -> dict[str, Any]:
    """An audit in the shape of ``gapless audit --format json``: one row for each epoch of each stream."""
    return {
        "as_of": iso(report.as_of_us),
        "audited": iso(audited_us),
        "verdict": report.verdict,
        "through": iso(report.through_us),
        "reasons": list(report.reasons),
        "totals": msgspec.structs.asdict(report.totals),
        "streams": [_row(stream, epoch) for stream in report.streams for epoch in stream.epochs],
        "findings": findings,
    }


def _row(stream: StreamReport, epoch: EpochReport) -> dict[str, Any]:
    key, counts = stream.book.key, epoch.counts
    return {
        "tenant": key.tenant,
        "table": key.table,
        "agent": key.agent,
        "source": key.source,
        "stream": stream.stream,
        "epoch": epoch.epoch,
        "coverage": stream.book.coverage,
        "state": epoch.state,
        **msgspec.structs.asdict(counts),
        "watermark": iso(epoch.watermark_us),
        "unclosed": epoch.unclosed,
        "open_end": _bracket(epoch.open_end),
        "gaps": [_gap(gap) for gap in epoch.gaps],
        "losses": [_loss(loss) for loss in stream.losses if loss.epoch == epoch.epoch],
        "discontinuities": _discontinuities(stream.book.epochs[epoch.epoch]),
    }


def _discontinuities(book: EpochBook) -> list[dict[str, Any]]:
    """Jumps in the source that no loss explains: bytes of a file (I8)."""
    return [
        {"file": jump.file, "from": jump.start, "to": jump.end, "seen": iso(seen_us)}
        for jump, seen_us in book.jumps.values()
    ]


def _bracket(open_end: tuple[int, int] | None) -> dict[str, Any] | None:
    """Between which times an epoch ended, of which nothing says how far it went."""
    return None if open_end is None else {"not_before": iso(open_end[0]), "not_after": iso(open_end[1])}


def _gap(gap: GapReport) -> dict[str, Any]:
    return {
        "first": gap.first,
        "next": gap.next,
        "not_before": iso(gap.not_before_us),
        "not_after": iso(gap.not_after_us),
        "edge": gap.edge,
    }


def _loss(loss: Loss) -> dict[str, Any]:
    return {
        "id": loss.id,
        "cause": loss.cause,
        "ranges": [list(each) for each in loss.ranges],
        "records": loss.count if loss.ranges else None,
        "bytes": loss.bytes_lost,
        "declared": iso(loss.declared_us),
        "not_before": iso(loss.not_before_us),
        "not_after": iso(loss.not_after_us),
        "evidence": loss.evidence,
    }
