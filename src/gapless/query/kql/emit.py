"""From a pruned relational form to SQL.

Operations that follow each other become one SELECT as long as that neither changes their meaning nor
computes an expression several times over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from gapless.query.kql.prune import Pruned, outputs
from gapless.query.kql.relation import (
    Aggregate,
    Apply,
    Concat,
    Constant,
    Expand,
    Extend,
    Field,
    Filter,
    Join,
    Lateral,
    Limit,
    OneRow,
    Order,
    Reading,
    Ref,
    Relation,
    Rows,
    Scalar,
    Scan,
    Sequence_,
    Shared,
    Struct,
    SubqueryContains,
    SubqueryValue,
    Type,
    Values,
    Window,
)
from gapless.query.kql.sql import closed, constant, number

#: An expression of up to so many parts may be written more than once instead of taking a SELECT of its own.
_REPEATED_PARTS_MAX = 3


@dataclass(slots=True)
class _Block:
    """A SELECT that is being made: what it reads, what it computes, what it keeps."""

    source: exp.Expression | None = None
    joins: list[exp.Expression] = field(default_factory=list)
    names: dict[int, exp.Expression] = field(default_factory=dict)
    defined: dict[int, Scalar] = field(default_factory=dict)
    filters: list[exp.Expression] = field(default_factory=list)


def name_of(id: int) -> str:
    """The name of a column in SQL."""
    return f"c{id}"


def _column(id: int) -> exp.Expression:
    return exp.Column(this=exp.Identifier(this=name_of(id), quoted=False))


def _alias(value: exp.Expression, id: int) -> exp.Expression:
    return exp.Alias(this=value, alias=exp.Identifier(this=name_of(id), quoted=False))


class Emitter:
    """Makes the SQL of one query."""

    def __init__(self, pruned: Pruned) -> None:
        self._pruned = pruned
        self._tables = 0
        self._common: list[tuple[str, exp.Expression, bool]] = []
        self._shared: dict[int, str] = {}
        self._values: dict[int, str] = {}
        #: In a body that is computed for each row of another relation: the columns of that row.
        self._outer: dict[int, exp.Expression] = {}

    def query(self, rows: Rows, outputs: Sequence[tuple[int, Scalar]]) -> exp.Select:
        """The SELECT of ``outputs``, expressions over the columns of ``rows``, in the order of ``rows``."""
        block = self._block(rows.relation)
        columns = [_alias(self._scalar(value, block), id) for id, value in outputs]
        select = self._select(block, columns)
        if rows.order:
            select.set("order", exp.Order(expressions=[self._order(key, block) for key in rows.order]))
        if self._common:
            select.set("with_", exp.With(expressions=[self._common_table(*each) for each in self._common]))
        return select

    def _common_table(self, name: str, body: exp.Expression, is_kept: bool) -> exp.Expression:
        alias = exp.TableAlias(this=exp.Identifier(this=name, quoted=False))
        return exp.CTE(this=body, alias=alias, materialized=is_kept)

    # Expressions ------------------------------------------------------------------------------------------

    def _scalar(self, value: Scalar, block: _Block) -> exp.Expression:
        match value:
            case Ref(id=id):
                if id in block.defined:
                    return self._scalar(block.defined[id], block)
                known = block.names.get(id)
                return known.copy() if known is not None else _column(id)
            case Constant():
                return constant(value)
            case Apply(arguments=arguments, emit=emit):
                return emit([self._scalar(argument, block) for argument in arguments])
            case Struct(fields=fields):
                return exp.Struct(
                    expressions=[
                        exp.PropertyEQ(
                            this=exp.Identifier(this=f"f{id}"), expression=self._scalar(each, block)
                        )
                        for id, each in (fields or [(0, Constant(0, Type("long")))])
                    ]
                )
            case Field(struct=struct, field=id):
                place = exp.Literal.string(f"f{id}")
                return exp.Anonymous(this="struct_extract", expressions=[self._scalar(struct, block), place])
            case SubqueryValue():
                return self._value_of(value)
            case SubqueryContains(value=sought, rows=rows, member=member):
                return self._contains(self._scalar(sought, block), rows, member)
        raise AssertionError(type(value))

    def _value_of(self, value: SubqueryValue) -> exp.Expression:
        key = id(value.rows.relation)
        if key not in self._values:
            inner = self._block(value.rows.relation)
            column = value.column.ref()
            body = self._select(inner, [_alias(self._scalar(column, inner), value.column.id)])
            self._values[key] = f"value_{len(self._values) + 1}"
            self._common.append((self._values[key], body, True))
        select = exp.Select(expressions=[_column(value.column.id)])
        select.set(
            "from_", exp.From(this=exp.Table(this=exp.Identifier(this=self._values[key], quoted=False)))
        )
        return exp.Subquery(this=select)

    def _contains(self, sought: exp.Expression, rows: Rows, member: Scalar) -> exp.Expression:
        inner = self._block(rows.relation)
        select = self._select(inner, [_alias(self._scalar(member, inner), 0)])
        wrapped = exp.Select(expressions=[_column(0)])
        wrapped.set("from_", exp.From(this=exp.Subquery(this=select, alias=self._table_alias())))
        wrapped.set("where", exp.Where(this=exp.Not(this=exp.Is(this=_column(0), expression=exp.Null()))))
        found = exp.In(this=closed(sought), query=exp.Subquery(this=wrapped))
        return exp.Coalesce(this=found, expressions=[exp.Boolean(this=False)])

    def _order(self, key: Order, block: _Block) -> exp.Expression:
        return exp.Ordered(
            this=self._scalar(key.value, block), desc=key.descending, nulls_first=key.nulls_first
        )

    # Relations --------------------------------------------------------------------------------------------

    def _block(self, relation: Relation) -> _Block:
        match relation:
            case OneRow():
                return _Block(names=dict(self._outer))
            case Scan(table=table, columns=columns):
                names: dict[int, exp.Expression] = {
                    id: exp.Column(this=exp.Identifier(this=name, quoted=True)) for id, name in columns
                }
                return _Block(exp.Table(this=exp.Identifier(this=table, quoted=True)), names=names)
            case Values():
                return self._values_block(relation)
            case Sequence_():
                return self._sequence(relation)
            case Extend():
                return self._extended(relation)
            case Filter():
                return self._filtered(relation)
            case Aggregate():
                return self._aggregated(relation)
            case Window():
                return self._windowed(relation)
            case Limit():
                return self._limited(relation)
            case Join():
                return self._joined(relation)
            case Concat():
                return self._concatenated(relation)
            case Expand():
                return self._expanded(relation)
            case Lateral():
                return self._lateral(relation)
            case Reading():
                return self._read(relation)
        raise AssertionError(type(relation))

    def _values_block(self, relation: Values) -> _Block:
        if not relation.rows:
            nothing = [_alias(constant(Constant(None, kind)), id) for id, kind in relation.columns]
            select = exp.Select(expressions=nothing)
            select.set("where", exp.Where(this=exp.Boolean(this=False)))
            return self._from(select)
        empty = _Block()
        tuples = [exp.Tuple(expressions=[self._scalar(cell, empty) for cell in row]) for row in relation.rows]
        alias = self._table_alias([id for id, _ in relation.columns])
        return _Block(exp.Values(expressions=tuples, alias=alias))

    def _sequence(self, relation: Sequence_) -> _Block:
        call = exp.Anonymous(this="range", expressions=[number(relation.count)])
        self._tables += 1
        index = exp.Identifier(this=f"i{self._tables}", quoted=False)
        alias = exp.TableAlias(this=exp.Identifier(this=f"t{self._tables}", quoted=False), columns=[index])
        value = exp.Add(
            this=number(relation.start),
            expression=exp.Mul(this=exp.Column(this=index.copy()), expression=number(relation.step)),
        )
        names: dict[int, exp.Expression] = {relation.id: exp.Paren(this=value)}
        return _Block(exp.Table(this=call, alias=alias), names=names)

    def _extended(self, relation: Extend) -> _Block:
        block = self._block(relation.input)
        if not all(self._may_be_inlined(value, block) for _, value in relation.columns):
            block = self._closed(block, self._needed(relation.input))
        for id, value in relation.columns:
            block.defined[id] = value
        return block

    def _may_be_inlined(self, value: Scalar, block: _Block) -> bool:
        """Whether an expression may be computed from what the block's own columns are made of."""
        pending = [value]
        while pending:
            each = pending.pop()
            if isinstance(each, Ref) and each.id in block.defined and not self._is_free(each.id, block):
                return False
            pending.extend(each.parts())
        return True

    def _is_free(self, id: int, block: _Block) -> bool:
        made = block.defined[id]
        if isinstance(made, Ref):
            return made.id not in block.defined or self._is_free(made.id, block)
        if isinstance(made, Constant):
            return True
        if isinstance(made, SubqueryValue):
            # The engine takes no subquery in a lambda, which only the reader of this column may have.
            return False
        parts = _parts(made, _REPEATED_PARTS_MAX + 1)
        if parts is None:
            return False
        if self._pruned.uses[id] <= 1:
            return True
        # Written out several times: it must be small, and not be made of what would be written out too.
        return parts <= _REPEATED_PARTS_MAX and not any(each in block.defined for each in _named(made))

    def _filtered(self, relation: Filter) -> _Block:
        block = self._block(relation.input)
        if not self._may_be_inlined(relation.predicate, block):
            block = self._closed(block, self._needed(relation.input))
        block.filters.append(self._scalar(relation.predicate, block))
        return block

    def _ready(self, relation: Relation, values: Sequence[Scalar]) -> _Block:
        """The block of a relation from which ``values`` can be computed."""
        block = self._block(relation)
        if not all(self._may_be_inlined(value, block) for value in values):
            block = self._closed(block, self._needed(relation))
        return block

    def _aggregated(self, relation: Aggregate) -> _Block:
        values = [value for _, value in (*relation.keys, *relation.aggregates)]
        block = self._ready(relation.input, values)
        columns = [
            _alias(self._scalar(value, block), id) for id, value in (*relation.keys, *relation.aggregates)
        ]
        select = self._select(block, columns)
        if relation.keys:
            places = [exp.Literal.number(place) for place in range(1, len(relation.keys) + 1)]
            select.set("group", exp.Group(expressions=places))
        return self._from(select)

    def _windowed(self, relation: Window) -> _Block:
        if not relation.columns:
            return self._block(relation.input)
        values = [*(value for _, value in relation.columns), *relation.partition]
        block = self._ready(relation.input, [*values, *(key.value for key in relation.order)])
        own = {id for id, _ in relation.columns}
        columns = [
            _alias(self._scalar(Ref(id, Type("any")), block), id)
            for id in sorted(self._needed(relation) - own)
        ]
        for id, value in relation.columns:
            spec = None
            if relation.frame:
                spec = exp.WindowSpec(
                    kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW", over="OVER"
                )
            over = exp.Window(
                this=self._scalar(value, block),
                partition_by=[self._scalar(each, block) for each in relation.partition],
                order=exp.Order(expressions=[self._order(key, block) for key in relation.order])
                if relation.order
                else None,
                spec=spec,
                over="OVER",
            )
            columns.append(_alias(over, id))
        return self._from(self._select(block, columns))

    def _limited(self, relation: Limit) -> _Block:
        block = self._ready(relation.input, [key.value for key in relation.order])
        select = self._select(block, self._columns(block, self._needed(relation)))
        if relation.order:
            select.set("order", exp.Order(expressions=[self._order(key, block) for key in relation.order]))
        select.set("limit", exp.Limit(expression=exp.Literal.number(relation.rows)))
        return self._from(select)

    def _joined(self, relation: Join) -> _Block:
        left = self._subquery(relation.left)
        right = self._subquery(relation.right)
        block = _Block(left)
        condition = self._scalar(relation.condition, block)
        kinds = {"LEFT": {"side": "LEFT"}, "RIGHT": {"side": "RIGHT"}, "FULL": {"side": "FULL"}}
        how = kinds.get(relation.kind, {"kind": relation.kind})
        block.joins.append(exp.Join(this=right, on=condition, **how))
        return block

    def _subquery(self, relation: Relation) -> exp.Expression:
        block = self._block(relation)
        select = self._select(block, self._columns(block, self._needed(relation)))
        return exp.Subquery(this=select, alias=self._table_alias())

    def _concatenated(self, relation: Concat) -> _Block:
        selects = []
        for part, source in zip(relation.parts, relation.sources, strict=True):
            block = self._ready(part, source)
            columns = [
                _alias(self._scalar(value, block), id)
                for (id, _), value in zip(relation.columns, source, strict=True)
            ]
            selects.append(self._select(block, columns or [_alias(exp.Literal.number(1), 0)]))
        together: exp.Expression = selects[0]
        for select in selects[1:]:
            together = exp.Union(this=together, expression=select, distinct=False)
        return self._from(together)

    def _expanded(self, relation: Expand) -> _Block:
        block = self._ready(relation.input, [value for _, value in relation.lists])
        own = {id for id, _ in relation.lists}
        columns = self._columns(block, self._needed(relation) - own, none_is_fine=True)
        for id, value in relation.lists:
            items = exp.Anonymous(this="unnest", expressions=[self._scalar(value, block)])
            columns.append(_alias(items, id))
        return self._from(self._select(block, columns))

    def _lateral(self, relation: Lateral) -> _Block:
        left = self._subquery(relation.input)
        outer = self._outer
        table = exp.Identifier(this=left.alias, quoted=False)
        seen = {
            id: exp.Column(this=exp.Identifier(this=name_of(id)), table=table)
            for id in outputs(relation.input)
        }
        self._outer = {**outer, **seen}
        right = self._subquery(relation.body)
        self._outer = outer
        return _Block(left, [exp.Join(this=right, kind="CROSS")])

    def _read(self, relation: Reading) -> _Block:
        shared = relation.shared
        if self._pruned.readers(shared) == 1:
            block = self._block(shared.rows.relation)
        else:
            block = _Block(exp.Table(this=exp.Identifier(this=self._shared_name(shared), quoted=False)))
        for here, there in relation.columns:
            block.defined[here] = Ref(there, Type("any"))
        return block

    def _shared_name(self, shared: Shared) -> str:
        key = id(shared)
        if key not in self._shared:
            needed = self._needed(shared.rows.relation)
            block = self._block(shared.rows.relation)
            body = self._select(block, self._columns(block, needed))
            self._shared[key] = f"shared_{shared.number}"
            self._common.append((self._shared[key], body, shared.keep or not _is_light(shared.rows.relation)))
        return self._shared[key]

    # Selects ----------------------------------------------------------------------------------------------

    def _needed(self, relation: Relation) -> set[int]:
        return self._pruned.needed[id(relation)]

    def _columns(self, block: _Block, ids: set[int], none_is_fine: bool = False) -> list[exp.Expression]:
        columns = [_alias(self._scalar(Ref(id, Type("any")), block), id) for id in sorted(ids)]
        return columns or ([] if none_is_fine else [_alias(exp.Literal.number(1), 0)])

    def _closed(self, block: _Block, ids: set[int]) -> _Block:
        return self._from(self._select(block, self._columns(block, ids)))

    def _select(self, block: _Block, columns: list[exp.Expression]) -> exp.Select:
        select = exp.Select(expressions=columns)
        if block.source is not None:
            select.set("from_", exp.From(this=block.source))
        if block.joins:
            select.set("joins", block.joins)
        if block.filters:
            condition: exp.Expression = closed(block.filters[0])
            for each in block.filters[1:]:
                condition = exp.And(this=condition, expression=closed(each))
            select.set("where", exp.Where(this=condition))
        return select

    def _from(self, select: exp.Expression) -> _Block:
        return _Block(exp.Subquery(this=select, alias=self._table_alias()))

    def _table_alias(self, columns: Sequence[int] = ()) -> exp.Expression:
        self._tables += 1
        names = [exp.Identifier(this=name_of(id), quoted=False) for id in columns]
        return exp.TableAlias(this=exp.Identifier(this=f"t{self._tables}", quoted=False), columns=names)


def _named(value: Scalar) -> set[int]:
    """The columns that an expression names."""
    found: set[int] = set()
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, Ref):
            found.add(each.id)
        pending.extend(each.parts())
    return found


def _parts(value: Scalar, most: int) -> int | None:
    """How many parts an expression is made of, up to ``most``; None if it is not the same each time."""
    count = 0
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, Apply) and each.volatile:
            return None
        count += 1
        pending.extend(each.parts())
    return min(count, most)


def _is_light(relation: Relation) -> bool:
    """Whether a relation is cheap to compute for each reader: rows of a table, filtered and extended."""
    if isinstance(relation, Extend | Filter | Reading):
        below = [relation.shared.rows.relation] if isinstance(relation, Reading) else relation.inputs()
        return all(_is_light(each) for each in below)
    return isinstance(relation, Scan | OneRow | Values | Sequence_)
