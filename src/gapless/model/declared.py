"""What data collection rules declare of custom tables: columns that a query computes from each record.

A ``*_CL`` table stores the whole record (``Data``), so a column that a rule declares is there for every
record of the table, whoever sent it and whenever; a value that does not fit its type is null in the column,
and stays in ``Data``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gapless.model.errors import Refused
from gapless.model.rule import COLUMN_NAME, COLUMNS_MAX, Rule, RuleStream
from gapless.model.tables import SYSTEM_COLUMNS, Column, ColumnType, Computed

#: Streams of a table whose transforms compute columns. Their records stay, so those of deleted rules count.
COMPUTED_MAX = 500

#: Columns of every custom table that a rule may declare, and the one type that they can have.
_OWN: dict[str, ColumnType] = {"TimeGenerated": "datetime", "RawData": "string"}
#: Names that mean something else in every table, folded.
_RESERVED = frozenset(
    name.lower() for name in ("Data", "Type", "TenantId", "_ItemId", *(c.name for c in SYSTEM_COLUMNS))
)


class Declared(msgspec.Struct, frozen=True):
    """The declared columns of a table, and for which streams they are computed otherwise than from the field
    of their name. ``version`` counts the rules that changed them. A column stays when its rule is deleted, as
    the records do; after that another rule may give it another type."""

    version: int = 0
    columns: tuple[Column, ...] = ()
    computed: tuple[Computed, ...] = ()

    def with_(self, more: Declared) -> Declared:
        """These columns and ``more``, of which each takes the place of one with its name in any case. Of more
        than ``COLUMNS_MAX`` the latest count."""
        merged = {fold(column.name): column for column in self.columns}
        merged |= {fold(column.name): column for column in more.columns}
        streams = {(each.source, each.text): each.streams for each in self.computed}
        for each in more.computed:
            known = streams.get((each.source, each.text), ())
            streams[each.source, each.text] = tuple(dict.fromkeys((*known, *each.streams)))
        columns = tuple(merged.values())[-COLUMNS_MAX:]
        computed = tuple(Computed(source, text, of) for (source, text), of in streams.items())
        if (columns, computed) == (self.columns, self.computed):
            return self
        return Declared(self.version + 1, columns, computed)


def fold(name: str) -> str:
    """A column's name as SQL compares it: without the case of its letters, which are those of ASCII."""
    return name.lower()


def declared_by(rule: Rule) -> dict[str, Declared]:
    """What a rule declares, by custom table; columns that every table has anyhow are left out."""
    found: dict[str, Declared] = {}
    for stream in rule.streams:
        if stream.is_custom:
            columns = tuple(c for c in stream.shown if _fault(c) == "" and c.name != "TimeGenerated")
            computed = (Computed(stream.columns, stream.transform, (rule.key(stream).id,)),)
            declared = Declared(0, columns, computed if stream.effect.computes else ())
            found[stream.table] = found.get(stream.table, Declared()).with_(declared)
    return found


def check_columns(rule: Rule, others: Iterable[Rule], tables: Mapping[tuple[str, str], Declared]) -> None:
    """Whether the columns that ``rule`` declares of custom tables can be beside those of the rules in force;
    ``tables`` are what was ever declared, by tenant and table. Raises Refused with the first that cannot."""
    known: dict[tuple[str, str], tuple[Column, str]] = {}
    for other in others:
        if other.tenant == rule.tenant:
            for table, declared in declared_by(other).items():
                for column in declared.columns:
                    known[table, fold(column.name)] = column, f"rule {other.id}"
    for stream in rule.streams:
        if stream.is_custom:
            for column in stream.shown:
                _check(stream, column, known)
    for table, declared in declared_by(rule).items():
        merged = tables.get((rule.tenant, table), Declared()).with_(declared)
        if sum(len(each.streams) for each in merged.computed) > COMPUTED_MAX:
            raise Refused(
                f"table {table} has had {COMPUTED_MAX} streams whose transforms compute columns, those of "
                "deleted rules included: send the records to another table"
            )
        count = sum(of == table for of, _ in known)
        if count > COLUMNS_MAX:
            raise Refused(f"table {table} would have {count} columns: {COLUMNS_MAX} at most can be declared")


def _check(stream: RuleStream, column: Column, known: dict[tuple[str, str], tuple[Column, str]]) -> None:
    if fault := _fault(column):
        raise Refused(f"column {column.name} of stream {stream.name} cannot be: {fault}")
    if column.name in _OWN:
        return
    before, by = known.setdefault(
        (stream.table, fold(column.name)), (column, f"stream {stream.name} of this rule")
    )
    if before != column:
        raise Refused(
            f"column {column.name} of {stream.table} is declared {column.type} here, and {by} declares "
            f"{before.name} {before.type}: write it the same way, or delete that rule first"
        )


def _fault(column: Column) -> str:
    """Why a custom table cannot have such a column; empty if it can."""
    if not COLUMN_NAME.match(column.name):
        return "a name has letters, digits and _, at most 64"
    kind = _OWN.get(column.name)
    if kind is not None:
        return "" if column.type == kind else f"in every table it is {kind}"
    if fold(column.name) in _RESERVED or fold(column.name) in map(fold, _OWN):
        return "the name is one of every table's own: name it differently in the records"
    return ""
