"""tables.md: the services with their categories and tables, and the columns that every row has."""

from __future__ import annotations

from gapless.lake.decode_lines import Fault
from gapless.model.tables import QUARANTINE, SYSTEM_COLUMNS, Column, known_tables, table_schema
from gapless.services.catalogue import Service, services
from generator.descriptions import in_comments
from generator.markdown import page, prose, table

_SYSTEM = {
    "_Extra": "Fields that the table has no column for, and values that did not fit their column's type.",
    "_TimeSource": 'Where `TimeGenerated` comes from: "record", or "received" (the time of receipt).',
    "_IngestionTime": "When the gateway journaled the record.",
    "_Stream": "Identity of the record, first part: the stream, 32 hex digits.",
    "_Epoch": "Second part: the epoch, 32 hex digits.",
    "_Seq": "Third part: the record's number in its epoch, from 0.",
}
_QUARANTINE = {
    "TimeGenerated": "When the record was received.",
    "Table": "The table it was meant for.",
    "Reason": "Why it could not be decoded.",
    "RawData": "The record, byte for byte; empty where it is only in the journal.",
    "RawEncoding": "utf-8 or base64; journal: the bytes are only there, and the row stands for a run.",
    "RawBytes": "How many bytes the record has.",
}
_CUSTOM = {
    "TimeGenerated": "From the record if it says so, else the time of receipt.",
    "RawData": "The record as it was written.",
    "Data": "The record as JSON, if it is that.",
}


def tables_page() -> str:
    of_services = {name for service in services() for name in service.tables}
    others = [name for name in known_tables() if name not in of_services]
    known = len(known_tables())
    return page(
        "Tables",
        f"{known} tables have columns of their own; names and types are those of Azure "
        "Monitor where it has the table. "
        "`gapless services list` shows the services. Numbers of columns are without the system columns.",
        *(_service(service) for service in services()),
        *([_others(others)] if others else []),
        "## Custom tables",
        "Any name of letters, digits and underscores that begins with a letter and ends in `_CL`, of at most "
        "63 characters, is a table without a definition.",
        _columns(table_schema("Any_CL").columns, _CUSTOM),
        "What data collection rules declare are columns, too: of all its records, computed from `Data` when "
        "they are asked for. A value that does not convert to its column's type is null there. "
        "`gapless tables` shows them.",
        "## System columns",
        "Every row of every table has these after the table's own columns.",
        _columns(SYSTEM_COLUMNS, _SYSTEM),
        f"## {QUARANTINE.name}",
        "Records of a tenant that could not be decoded, of all tables.",
        _columns(QUARANTINE.columns, _QUARANTINE),
        "Reasons for a single record:",
        table(("reason", "the record"), _reasons()),
        "A batch that cannot be unpacked, or whose decoding fails, is quarantined as a whole.",
    )


def _reasons() -> list[tuple[str, str]]:
    texts = in_comments(Fault)
    return [(f"`{fault.reason}`", texts[fault.name]) for fault in Fault if fault]


def _service(service: Service) -> str:
    rows = [
        (category.name, f"`{category.table}`", str(len(table_schema(category.table).columns)))
        for category in service.categories
    ]
    drawn = table(("category", "table", "columns"), rows)
    return "\n\n".join([f"## {service.title} (`{service.name}`)", prose(service.description), drawn])


def _others(names: list[str]) -> str:
    rows = [(f"`{name}`", str(len(known_tables()[name].columns))) for name in sorted(names)]
    return "\n\n".join(["## Tables of no service above", table(("table", "columns"), rows)])


def _columns(columns: tuple[Column, ...], texts: dict[str, str]) -> str:
    rows = [(f"`{column.name}`", column.type, texts[column.name]) for column in columns]
    return table(("column", "type", "meaning"), rows)
