"""Folds in SQL: a table that reads itself, one row of its input a turn."""

from __future__ import annotations

from sqlglot import exp

from gapless.query.kql.emission.blocks import Block, aliased, name_of, select_of
from gapless.query.kql.emission.emit_rows import RowEmitter
from gapless.query.kql.emission.sql import constant, number
from gapless.query.kql.relational.prune import Pruned
from gapless.query.kql.relational.relation import Fold, FoldStep
from gapless.query.kql.relational.scalars import LONG, Constant, Ref


class FoldEmitter(RowEmitter):
    """Makes the SQL of folds."""

    def __init__(self, pruned: Pruned) -> None:
        super().__init__(pruned)
        #: Of the step of each fold: the names of the fold's table and of its input's, and the fold.
        self._folds: dict[int, tuple[str, str, Fold]] = {}

    @property
    def is_recursive(self) -> bool:
        """Whether a table of the query reads itself."""
        return bool(self._folds)

    def folded(self, relation: Fold) -> Block:
        """The rows of the input beside what the fold adds to each."""
        place = len(self._folds) + 1
        name, rows = f"fold_{place}", f"folded_{place}"
        self._folds[id(relation.step)] = (name, rows, relation)
        block = self.block(relation.input)
        self._common.append((rows, select_of(block, self.columns(block, self.needed(relation.input))), True))
        self._common.append((name, self._turns(relation), None))
        return _beside(name, rows, relation, 0)

    def step(self, relation: FoldStep) -> Block:
        """The state after a row beside the next row."""
        return _beside(*self._folds[id(relation)], 1)

    def _turns(self, relation: Fold) -> exp.Expression:
        """The state before the first row, and then that after each."""
        block = self.block(relation.body)
        first = [aliased(constant(Constant(0, LONG)), relation.number)]
        later = [aliased(self.scalar(Ref(relation.number, LONG), block), relation.number)]
        for id_, value, after in relation.state:
            first.append(aliased(constant(value), id_))
            later.append(aliased(self.scalar(Ref(after, value.type), block), id_))
        for id_, kind in relation.outputs:
            first.append(aliased(constant(Constant(None, kind)), id_))
            later.append(aliased(self.scalar(Ref(id_, kind), block), id_))
        seed = exp.Select(expressions=first)
        return exp.Union(this=seed, expression=select_of(block, later), distinct=False)


def _beside(name: str, rows: str, fold: Fold, ahead: int) -> Block:
    """A row of the fold's table beside that of its input with the same number, or the one after it."""
    place: exp.Expression = _qualified(fold.number, name)
    if ahead:
        place = exp.Add(this=place, expression=number(ahead))
    condition = exp.EQ(this=_qualified(fold.number, rows), expression=place)
    join = exp.Join(this=_table(rows), on=condition, kind="INNER")
    return Block(_table(name), [join], {fold.number: _qualified(fold.number, rows)})


def _table(name: str) -> exp.Expression:
    return exp.Table(this=exp.Identifier(this=name, quoted=False))


def _qualified(id: int, table: str) -> exp.Expression:
    column = exp.Identifier(this=name_of(id), quoted=False)
    return exp.Column(this=column, table=exp.Identifier(this=table, quoted=False))
