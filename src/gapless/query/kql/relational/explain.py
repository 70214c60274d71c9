"""A relational form as text: an operation a line, and what it reads below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sqlglot import exp

from gapless.query.kql.emission.sql import Engine, constant
from gapless.query.kql.relational.relation import (
    Aggregate,
    Concat,
    Expand,
    Extend,
    Filter,
    Fold,
    FoldStep,
    Join,
    Lateral,
    Limit,
    OneRow,
    Reading,
    Relation,
    Rows,
    Scan,
    Sequence_,
    Shared,
    Values,
    Window,
)
from gapless.query.kql.relational.scalars import (
    Apply,
    Constant,
    Field,
    Order,
    Ref,
    Scalar,
    Struct,
    SubqueryContains,
    SubqueryValue,
)

#: Longer lines are cut: the SQL has it all.
_LINE_CHARACTERS_MAX = 240


def explained(rows: Rows) -> str:
    """The operations that make ``rows``, the last one first. A column is called what it is called in its
    table or in the answer, else ``#`` and its number."""
    return "\n".join(map(_cut, _Told().answer(rows)))


def _cut(line: str) -> str:
    return line if len(line) <= _LINE_CHARACTERS_MAX else line[: _LINE_CHARACTERS_MAX - 1] + "…"


class _Told:
    """What was told of one query: names, and what is told aside, by its title: relations that several places
    read, and those whose values are."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._asides: dict[str, Relation] = {}
        self._values: dict[int, str] = {}

    def answer(self, rows: Rows) -> Iterator[str]:
        self._names |= {column.id: column.name for column in rows.columns}
        yield "answer " + ", ".join(f"{column.name}: {column.type.name}" for column in rows.columns)
        if rows.order:
            yield f"  sort by {self._orders(rows.order)}"
        yield from self._tree(rows.relation, 1)
        told: set[str] = set()
        while pending := [title for title in self._asides if title not in told]:
            told.add(pending[0])
            yield pending[0]
            yield from self._tree(self._asides[pending[0]], 1)

    def _tree(self, relation: Relation, depth: int) -> Iterator[str]:
        while isinstance(relation, Extend) and not relation.columns:
            relation = relation.input
        self._learn(relation)
        # What is below comes first, as it knows the names.
        below = [line for each in relation.inputs() for line in self._tree(each, depth + 1)]
        yield "  " * depth + self._operation(relation)
        yield from below

    def _learn(self, relation: Relation) -> None:
        match relation:
            case Scan(columns=columns):
                self._names |= dict(columns)
            case Reading(shared=shared, columns=columns):
                self._asides.setdefault(_title(shared), shared.rows.relation)
                there = {column.id: column.name for column in shared.rows.columns}
                self._names |= {
                    own: there[id] for own, id in columns if id in there and own not in self._names
                }

    def _operation(self, relation: Relation) -> str:
        match relation:
            case Scan(table=table, columns=columns):
                return f"scan {table} ({', '.join(name for _, name in columns)})"
            case Values(columns=columns, rows=rows):
                return f"values: {len(rows)} rows of {len(columns)} columns"
            case Sequence_(start=start, step=step, count=count):
                return f"sequence: {count} from {start} by {step}"
            case Extend(columns=columns):
                return f"extend {self._named(columns)}"
            case Filter(predicate=predicate):
                return f"filter {self._sql(predicate)}"
            case Aggregate(keys=keys, aggregates=aggregates):
                by = f" by {self._named(keys)}" if keys else ""
                return f"aggregate {self._named(aggregates)}{by}"
            case Window(columns=columns, partition=partition, order=order):
                within = f" within {self._listed(partition)}" if partition else ""
                return f"window {self._named(columns)}{within} in order of {self._orders(order)}"
            case Limit(rows=rows, order=order):
                by = f" by {self._orders(order)}" if order else ""
                return f"first {rows}{by}"
            case Join(kind=kind, condition=condition):
                return f"join {kind.lower()} on {self._sql(condition)}"
            case Concat(parts=parts):
                return f"all rows of {len(parts)} parts"
            case Expand(lists=lists):
                return f"expand {self._named(lists)}"
            case Fold(state=state):
                return f"fold, one row after the other, with a state of {len(state)} columns"
            case FoldStep():
                return "the state and the next row"
            case Lateral():
                return "for each row of the first, the rows of the second"
            case Reading(shared=shared):
                return f"read {_title(shared)}"
            case OneRow():
                return "one row"
        return type(relation).__name__.lower()

    def _named(self, columns: Iterable[tuple[int, Scalar]]) -> str:
        return ", ".join(f"{self._name(id)} = {self._sql(value)}" for id, value in columns)

    def _listed(self, values: Iterable[Scalar]) -> str:
        return ", ".join(map(self._sql, values))

    def _orders(self, order: Sequence[Order]) -> str:
        return ", ".join(f"{self._sql(key.value)} {'desc' if key.descending else 'asc'}" for key in order)

    def _name(self, id: int) -> str:
        return self._names.get(id, f"#{id}")

    def _sql(self, value: Scalar) -> str:
        return self._expression(value).sql(Engine)

    def _expression(self, value: Scalar) -> exp.Expression:
        match value:
            case Ref(id=id):
                return exp.Var(this=self._name(id))
            case Constant():
                return constant(value)
            case Apply(arguments=arguments, emit=emit):
                return emit([self._expression(each) for each in arguments])
            case Struct(fields=fields):
                return exp.Anonymous(this="row", expressions=[self._expression(each) for _, each in fields])
            case Field(struct=struct, field=id):
                return exp.Var(this=f"{self._name(struct.id)}.{self._name(id)}")
            case SubqueryValue():
                return exp.Var(this=self._aside(value))
            case SubqueryContains(value=sought):
                within = exp.Var(this=self._aside(value))
                return exp.Anonymous(this="is_in", expressions=[self._expression(sought), within])
        raise AssertionError(type(value))

    def _aside(self, value: SubqueryValue | SubqueryContains) -> str:
        """The title under which the rows of a value are told."""
        relation = value.rows.relation
        title = self._values.setdefault(id(relation), f"value {len(self._values) + 1}")
        self._asides[title] = relation
        return title


def _title(shared: Shared) -> str:
    return f"shared {shared.number}" + (" (computed once)" if shared.keep else "")
