"""Findings that last: what is open, and what changed since the last look.

A plain state machine over conditions. A finding's id is its condition's key and the time at which it began,
so that the same condition, come again, is another finding; and so that whoever has only the entries of the
journal can tell which conditions are open.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from gapless.ledger.conditions import Condition
from gapless.model.finding import LASTING, Finding, FindingKind

_OVER: dict[FindingKind, str] = {
    "gap": "no record of the epoch is missing any more",
    "upload_stalled": "the upload goes on",
    "reader_stuck": "the reader goes on",
    "claims_down": "claims arrive again, or nothing does",
    "stream_dead": "the stream is claimed again, or its whole agent is silent, or it ended",
    "agent_silent": "the agent is heard again, or its streams ended",
    "spool_filling": "the spool does not fill any more",
    "epoch_unclosed": "it is known now where the epoch ended",
    "discontinuity": "a loss explains the jump",
    "refused_batches": "the spool holds nothing any more that the gateway refuses",
    "lake_stalled": "the lake goes on",
    "books_unbalanced": "the accounts add up again",
}

_DIGITS_MAX = 18  # of a time in an id


class Changes(NamedTuple):
    """What a look brought: ``told`` are openings and closings, for the journal; ``grown`` are findings that
    are open already and concern more records now than they ever did."""

    told: list[Finding]
    grown: list[Finding]


class Findings:
    """The lasting findings that are open, by their condition's key. ``last_us`` is the time in the newest id:
    kept, it keeps ids apart whatever the clock does."""

    def __init__(self, known: Iterable[Finding] = (), last_us: int = 0) -> None:
        self.open: dict[str, Finding] = {}
        self.last_us = last_us
        for finding in known:
            self.adopt(finding)

    def adopt(self, finding: Finding) -> list[Finding]:
        """Take over a finding that is known from the journal. Returns what has to be told because of it: if
        its condition is open under another id already, it is closed."""
        key, begun_us = _key(finding)
        if not key:
            return []
        self.last_us = max(self.last_us, begun_us)
        known = self.open.get(key)
        if finding.state == "closed":
            if known is not None and known.id == finding.id:
                del self.open[key]
            return []
        if known is not None and known.id != finding.id:
            return [_closed(finding, finding.at_us)]
        self.open[key] = finding
        return []

    def step(self, now: Iterable[Condition], now_us: int) -> Changes:
        """Compare what is open with the conditions as of ``now_us``: open what is new, close what is over."""
        begun_us = max(now_us, self.last_us + 1)
        changes = Changes([], [])
        still: set[str] = set()
        for condition in now:
            still.add(condition.key)
            known = self.open.get(condition.key)
            if known is None:
                if condition.opens:
                    self.open[condition.key] = opened = _opened(condition, begun_us, now_us)
                    changes.told.append(opened)
                    self.last_us = begun_us
            elif condition.count > known.count:
                grown = msgspec.structs.replace(known, count=condition.count, text=condition.text)
                self.open[condition.key] = grown
                changes.grown.append(grown)
        for key in self.open.keys() - still:
            changes.told.append(_closed(self.open.pop(key), now_us))
        return changes


def _opened(condition: Condition, begun_us: int, now_us: int) -> Finding:
    return Finding(
        id=f"{condition.key}/{begun_us}",
        kind=condition.kind,
        at_us=now_us,
        state="opened",
        text=condition.text,
        tenant=condition.tenant,
        table=condition.table,
        agent=condition.agent,
        stream=condition.stream,
        epoch=condition.epoch,
        count=condition.count,
        edge=condition.edge,
    )


def _closed(finding: Finding, now_us: int) -> Finding:
    lasted_s = max(0, now_us - finding.at_us) / 1e6
    whose = finding.text.partition(": ")[0]
    text = f"{whose}: {_OVER[finding.kind]}, after {lasted_s:.0f} s"
    return msgspec.structs.replace(finding, state="closed", at_us=now_us, text=text)


def _key(finding: Finding) -> tuple[str, int]:
    """The key of a finding's condition and the time in its id; none for what no condition gave rise to."""
    key, _, begun = finding.id.rpartition("/")
    ours = finding.kind in LASTING and key.partition("/")[0] == finding.kind
    if not (ours and begun.isascii() and begun.isdecimal() and len(begun) <= _DIGITS_MAX):
        return "", 0
    return key, int(begun)
