"""A SELECT in the making, and what may be computed in it without a SELECT of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from sqlglot import exp

from gapless.query.kql.emission.sql import closed
from gapless.query.kql.relational.scalars import Apply, Constant, Ref, Scalar, SubqueryValue, refs, walk

#: An expression of up to so many parts may be written more than once instead of taking a SELECT of its own.
_REPEATED_PARTS_MAX = 3


@dataclass(slots=True)
class Block:
    """A SELECT that is being made: what it reads, what it computes, what it keeps."""

    source: exp.Expression | None = None
    joins: list[exp.Expression] = field(default_factory=list)
    names: dict[int, exp.Expression] = field(default_factory=dict)
    defined: dict[int, Scalar] = field(default_factory=dict)
    filters: list[exp.Expression] = field(default_factory=list)


def name_of(id: int) -> str:
    """The name of a column in SQL."""
    return f"c{id}"


def column_of(id: int) -> exp.Expression:
    """A column in SQL."""
    return exp.Column(this=exp.Identifier(this=name_of(id), quoted=False))


def aliased(value: exp.Expression, id: int) -> exp.Expression:
    """An expression under the name of a column."""
    return exp.Alias(this=value, alias=exp.Identifier(this=name_of(id), quoted=False))


def select_of(block: Block, columns: list[exp.Expression]) -> exp.Select:
    """The SELECT of ``columns`` over what the block reads and keeps."""
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


def may_be_inlined(value: Scalar, block: Block, uses: Mapping[int, int]) -> bool:
    """Whether an expression may be computed from what the block's own columns are made of."""
    return all(_is_free(id, block, uses) for id in refs(value) if id in block.defined)


def _is_free(id: int, block: Block, uses: Mapping[int, int]) -> bool:
    made = block.defined[id]
    if isinstance(made, Ref):
        return made.id not in block.defined or _is_free(made.id, block, uses)
    if isinstance(made, Constant):
        return True
    if isinstance(made, SubqueryValue):
        # The engine takes no subquery in a lambda, which only the reader of this column may have.
        return False
    if any(isinstance(each, Apply) and each.volatile for each in walk(made)):
        return False
    if uses[id] <= 1:
        return True
    # Written out several times: it must be small, and not be made of what would be written out too.
    is_small = len(list(islice(walk(made), _REPEATED_PARTS_MAX + 1))) <= _REPEATED_PARTS_MAX
    return is_small and block.defined.keys().isdisjoint(refs(made))
