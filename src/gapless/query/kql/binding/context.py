"""What a query knows while it is bound: tables, the time, names given by let, and what is in scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gapless.model.tables import TableSchema
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.relation import (
    Reading,
    Rows,
    Shared,
)
from gapless.query.kql.relational.scalars import (
    Ref,
    Scalar,
)
from gapless.query.kql.syntax import tree

#: How many columns a query may compute in all, counting those of each use of a let.
COLUMNS_MAX = 20_000
#: How many questions about the data a query may need answered before it can be translated.
QUESTIONS_MAX = 8
#: How deeply calls of functions given by let may stand in each other.
CALLS_MAX = 20


@dataclass(frozen=True, slots=True)
class FunctionLet:
    """A function given by let, with the names that it sees."""

    body: tree.FunctionBody
    names: Mapping[str, Let]


#: What a name given by let stands for. An argument of the wrong type is refused where it is used.
Let = Scalar | Shared | FunctionLet | KqlError


@dataclass(slots=True)
class Aggregates:
    """The aggregates of a summarize, as they are found: (column's id, value)."""

    found: list[tuple[int, Scalar]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression stands. ``rows``: whose columns it sees, None for none. ``sides``: what $left and
    $right are. ``aggregates``: where aggregates go, None where there may be none. ``windows``: whether
    window functions may stand here; they become columns of ``rows``."""

    names: Mapping[str, Let]
    rows: Rows | None = None
    sides: Mapping[str, Rows] = field(default_factory=dict)
    aggregates: Aggregates | None = None
    windows: bool = False
    calls: int = 0

    def over(self, rows: Rows | None, windows: bool = False) -> Scope:
        """The same place over other rows."""
        return replace(self, rows=rows, sides={}, aggregates=None, windows=windows)


#: The rows that answer a question about the data.
Fact = Sequence[Sequence[Any]]


class Unanswered(Exception):
    """The columns of a query depend on what is in ``rows``, which nobody has looked at yet."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self.rows = rows


class Context:
    """One query's state. ``now_ticks`` is the one time it takes for now; ``facts`` answer its questions about
    the data, in the order in which it asks them, None if it may ask none."""

    def __init__(
        self, tables: Mapping[str, TableSchema], now_ticks: int, facts: Sequence[Fact] | None = None
    ) -> None:
        self.tables = tables
        self.now_ticks = now_ticks
        #: The names that stand in the text.
        self.words: frozenset[str] = frozenset()
        self._facts = facts
        self._asked = 0
        #: How many operators that work for each row of others we are in.
        self.rows_deep = 0
        self.used_tables: set[str] = set()
        self.shared: list[Shared] = []
        self._ids = 0

    def new_id(self) -> int:
        """An id for a column. Raises KqlError beyond ``COLUMNS_MAX``."""
        self._ids += 1
        if self._ids > COLUMNS_MAX:
            raise KqlError(f"the query computes more than {COLUMNS_MAX} columns: make it smaller", 0)
        return self._ids

    def ask(self, rows: Rows, what: str, at: int, instead: str) -> Fact:
        """What ``rows`` hold. Raises Unanswered if nobody has looked yet, KqlError if nobody can."""
        if self._facts is None or self.rows_deep:
            raise unsupported(what, at, instead)
        self._asked += 1
        if self._asked > QUESTIONS_MAX:
            raise KqlError(f"the query asks more than {QUESTIONS_MAX} times for its columns: {instead}", at)
        if self._asked > len(self._facts):
            raise Unanswered(rows)
        return self._facts[self._asked - 1]

    def share(self, rows: Rows) -> Shared:
        """``rows`` as something that several places may read."""
        self.shared.append(Shared(len(self.shared) + 1, rows))
        return self.shared[-1]

    def read(self, shared: Shared) -> Rows:
        """The rows of ``shared``, with ids of their own."""
        rows = shared.rows
        if not rows.columns and type(rows) is not Rows:
            return rows  # a graph, which has its own shared relations
        ids: dict[int, int] = {}
        columns = []
        for column in rows.columns:
            ids.setdefault(column.id, self.new_id())
            columns.append(replace(column, id=ids[column.id]))
        hidden = []
        for column in rows.hidden:
            fresh = ids.setdefault(column.id, self.new_id())
            hidden.append(replace(column, id=fresh))
        order = []
        for key in rows.order:
            assert isinstance(key.value, Ref)
            fresh = ids.setdefault(key.value.id, self.new_id())
            order.append(replace(key, value=Ref(fresh, key.value.type)))
        reading = Reading(shared, [(here, there) for there, here in ids.items()])
        return Rows(reading, columns, order, rows.serialized, rows.name, hidden=hidden)
