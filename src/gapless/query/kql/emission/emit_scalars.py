"""Expressions in SQL, and the tables that they ask."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from gapless.query.kql.emission.blocks import Block, aliased, column_of, name_of, select_of
from gapless.query.kql.emission.sql import closed, constant
from gapless.query.kql.relational.prune import Pruned
from gapless.query.kql.relational.relation import (
    Relation,
    Rows,
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
    Type,
)


class ScalarEmitter:
    """Makes the SQL of expressions. Relations are made by the class that knows them all."""

    def __init__(self, pruned: Pruned) -> None:
        self._pruned = pruned
        self._tables = 0
        #: Of the WITH: name, body, and whether the engine computes it once for all readers.
        self._common: list[tuple[str, exp.Expression, bool | None]] = []
        self._values: dict[int, str] = {}

    def block(self, relation: Relation) -> Block:
        """The SELECT of a relation, as far as it is made."""
        raise NotImplementedError

    def scalar(self, value: Scalar, block: Block) -> exp.Expression:
        """An expression in SQL, from what a block reads and computes."""
        match value:
            case Ref(id=id):
                if id in block.defined:
                    return self.scalar(block.defined[id], block)
                known = block.names.get(id)
                return known.copy() if known is not None else column_of(id)
            case Constant():
                return constant(value)
            case Apply(arguments=arguments, emit=emit):
                return emit([self.scalar(argument, block) for argument in arguments])
            case Struct(fields=fields):
                return exp.Struct(
                    expressions=[
                        exp.PropertyEQ(
                            this=exp.Identifier(this=f"f{id}"), expression=self.scalar(each, block)
                        )
                        for id, each in (fields or [(0, Constant(0, Type("long")))])
                    ]
                )
            case Field(struct=struct, field=id):
                place = exp.Literal.string(f"f{id}")
                return exp.Anonymous(this="struct_extract", expressions=[self.scalar(struct, block), place])
            case SubqueryValue():
                return self._value_of(value)
            case SubqueryContains(value=sought, rows=rows, member=member):
                return self._contains(self.scalar(sought, block), rows, member)
        raise AssertionError(type(value))

    def _value_of(self, value: SubqueryValue) -> exp.Expression:
        key = id(value.rows.relation)
        if key not in self._values:
            inner = self.block(value.rows.relation)
            column = value.column.ref()
            body = select_of(inner, [aliased(self.scalar(column, inner), value.column.id)])
            self._values[key] = f"value_{len(self._values) + 1}"
            self._common.append((self._values[key], body, True))
        select = exp.Select(expressions=[column_of(value.column.id)])
        select.set(
            "from_", exp.From(this=exp.Table(this=exp.Identifier(this=self._values[key], quoted=False)))
        )
        return exp.Subquery(this=select)

    def _contains(self, sought: exp.Expression, rows: Rows, member: Scalar) -> exp.Expression:
        inner = self.block(rows.relation)
        select = select_of(inner, [aliased(self.scalar(member, inner), 0)])
        wrapped = exp.Select(expressions=[column_of(0)])
        wrapped.set("from_", exp.From(this=exp.Subquery(this=select, alias=self.table_alias())))
        wrapped.set("where", exp.Where(this=exp.Not(this=exp.Is(this=column_of(0), expression=exp.Null()))))
        found = exp.In(this=closed(sought), query=exp.Subquery(this=wrapped))
        return exp.Coalesce(this=found, expressions=[exp.Boolean(this=False)])

    def order(self, key: Order, block: Block) -> exp.Expression:
        """A key of an order in SQL."""
        return exp.Ordered(
            this=self.scalar(key.value, block), desc=key.descending, nulls_first=key.nulls_first
        )

    def table_alias(self, columns: Sequence[int] = ()) -> exp.Expression:
        """A new name for what FROM reads, with those of its columns if it has none of its own."""
        self._tables += 1
        names = [exp.Identifier(this=name_of(id), quoted=False) for id in columns]
        return exp.TableAlias(this=exp.Identifier(this=f"t{self._tables}", quoted=False), columns=names)
