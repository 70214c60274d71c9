"""Receipts: the platform's signed word that a batch is durable in its journal.

What it means: these bytes, under this identity, were synced to the journal at this position before the
receipt was made. What it does not mean: that they parsed, or that they were delivered anywhere.
"""

from __future__ import annotations

import msgspec

from gapless.model.stream import StreamKey


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """``digest`` is that of the batch's compressed payload; ``position`` is where the journal holds it."""

    stream: StreamKey
    epoch: str
    first: int
    next: int
    digest: str
    position: int
    journaled_us: int
    v: int = 1
