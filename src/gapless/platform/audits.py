"""`GET /v1/audit`: the books of a tenant, judged now, as programs read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gapless.ledger.audit import Audit, EpochReport, GapReport, StreamReport
from gapless.model.claim import Loss


def iso(at_us: int) -> str | None:
    """A time as ISO 8601 in UTC with microseconds; None for 0, which means that nobody can say."""
    if not at_us:
        return None
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def audit_json(report: Audit) -> dict[str, Any]:
    """An audit in the shape of ``gapless audit --format json``: one row for each epoch of each stream."""
    totals = report.totals
    return {
        "as_of": iso(report.as_of_us),
        "verdict": report.verdict,
        "through": iso(report.through_us),
        "reasons": list(report.reasons),
        "totals": {name: getattr(totals, name) for name in totals.__struct_fields__},
        "streams": [_row(stream, epoch) for stream in report.streams for epoch in stream.epochs],
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
        "state": epoch.state,
        **{name: getattr(counts, name) for name in counts.__struct_fields__},
        "watermark": iso(epoch.watermark_us),
        "unclosed": epoch.unclosed,
        "gaps": [_gap(gap) for gap in epoch.gaps],
        "losses": [_loss(loss) for loss in stream.losses if loss.epoch == epoch.epoch],
    }


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
