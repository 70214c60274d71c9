"""The relational form: rows, as operations on others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from gapless.query.kql.relational.scalars import Apply, Column, Constant, Order, Scalar, Type


class Relation:
    """Rows, as an operation on others."""

    def inputs(self) -> Sequence[Relation]:
        """The relations that it reads."""
        return ()


@dataclass(slots=True, eq=False)
class Scan(Relation):
    """A table of the lake; ``columns`` are (id, its column's name)."""

    table: str
    columns: list[tuple[int, str]]


@dataclass(slots=True, eq=False)
class Values(Relation):
    """Rows written in the text."""

    columns: list[tuple[int, Type]]
    rows: list[list[Scalar]]


@dataclass(slots=True, eq=False)
class Sequence_(Relation):
    """The integers ``start``, ``start + step``, ... up to ``stop``, ``count`` of them."""

    id: int
    start: int
    step: int
    count: int


@dataclass(slots=True, eq=False)
class Extend(Relation):
    """More columns."""

    input: Relation
    columns: list[tuple[int, Scalar]]

    def inputs(self) -> Sequence[Relation]:
        return (self.input,)


@dataclass(slots=True, eq=False)
class Filter(Relation):
    """The rows for which the predicate is true."""

    input: Relation
    predicate: Scalar

    def inputs(self) -> Sequence[Relation]:
        return (self.input,)


@dataclass(slots=True, eq=False)
class Aggregate(Relation):
    """A row for each different value of the keys; one row if there are no keys."""

    input: Relation
    keys: list[tuple[int, Scalar]]
    aggregates: list[tuple[int, Scalar]]

    def inputs(self) -> Sequence[Relation]:
        return (self.input,)


@dataclass(slots=True, eq=False)
class Window(Relation):
    """More columns, each computed over all rows in ``order`` (and within ``partition``)."""

    input: Relation
    columns: list[tuple[int, Apply]]
    partition: list[Scalar]
    order: list[Order]
    frame: str = ""

    def inputs(self) -> Sequence[Relation]:
        return (self.input,)


@dataclass(slots=True, eq=False)
class Limit(Relation):
    """The first ``rows`` rows in ``order``."""

    input: Relation
    rows: int
    order: list[Order]

    def inputs(self) -> Sequence[Relation]:
        return (self.input,)


@dataclass(slots=True, eq=False)
class Join(Relation):
    """``kind`` as SQL has it: INNER, LEFT, RIGHT, FULL, SEMI, ANTI."""

    left: Relation
    right: Relation
    kind: str
    condition: Scalar

    def inputs(self) -> Sequence[Relation]:
        return (self.left, self.right)


@dataclass(slots=True, eq=False)
class Concat(Relation):
    """All rows of all inputs; ``sources`` gives each input's value for each of ``columns``."""

    parts: list[Relation]
    columns: list[tuple[int, Type]]
    sources: list[list[Scalar]]

    def inputs(self) -> Sequence[Relation]:
        return self.parts


@dataclass(slots=True, eq=False)
class Expand(Relation):
    """A row for each item of the lists, all at the same position; a list that ends before the longest one
    goes on with NULL."""

    input: Relation
    lists: list[tuple[int, Scalar]]

    def inputs(self) -> Sequence[Relation]:
        return (self.input,)


@dataclass(slots=True, eq=False)
class Lateral(Relation):
    """For each row of ``input`` the rows of ``body``, which sees the columns of that row."""

    input: Relation
    body: Relation

    def inputs(self) -> Sequence[Relation]:
        return (self.input, self.body)


@dataclass(slots=True, eq=False)
class FoldStep(Relation):
    """In the body of a ``Fold``: one row, of the state before a row of the input and of that row."""

    state: list[int]
    columns: list[int]


@dataclass(slots=True, eq=False)
class Fold(Relation):
    """The rows of ``input``, one after the other by ``number`` (1, 2, ...), each seen with a state that the
    rows before it left. ``body`` reads ``step``; ``state`` are (column in the body, value before the first
    row, column of the body that is its value for the next row); ``outputs`` are the columns that the body
    adds to the input's."""

    input: Relation
    number: int
    state: list[tuple[int, Constant, int]]
    step: FoldStep
    body: Relation
    outputs: list[tuple[int, Type]]

    def inputs(self) -> Sequence[Relation]:
        return (self.input, self.body)


@dataclass(slots=True, eq=False)
class OneRow(Relation):
    """One row without columns."""


@dataclass(slots=True, eq=False)
class Shared(Relation):
    """A relation that several places may read; ``keep``: it is computed once for all of them."""

    number: int
    rows: Rows
    keep: bool = False


@dataclass(slots=True, eq=False)
class Reading(Relation):
    """The rows of a shared relation; ``columns`` are (id here, id there)."""

    shared: Shared
    columns: list[tuple[int, int]]


@dataclass(slots=True)
class Rows:
    """A relation with the names of its columns. ``order`` is the order of its rows, if they have one;
    ``serialized`` says that window functions may rely on it. ``hidden`` columns can be named, but are not
    among those of the answer."""

    relation: Relation
    columns: list[Column]
    order: list[Order] = field(default_factory=list)
    serialized: bool = False
    name: str = ""
    hidden: list[Column] = field(default_factory=list)

    def find(self, name: str) -> Column | None:
        """The column of that name."""
        return next((column for column in (*self.columns, *self.hidden) if column.name == name), None)

    def changed(
        self,
        relation: Relation | None = None,
        columns: list[Column] | None = None,
        hidden: list[Column] | None = None,
    ) -> Rows:
        """The same rows in the same order, with another relation, or other columns."""
        return replace(
            self,
            relation=self.relation if relation is None else relation,
            columns=self.columns if columns is None else columns,
            hidden=self.hidden if hidden is None else hidden,
        )


def scalars_of(relation: Relation) -> Iterator[Scalar]:
    """The expressions that a relation computes, but those of its inputs."""
    match relation:
        case Extend(columns=columns):
            yield from (value for _, value in columns)
        case Filter(predicate=predicate):
            yield predicate
        case Aggregate(keys=keys, aggregates=aggregates):
            yield from (value for _, value in (*keys, *aggregates))
        case Window(columns=columns, partition=partition, order=order):
            yield from (value for _, value in columns)
            yield from partition
            yield from (key.value for key in order)
        case Limit(order=order):
            yield from (key.value for key in order)
        case Join(condition=condition):
            yield condition
        case Concat(sources=sources):
            yield from (value for source in sources for value in source)
        case Expand(lists=lists):
            yield from (value for _, value in lists)
