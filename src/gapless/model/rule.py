"""Data collection rules: which streams of records clients may upload, and to which tables they go.

Names and limits are those of Azure Monitor's data collection rules, so that its clients need no others.
"""

from __future__ import annotations

import re

import msgspec

from gapless.model.errors import Refused
from gapless.model.stream import GATEWAY_AGENT, StreamKey, check_name
from gapless.model.tables import Column, table_schema

_RULE_ID = re.compile(r"dcr-[0-9a-f]{32}\Z")
# With the rule's id before it, it is the name of a source.
_STREAM_NAME = re.compile(r"(Custom|Microsoft)-[A-Za-z][A-Za-z0-9_-]{0,69}\Z")
#: What a column of a rule can be named.
COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")

#: The transform that changes nothing.
IDENTITY = "source"

STREAMS_MAX = 10
COLUMNS_MAX = 500
TRANSFORM_CHARACTERS_MAX = 15_360


class Effect(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a transform does, as the platform found when the rule was made: whether it ``filters`` records
    out; which ``time`` is their TimeGenerated, as in ``gapless.model.batch.Upload``; which columns it
    ``drops``, and which it ``computes``."""

    filters: bool = True
    time: str = ""
    drops: tuple[str, ...] = ()
    computes: tuple[Column, ...] = ()


class RuleStream(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """A stream of a rule: ``Custom-Name`` with its columns, or ``Microsoft-Table`` with those of the table.
    Its records go through ``transform``, in KQL over ``source``, to ``table``. ``effect`` is the platform's
    word alone."""

    name: str
    table: str
    columns: tuple[Column, ...] = ()
    transform: str = IDENTITY
    effect: Effect = Effect()

    @property
    def transforms(self) -> bool:
        """Whether there is a transform that does anything."""
        return self.transform.strip() != IDENTITY

    @property
    def filters(self) -> bool:
        """Whether the transform may keep records out of the table."""
        return self.transforms and self.effect.filters

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that the transform leaves and makes."""
        computed = self.effect.computes
        gone = {*self.effect.drops, *(column.name for column in computed)}
        return (*(column for column in self.columns if column.name not in gone), *computed)

    @property
    def is_custom(self) -> bool:
        """Whether its table is a ``*_CL`` table, whose columns rules declare."""
        return self.table.endswith("_CL")

    def check(self) -> RuleStream:
        """Return self if the stream can be. Raises Refused."""
        if not _STREAM_NAME.match(self.name):
            raise Refused(
                f"stream {self.name[:40]!r} is not one: name it Custom-Name or Microsoft-Table, with up "
                "to 70 letters, digits, - or _"
            )
        schema = table_schema(self.table)
        if self.name.startswith("Microsoft-") and self.name != f"Microsoft-{schema.name}":
            raise Refused(
                f"stream {self.name} goes to table {self.name.removeprefix('Microsoft-')} alone: name a "
                "Custom- stream for another table"
            )
        names = [column.name for column in self.columns]
        if len(names) > COLUMNS_MAX or len(set(names)) < len(names):
            raise Refused(f"stream {self.name} names a column twice, or more than {COLUMNS_MAX} columns")
        for name in names:
            if not COLUMN_NAME.match(name):
                raise Refused(f"column {name[:40]!r} is not a name: use letters, digits and _, at most 64")
        if len(self.transform) > TRANSFORM_CHARACTERS_MAX:
            raise Refused(
                f"the transform is longer than {TRANSFORM_CHARACTERS_MAX} characters: make it shorter"
            )
        return self


class Rule(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A data collection rule. ``id`` is its immutable id, ``dcr-`` and 32 hex digits; nothing of a rule ever
    changes: to change one, make another and delete this one."""

    id: str
    tenant: str
    created_us: int
    by: str
    streams: tuple[RuleStream, ...]
    v: int = 1

    def check(self) -> Rule:
        """Return self if the rule can be. Raises Refused."""
        if self.v != 1:
            raise Refused(f"rule format {self.v} is not known here: upgrade the platform")
        if not _RULE_ID.match(self.id):
            raise Refused(f"rule {self.id[:40]!r} is not an immutable id: it is dcr- and 32 hex digits")
        check_name("tenant", self.tenant)
        names = [stream.check().name for stream in self.streams]
        if not 0 < len(names) <= STREAMS_MAX or len(set(names)) < len(names):
            raise Refused(f"a rule has 1 to {STREAMS_MAX} streams, each name once: change --stream")
        return self

    def stream(self, name: str) -> RuleStream | None:
        """The stream of that name."""
        return next((stream for stream in self.streams if stream.name == name), None)

    def key(self, stream: RuleStream) -> StreamKey:
        """What the records of one of its streams are counted as."""
        return StreamKey(self.tenant, stream.table, GATEWAY_AGENT, f"{self.id}:{stream.name}")

    def filtered_key(self, stream: RuleStream) -> StreamKey:
        """What the records are counted as that the stream's transform filters out. They have seqs of their
        own: so the ranges of either account stay whole, however the records alternate."""
        return StreamKey(self.tenant, stream.table, GATEWAY_AGENT, f"{self.id}:{stream.name}:filtered")

    def counted_as(self) -> list[StreamKey]:
        """All that its records are counted as."""
        filtered = [self.filtered_key(stream) for stream in self.streams if stream.filters]
        return [*map(self.key, self.streams), *filtered]
