"""Findings: what the auditor saw, when it began and when it ended."""

from __future__ import annotations

from typing import Literal

import msgspec

FindingKind = Literal[
    "gap",
    "loss_declared",
    "upload_stalled",
    "reader_stuck",
    "claims_down",
    "stream_dead",
    "agent_silent",
    "spool_filling",
    "fork",
    "rollback",
    "epoch_unclosed",
    "discontinuity",
    "agent_restart",
    "agent_key_changed",
    "refused_batches",
    "lake_stalled",
    "lake_damaged",
    "file_damaged",
    "journal_damaged",
    "batch_quarantined",
    "books_unbalanced",
]

#: Kinds that last: open while what they say holds, closed when it is over. The others happen once, and
#: nothing closes them by itself. Of "file_damaged" the lake says both; of the others the books do.
LASTING: frozenset[FindingKind] = frozenset(
    {
        "gap",
        "upload_stalled",
        "reader_stuck",
        "claims_down",
        "stream_dead",
        "agent_silent",
        "spool_filling",
        "epoch_unclosed",
        "discontinuity",
        "refused_batches",
        "lake_stalled",
        "file_damaged",
        "books_unbalanced",
    }
)

#: Kinds that are noted once and ask for nothing by themselves: never shown as open.
NOTED: frozenset[FindingKind] = frozenset({"agent_restart", "loss_declared", "agent_key_changed"})


class Finding(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One change in what the auditor sees. ``id`` is the same for the opening and the closing entry.

    ``stream`` is a stream's identity or empty (agent or platform as a whole); ``count`` the records it
    concerns, where that can be said (in a closing entry the most that it ever did); ``edge`` the hop after
    the last one that held them (I12). ``text`` is one sentence for a person.
    """

    id: str
    kind: FindingKind
    at_us: int
    state: Literal["opened", "closed"]
    text: str
    tenant: str = ""
    table: str = ""
    agent: str = ""
    stream: str = ""
    epoch: str = ""
    count: int = 0
    edge: str = ""
