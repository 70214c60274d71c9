"""Operations on the rows of one relation in SQL: extend, filter, aggregate, window, limit, expand, values."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from gapless.query.kql.emission.blocks import Block, aliased, may_be_inlined, select_of
from gapless.query.kql.emission.emit_scalars import ScalarEmitter
from gapless.query.kql.emission.sql import constant, number
from gapless.query.kql.relational.relation import (
    Aggregate,
    Expand,
    Extend,
    Filter,
    Limit,
    Relation,
    Sequence_,
    Values,
    Window,
)
from gapless.query.kql.relational.scalars import Constant, Ref, Scalar, Type


class RowEmitter(ScalarEmitter):
    """Makes the SQL of operations on the rows of one relation."""

    def values_block(self, relation: Values) -> Block:
        """Rows written in the text."""
        if not relation.rows:
            nothing = [aliased(constant(Constant(None, kind)), id) for id, kind in relation.columns]
            select = exp.Select(expressions=nothing)
            select.set("where", exp.Where(this=exp.Boolean(this=False)))
            return self.from_select(select)
        empty = Block()
        tuples = [exp.Tuple(expressions=[self.scalar(cell, empty) for cell in row]) for row in relation.rows]
        alias = self.table_alias([id for id, _ in relation.columns])
        return Block(exp.Values(expressions=tuples, alias=alias))

    def sequence(self, relation: Sequence_) -> Block:
        """The integers of a sequence."""
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

    def extended(self, relation: Extend) -> Block:
        """More columns, in the SELECT below as far as they fit there."""
        block = self.block(relation.input)
        if not all(self.fits(value, block) for _, value in relation.columns):
            block = self.closed(block, self.needed(relation.input))
        for id, value in relation.columns:
            block.defined[id] = value
        return block

    def filtered(self, relation: Filter) -> Block:
        """The rows that pass, kept by the SELECT below as far as the predicate fits there."""
        block = self.block(relation.input)
        if not self.fits(relation.predicate, block):
            block = self.closed(block, self.needed(relation.input))
        block.filters.append(self.scalar(relation.predicate, block))
        return block

    def ready(self, relation: Relation, values: Sequence[Scalar]) -> Block:
        """The block of a relation from which ``values`` can be computed."""
        block = self.block(relation)
        if not all(self.fits(value, block) for value in values):
            block = self.closed(block, self.needed(relation))
        return block

    def aggregated(self, relation: Aggregate) -> Block:
        """Groups."""
        values = [value for _, value in (*relation.keys, *relation.aggregates)]
        block = self.ready(relation.input, values)
        columns = [
            aliased(self.scalar(value, block), id) for id, value in (*relation.keys, *relation.aggregates)
        ]
        select = select_of(block, columns)
        if relation.keys:
            places = [exp.Literal.number(place) for place in range(1, len(relation.keys) + 1)]
            select.set("group", exp.Group(expressions=places))
        return self.from_select(select)

    def windowed(self, relation: Window) -> Block:
        """Window functions."""
        if not relation.columns:
            return self.block(relation.input)
        values = [*(value for _, value in relation.columns), *relation.partition]
        block = self.ready(relation.input, [*values, *(key.value for key in relation.order)])
        own = {id for id, _ in relation.columns}
        columns = [
            aliased(self.scalar(Ref(id, Type("any")), block), id)
            for id in sorted(self.needed(relation) - own)
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
        return self.from_select(select_of(block, columns))

    def limited(self, relation: Limit) -> Block:
        """The first rows."""
        block = self.ready(relation.input, [key.value for key in relation.order])
        select = select_of(block, self.columns(block, self.needed(relation)))
        if relation.order:
            select.set("order", exp.Order(expressions=[self.order(key, block) for key in relation.order]))
        select.set("limit", exp.Limit(expression=exp.Literal.number(relation.rows)))
        return self.from_select(select)

    def expanded(self, relation: Expand) -> Block:
        """A row for each item of lists."""
        block = self.ready(relation.input, [value for _, value in relation.lists])
        own = {id for id, _ in relation.lists}
        columns = self.columns(block, self.needed(relation) - own, none_is_fine=True)
        for id, value in relation.lists:
            items = exp.Anonymous(this="unnest", expressions=[self.scalar(value, block)])
            columns.append(aliased(items, id))
        return self.from_select(select_of(block, columns))

    def fits(self, value: Scalar, block: Block) -> bool:
        """Whether an expression may be computed in the SELECT of a block."""
        return may_be_inlined(value, block, self._pruned.uses)

    def needed(self, relation: Relation) -> set[int]:
        """The columns that others ask of a relation."""
        return self._pruned.needed[id(relation)]

    def columns(self, block: Block, ids: set[int], none_is_fine: bool = False) -> list[exp.Expression]:
        """Columns of a block as a SELECT has them, one that nobody reads if it would have none."""
        columns = [aliased(self.scalar(Ref(id, Type("any")), block), id) for id in sorted(ids)]
        return columns or ([] if none_is_fine else [aliased(exp.Literal.number(1), 0)])

    def closed(self, block: Block, ids: set[int]) -> Block:
        """The block of a SELECT of its own, that of ``ids`` of another block."""
        return self.from_select(select_of(block, self.columns(block, ids)))

    def from_select(self, select: exp.Expression) -> Block:
        """A block that reads a SELECT."""
        return Block(exp.Subquery(this=select, alias=self.table_alias()))
