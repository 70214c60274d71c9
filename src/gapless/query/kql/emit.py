"""From a pruned relational form to SQL.

Operations that follow each other become one SELECT as long as that neither changes their meaning nor
computes an expression several times over.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from gapless.query.kql.blocks import Block, aliased, may_be_inlined, name_of, select_of
from gapless.query.kql.emit_scalars import ScalarEmitter
from gapless.query.kql.prune import Pruned, outputs
from gapless.query.kql.relation import (
    Aggregate,
    Concat,
    Expand,
    Extend,
    Filter,
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
from gapless.query.kql.scalars import (
    Constant,
    Ref,
    Scalar,
    Type,
)
from gapless.query.kql.sql import constant, number


class Emitter(ScalarEmitter):
    """Makes the SQL of one query."""

    def __init__(self, pruned: Pruned) -> None:
        super().__init__(pruned)
        self._shared: dict[int, str] = {}
        #: In a body that is computed for each row of another relation: the columns of that row.
        self._outer: dict[int, exp.Expression] = {}

    def query(self, rows: Rows, outputs: Sequence[tuple[int, Scalar]]) -> exp.Select:
        """The SELECT of ``outputs``, expressions over the columns of ``rows``, in the order of ``rows``."""
        block = self.block(rows.relation)
        columns = [aliased(self.scalar(value, block), id) for id, value in outputs]
        select = select_of(block, columns)
        if rows.order:
            select.set("order", exp.Order(expressions=[self.order(key, block) for key in rows.order]))
        if self._common:
            select.set("with_", exp.With(expressions=[self._common_table(*each) for each in self._common]))
        return select

    def _common_table(self, name: str, body: exp.Expression, is_kept: bool) -> exp.Expression:
        alias = exp.TableAlias(this=exp.Identifier(this=name, quoted=False))
        return exp.CTE(this=body, alias=alias, materialized=is_kept)

    # Relations --------------------------------------------------------------------------------------------

    def block(self, relation: Relation) -> Block:
        match relation:
            case OneRow():
                return Block(names=dict(self._outer))
            case Scan(table=table, columns=columns):
                names: dict[int, exp.Expression] = {
                    id: exp.Column(this=exp.Identifier(this=name, quoted=True)) for id, name in columns
                }
                return Block(exp.Table(this=exp.Identifier(this=table, quoted=True)), names=names)
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

    def _fits(self, value: Scalar, block: Block) -> bool:
        return may_be_inlined(value, block, self._pruned.uses)

    def _values_block(self, relation: Values) -> Block:
        if not relation.rows:
            nothing = [aliased(constant(Constant(None, kind)), id) for id, kind in relation.columns]
            select = exp.Select(expressions=nothing)
            select.set("where", exp.Where(this=exp.Boolean(this=False)))
            return self._from(select)
        empty = Block()
        tuples = [exp.Tuple(expressions=[self.scalar(cell, empty) for cell in row]) for row in relation.rows]
        alias = self.table_alias([id for id, _ in relation.columns])
        return Block(exp.Values(expressions=tuples, alias=alias))

    def _sequence(self, relation: Sequence_) -> Block:
        call = exp.Anonymous(this="range", expressions=[number(relation.count)])
        self._tables += 1
        index = exp.Identifier(this=f"i{self._tables}", quoted=False)
        alias = exp.TableAlias(this=exp.Identifier(this=f"t{self._tables}", quoted=False), columns=[index])
        value = exp.Add(
            this=number(relation.start),
            expression=exp.Mul(this=exp.Column(this=index.copy()), expression=number(relation.step)),
        )
        names: dict[int, exp.Expression] = {relation.id: exp.Paren(this=value)}
        return Block(exp.Table(this=call, alias=alias), names=names)

    def _extended(self, relation: Extend) -> Block:
        block = self.block(relation.input)
        if not all(self._fits(value, block) for _, value in relation.columns):
            block = self._closed(block, self._needed(relation.input))
        for id, value in relation.columns:
            block.defined[id] = value
        return block

    def _filtered(self, relation: Filter) -> Block:
        block = self.block(relation.input)
        if not self._fits(relation.predicate, block):
            block = self._closed(block, self._needed(relation.input))
        block.filters.append(self.scalar(relation.predicate, block))
        return block

    def _ready(self, relation: Relation, values: Sequence[Scalar]) -> Block:
        """The block of a relation from which ``values`` can be computed."""
        block = self.block(relation)
        if not all(self._fits(value, block) for value in values):
            block = self._closed(block, self._needed(relation))
        return block

    def _aggregated(self, relation: Aggregate) -> Block:
        values = [value for _, value in (*relation.keys, *relation.aggregates)]
        block = self._ready(relation.input, values)
        columns = [
            aliased(self.scalar(value, block), id) for id, value in (*relation.keys, *relation.aggregates)
        ]
        select = select_of(block, columns)
        if relation.keys:
            places = [exp.Literal.number(place) for place in range(1, len(relation.keys) + 1)]
            select.set("group", exp.Group(expressions=places))
        return self._from(select)

    def _windowed(self, relation: Window) -> Block:
        if not relation.columns:
            return self.block(relation.input)
        values = [*(value for _, value in relation.columns), *relation.partition]
        block = self._ready(relation.input, [*values, *(key.value for key in relation.order)])
        own = {id for id, _ in relation.columns}
        columns = [
            aliased(self.scalar(Ref(id, Type("any")), block), id)
            for id in sorted(self._needed(relation) - own)
        ]
        for id, value in relation.columns:
            spec = None
            if relation.frame:
                spec = exp.WindowSpec(
                    kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW", over="OVER"
                )
            over = exp.Window(
                this=self.scalar(value, block),
                partition_by=[self.scalar(each, block) for each in relation.partition],
                order=exp.Order(expressions=[self.order(key, block) for key in relation.order])
                if relation.order
                else None,
                spec=spec,
                over="OVER",
            )
            columns.append(aliased(over, id))
        return self._from(select_of(block, columns))

    def _limited(self, relation: Limit) -> Block:
        block = self._ready(relation.input, [key.value for key in relation.order])
        select = select_of(block, self._columns(block, self._needed(relation)))
        if relation.order:
            select.set("order", exp.Order(expressions=[self.order(key, block) for key in relation.order]))
        select.set("limit", exp.Limit(expression=exp.Literal.number(relation.rows)))
        return self._from(select)

    def _joined(self, relation: Join) -> Block:
        left = self._subquery(relation.left)
        right = self._subquery(relation.right)
        block = Block(left)
        condition = self.scalar(relation.condition, block)
        kinds = {"LEFT": {"side": "LEFT"}, "RIGHT": {"side": "RIGHT"}, "FULL": {"side": "FULL"}}
        how = kinds.get(relation.kind, {"kind": relation.kind})
        block.joins.append(exp.Join(this=right, on=condition, **how))
        return block

    def _subquery(self, relation: Relation) -> exp.Expression:
        block = self.block(relation)
        select = select_of(block, self._columns(block, self._needed(relation)))
        return exp.Subquery(this=select, alias=self.table_alias())

    def _concatenated(self, relation: Concat) -> Block:
        selects = []
        for part, source in zip(relation.parts, relation.sources, strict=True):
            block = self._ready(part, source)
            columns = [
                aliased(self.scalar(value, block), id)
                for (id, _), value in zip(relation.columns, source, strict=True)
            ]
            selects.append(select_of(block, columns or [aliased(exp.Literal.number(1), 0)]))
        together: exp.Expression = selects[0]
        for select in selects[1:]:
            together = exp.Union(this=together, expression=select, distinct=False)
        return self._from(together)

    def _expanded(self, relation: Expand) -> Block:
        block = self._ready(relation.input, [value for _, value in relation.lists])
        own = {id for id, _ in relation.lists}
        columns = self._columns(block, self._needed(relation) - own, none_is_fine=True)
        for id, value in relation.lists:
            items = exp.Anonymous(this="unnest", expressions=[self.scalar(value, block)])
            columns.append(aliased(items, id))
        return self._from(select_of(block, columns))

    def _lateral(self, relation: Lateral) -> Block:
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
        return Block(left, [exp.Join(this=right, kind="CROSS")])

    def _read(self, relation: Reading) -> Block:
        shared = relation.shared
        if self._pruned.readers(shared) == 1:
            block = self.block(shared.rows.relation)
        else:
            block = Block(exp.Table(this=exp.Identifier(this=self._shared_name(shared), quoted=False)))
        for here, there in relation.columns:
            block.defined[here] = Ref(there, Type("any"))
        return block

    def _shared_name(self, shared: Shared) -> str:
        key = id(shared)
        if key not in self._shared:
            needed = self._needed(shared.rows.relation)
            block = self.block(shared.rows.relation)
            body = select_of(block, self._columns(block, needed))
            self._shared[key] = f"shared_{shared.number}"
            self._common.append((self._shared[key], body, shared.keep or not _is_light(shared.rows.relation)))
        return self._shared[key]

    # Selects ----------------------------------------------------------------------------------------------

    def _needed(self, relation: Relation) -> set[int]:
        return self._pruned.needed[id(relation)]

    def _columns(self, block: Block, ids: set[int], none_is_fine: bool = False) -> list[exp.Expression]:
        columns = [aliased(self.scalar(Ref(id, Type("any")), block), id) for id in sorted(ids)]
        return columns or ([] if none_is_fine else [aliased(exp.Literal.number(1), 0)])

    def _closed(self, block: Block, ids: set[int]) -> Block:
        return self._from(select_of(block, self._columns(block, ids)))

    def _from(self, select: exp.Expression) -> Block:
        return Block(exp.Subquery(this=select, alias=self.table_alias()))


def _is_light(relation: Relation) -> bool:
    """Whether a relation is cheap to compute for each reader: rows of a table, filtered and extended."""
    if isinstance(relation, Extend | Filter | Reading):
        below = [relation.shared.rows.relation] if isinstance(relation, Reading) else relation.inputs()
        return all(_is_light(each) for each in below)
    return isinstance(relation, Scan | OneRow | Values | Sequence_)
