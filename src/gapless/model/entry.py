"""Entries of the journal: what the platform knows, in the order in which it became durable."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from gapless.model.batch import BatchHeader
from gapless.model.claim import Loss
from gapless.model.rule import Rule
from gapless.model.signing import Signed


class Kind(IntEnum):
    """The kinds of journal entries, as written in their frames. Numbers are never reused."""

    BATCH = 1
    CLAIMS = 2
    LOSS = 3
    FINDING = 4
    CONFIG = 5
    DECOMMISSION = 6
    RULE = 7


class BatchEntry(msgspec.Struct, frozen=True):
    """A batch as it was received; the entry's body is the compressed payload, byte for byte."""

    header: BatchHeader
    journaled_us: int


class ClaimsEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """An agent's signed claims. The ledger trusts ``received_us`` (our clock) for silence, and the
    agent's own time only against itself. ``not_allowed`` are the identities of streams that the agent's
    token is not for: what the statement says of them counts for nothing."""

    signed: Signed
    received_us: int
    not_allowed: tuple[str, ...] = ()


class LossEntry(msgspec.Struct, frozen=True):
    """A loss that an operator declared."""

    loss: Loss
    by: str


class ConfigEntry(msgspec.Struct, frozen=True):
    """A change of the platform's own configuration (tokens, retention): what, and by whom."""

    at_us: int
    by: str
    change: str


class DecommissionEntry(msgspec.Struct, frozen=True):
    """A stream that ends for good: no row leaves the list of expected streams without one."""

    at_us: int
    by: str
    stream: str
    reason: str


class RuleEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A data collection rule that takes effect, or that is ``deleted`` for good."""

    at_us: int
    by: str
    rule: Rule
    deleted: bool = False
