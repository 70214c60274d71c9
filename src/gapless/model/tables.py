"""Tables: their names, columns and types, and the columns that Gapless adds to each row.

The known tables and their columns are facts about Azure Monitor's tables; they are package data
(``tables.json``). A table named ``Something_CL`` needs no definition: it has ``TimeGenerated``,
``RawData`` and ``Data``, and what data collection rules declare (``gapless.model.declared``). Types are those
of Kusto.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

import msgspec

from gapless.model.errors import Refused

ColumnType = Literal["string", "int", "long", "real", "bool", "datetime", "timespan", "guid", "dynamic"]

_CUSTOM_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}_CL\Z")


class Column(msgspec.Struct, frozen=True):
    """One column: its name (case-sensitive) and its Kusto type."""

    name: str
    type: ColumnType


class Computed(msgspec.Struct, frozen=True):
    """Records of ``streams`` (their identities) have columns that the KQL ``text`` computes from their fields
    ``source``."""

    source: tuple[Column, ...]
    text: str
    streams: tuple[str, ...]


class TableSchema(msgspec.Struct, frozen=True):
    """A table as its users see it; ``SYSTEM_COLUMNS`` stand after ``columns`` in every stored row.
    ``declared`` are columns of a custom table that no row stores: queries compute them from ``Data``, for
    some streams as ``computed`` says."""

    name: str
    columns: tuple[Column, ...]
    declared: tuple[Column, ...] = ()
    computed: tuple[Computed, ...] = ()

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that queries see, but for the system's. A declared one may stand for a stored one."""
        stored = {column.name for column in self.columns}
        return (*self.columns, *(column for column in self.declared if column.name not in stored))

    @property
    def is_custom(self) -> bool:
        """True for ``*_CL`` tables, which keep the whole record in ``RawData`` (and ``Data`` if JSON)."""
        return self.name.endswith("_CL")


#: Columns that every stored row carries after those of its table. ``_Extra`` holds what the table has no
#: place for: unknown fields, and values whose type did not fit their column. (`_Stream`, `_Epoch`, `_Seq`)
#: is the identity of the record. ``_TimeSource`` says where ``TimeGenerated`` came from: "record" or
#: "received". ``_IngestionTime`` is when the gateway journaled the record.
SYSTEM_COLUMNS: tuple[Column, ...] = (
    Column("_Extra", "dynamic"),
    Column("_TimeSource", "string"),
    Column("_IngestionTime", "datetime"),
    Column("_Stream", "string"),
    Column("_Epoch", "string"),
    Column("_Seq", "long"),
)

#: Records that could not be decoded, of every table of a tenant: raw bytes (as base64 when not UTF-8).
QUARANTINE = TableSchema(
    "GaplessQuarantine",
    (
        Column("TimeGenerated", "datetime"),
        Column("Table", "string"),
        Column("Reason", "string"),
        Column("RawData", "string"),
        Column("RawEncoding", "string"),
        Column("RawBytes", "long"),
    ),
)

_CUSTOM_COLUMNS = (
    Column("TimeGenerated", "datetime"),
    Column("RawData", "string"),
    Column("Data", "dynamic"),
)


@cache
def known_tables() -> Mapping[str, TableSchema]:
    """The tables with a definition of their own, by name."""
    raw = files("gapless.model").joinpath("tables.json").read_bytes()
    data = msgspec.json.decode(raw, type=dict[str, dict[str, ColumnType]])
    tables = {
        name: TableSchema(name, tuple(Column(column, kind) for column, kind in columns.items()))
        for name, columns in data.items()
    }
    return MappingProxyType(tables)


def table_schema(
    name: str, declared: tuple[Column, ...] = (), computed: tuple[Computed, ...] = ()
) -> TableSchema:
    """The schema of a known table, or of a custom one with its ``declared`` and ``computed`` columns. Raises
    Refused for a name that is neither."""
    known = known_tables().get(name)
    if known is not None:
        return known
    if _CUSTOM_NAME.match(name):
        return TableSchema(name, _CUSTOM_COLUMNS, declared, computed)
    raise Refused(
        f"there is no table {name!r}: use one that `gapless services list` shows, "
        "or a custom name of letters, digits and underscores ending in _CL"
    )
