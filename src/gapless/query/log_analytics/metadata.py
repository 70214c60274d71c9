"""What a workspace has: its tables with their columns, as that API says it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gapless.model.tables import SYSTEM_COLUMNS, Column, TableSchema


class TableMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """A table; ``columns`` are those that queries see, with their Kusto types."""

    id: str
    name: str
    columns: tuple[Column, ...]
    timespan_column: str = "TimeGenerated"


class WorkspaceMetadata(msgspec.Struct, frozen=True):
    """A workspace: its GUID, and its tenant's name."""

    id: str
    name: str


class Metadata(msgspec.Struct, frozen=True):
    """The tables that the token may read, and whose they are."""

    tables: tuple[TableMetadata, ...]
    workspaces: tuple[WorkspaceMetadata, ...]


def metadata(schemas: Iterable[TableSchema], tenant: str, guid: str) -> Metadata:
    """The metadata of a tenant's workspace."""
    tables = (TableMetadata(each.name, each.name, (*each.shown, *SYSTEM_COLUMNS)) for each in schemas)
    return Metadata(tuple(tables), (WorkspaceMetadata(guid, tenant),))
