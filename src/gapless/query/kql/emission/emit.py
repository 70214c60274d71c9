"""From a pruned relational form to SQL.

Operations that follow each other become one SELECT as long as that neither changes their meaning nor
computes an expression several times over.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from gapless.query.kql.emission.blocks import Block, aliased, name_of, select_of
from gapless.query.kql.emission.emit_fold import FoldEmitter
from gapless.query.kql.relational.prune import Pruned, outputs
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
    Constant,
    Ref,
    Scalar,
    Type,
)


class Emitter(FoldEmitter):
    """Makes the SQL of one query."""

    def __init__(self, pruned: Pruned) -> None:
        super().__init__(pruned)
        #: The columns that the SQL reads, by table.
        self.columns_read: dict[str, set[str]] = {}
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
            tables = [self._common_table(*each) for each in self._common]
            select.set("with_", exp.With(expressions=tables, recursive=self.is_recursive))
        return select

    def _common_table(self, name: str, body: exp.Expression, is_kept: bool | None) -> exp.Expression:
        alias = exp.TableAlias(this=exp.Identifier(this=name, quoted=False))
        return exp.CTE(this=body, alias=alias, materialized=is_kept)

    # Relations --------------------------------------------------------------------------------------------

    def block(self, relation: Relation) -> Block:
        match relation:
            case OneRow():
                return Block(names=dict(self._outer))
            case Scan(table=table, columns=columns):
                self.columns_read.setdefault(table, set()).update(name for _, name in columns)
                names: dict[int, exp.Expression] = {
                    id: exp.Column(this=exp.Identifier(this=name, quoted=True)) for id, name in columns
                }
                return Block(exp.Table(this=exp.Identifier(this=table, quoted=True)), names=names)
            case Values():
                return self.values_block(relation)
            case Sequence_():
                return self.sequence(relation)
            case Extend():
                return self.extended(relation)
            case Filter():
                return self.filtered(relation)
            case Aggregate():
                return self.aggregated(relation)
            case Window():
                return self.windowed(relation)
            case Limit():
                return self.limited(relation)
            case Join():
                return self._joined(relation)
            case Concat():
                return self._concatenated(relation)
            case Expand():
                return self.expanded(relation)
            case Lateral():
                return self._lateral(relation)
            case Reading():
                return self._read(relation)
            case Fold():
                return self.folded(relation)
            case FoldStep():
                return self.step(relation)
        raise AssertionError(type(relation))

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
        select = select_of(block, self.columns(block, self.needed(relation)))
        return exp.Subquery(this=select, alias=self.table_alias())

    def _concatenated(self, relation: Concat) -> Block:
        """The first part has all columns and gives them their types; the others leave out what they lack, for
        of many wide tables each lacks most."""
        selects: list[exp.Expression] = []
        for part, source in zip(relation.parts, relation.sources, strict=True):
            block = self.ready(part, source)
            own = [
                (id, value)
                for (id, _), value in zip(relation.columns, source, strict=True)
                if not selects or not (isinstance(value, Constant) and value.value is None)
            ]
            if relation.columns and not own:
                own = [(relation.columns[0][0], source[0])]
            columns = [aliased(self.scalar(value, block), id) for id, value in own]
            selects.append(select_of(block, columns or [aliased(exp.Literal.number(1), 0)]))
        together = selects[0]
        for select in selects[1:]:
            together = exp.Union(this=together, expression=select, distinct=False, by_name=True)
        return self.from_select(together)

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
            needed = self.needed(shared.rows.relation)
            block = self.block(shared.rows.relation)
            body = select_of(block, self.columns(block, needed))
            self._shared[key] = f"shared_{shared.number}"
            self._common.append((self._shared[key], body, shared.keep or not _is_light(shared.rows.relation)))
        return self._shared[key]


def _is_light(relation: Relation) -> bool:
    """Whether a relation is cheap to compute for each reader: rows of a table, filtered and extended."""
    if isinstance(relation, Extend | Filter | Reading):
        below = [relation.shared.rows.relation] if isinstance(relation, Reading) else relation.inputs()
        return all(_is_light(each) for each in below)
    return isinstance(relation, Scan | OneRow | Values | Sequence_)
