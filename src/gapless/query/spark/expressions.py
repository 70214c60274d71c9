"""Expressions: in Spark's SQL where it has them, and as calls of batch functions where it has not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sqlglot import exp

from gapless.query.kql.emission.sql import Engine, Written, closed, parsed
from gapless.query.kql.errors import unsupported
from gapless.query.spark.functions import BatchFunctions, argument
from gapless.query.spark.kinds import BOOLEAN, INT, Typed
from gapless.query.spark.native import NativeExpressions, connected, is_ours

_AGGREGATE = re.compile(r"\b(list|array_agg|first|count|sum|min|max)\(")


class Expressions(NativeExpressions):
    """The expressions of one SELECT; see ``NativeExpressions``."""

    def __init__(
        self,
        columns: Mapping[str, str],
        functions: BatchFunctions,
        value_of: Callable[[exp.Expression], Typed],
        statement: Callable[[exp.Expression], tuple[exp.Expression, dict[str, str]]],
    ) -> None:
        super().__init__(columns, value_of, statement)
        self._functions = functions

    def scalar(self, node: exp.Expression) -> Typed:
        """The expression for Spark."""
        if isinstance(node, exp.Paren):
            inner = self.scalar(node.this)
            return Typed(exp.Paren(this=inner.sql), inner.kind)
        if isinstance(node, exp.Not):
            return Typed(exp.Not(this=closed(self.scalar(node.this).sql)), BOOLEAN)
        # Each condition for itself: Spark looks up in a file's statistics what it understands.
        is_several = isinstance(node, exp.And | exp.Or)
        native = connected(node, self.scalar) if is_several else self.native(node)
        return self._by_duckdb(node) if native is None else native

    def _by_duckdb(self, node: exp.Expression) -> Typed:
        inputs: dict[str, tuple[str, Typed]] = {}

        def given(value: Typed) -> exp.Expression:
            key = value.sql.sql("spark")
            name, _ = inputs.setdefault(key, (argument(len(inputs) + 1), value))
            return exp.Column(this=exp.Identifier(this=name))

        def replaced(each: exp.Expression) -> exp.Expression:
            if isinstance(each, exp.Rand):
                raise unsupported("chance on Spark", 0)
            if isinstance(each, exp.In) and each.args.get("query") is not None:
                raise unsupported("in (table) inside of an expression on Spark", 0, "filter by it with where")
            if isinstance(each, exp.AggFunc | exp.Filter | exp.IgnoreNulls):
                value = self.aggregate(each)
                return given(value) if value is not None else self._collected(each, given)
            is_input = isinstance(each, exp.Column | exp.Subquery) or (
                isinstance(each, exp.StructExtract) and isinstance(each.this, exp.Column)
            )
            value = self.native(each) if is_input else None
            return each if value is None else given(value)

        text = node.transform(_opened).transform(replaced).sql(Engine)
        if not inputs:
            given(Typed(exp.cast(exp.Literal.number(0), "INT"), INT))
        kinds = tuple(value.kind for _, value in inputs.values())
        name, kind = self._functions.name_of(text, kinds)
        return Typed(exp.Anonymous(this=name, expressions=[value.sql for _, value in inputs.values()]), kind)

    def rows_of(self, body: exp.Expression, outer: str) -> Typed:
        """The rows of a subquery that sees the columns of this SELECT under the name ``outer``, and nothing
        else: a list of structs."""
        inputs: dict[str, Typed] = {}

        def replaced(each: exp.Expression) -> exp.Expression:
            if not (isinstance(each, exp.Column) and each.table == outer):
                return each
            value = self.native(exp.Column(this=each.this.copy()))
            assert value is not None
            inputs[each.name] = value
            return exp.Column(this=exp.Identifier(this=argument(list(inputs).index(each.name) + 1)))

        if body.find(exp.Rand) is not None:
            raise unsupported("chance on Spark", 0)
        rows = body.transform(replaced)
        names = [each.alias for each in body.this.expressions]
        fields = [exp.PropertyEQ(this=exp.Identifier(this=n), expression=exp.column(n)) for n in names]
        listed = exp.Anonymous(this="list", expressions=[exp.Struct(expressions=fields)])
        text = exp.Subquery(this=exp.Select(expressions=[listed]).from_(rows)).sql(Engine)
        inputs = inputs or {"none": Typed(exp.cast(exp.Literal.number(0), "INT"), INT)}
        name, kind = self._functions.name_of(text, tuple(value.kind for value in inputs.values()))
        return Typed(exp.Anonymous(this=name, expressions=[value.sql for value in inputs.values()]), kind)

    def _collected(self, node: exp.Expression, given: Callable[[Typed], exp.Expression]) -> exp.Expression:
        """An aggregate that Spark lacks: it collects a group's rows, over which DuckDB computes it."""
        fields: dict[str, Typed] = {}

        def replaced(each: exp.Expression) -> exp.Expression:
            if not (isinstance(each, exp.Column) and is_ours(each)):
                return each
            value = self.native(each)
            assert value is not None
            fields[f"f_{each.name}"] = value
            place = exp.Literal.string(f"f_{each.name}")
            row = exp.Column(this=exp.Identifier(this="row_"))
            return exp.Anonymous(this="struct_extract", expressions=[row, place])

        over_rows = node.transform(replaced)
        fields = fields or {"none": Typed(exp.Literal.number(0), INT)}
        named: list[exp.Expression] = []
        for name, value in fields.items():
            named += [exp.Literal.string(name), value.sql]
        struct = exp.Anonymous(this="named_struct", expressions=named)
        kind = ", ".join(f'"{name}" {value.kind}' for name, value in fields.items())
        rows = given(Typed(exp.Anonymous(this="collect_list", expressions=[struct]), f"STRUCT({kind})[]"))
        unnested = exp.Anonymous(this="unnest", expressions=[rows])
        inner = exp.select(exp.alias_(unnested, "row_")).subquery("rows_")
        return exp.Subquery(this=exp.Select(expressions=[over_rows]).from_(inner))


def _opened(node: exp.Expression) -> exp.Expression:
    """SQL that is written as it stands, as a tree if there is an aggregate in it."""
    if not isinstance(node, Written) or not any(map(_AGGREGATE.search, node.args["pieces"])):
        return node
    text = node.args["pieces"][0]
    for place, piece in zip(node.args["places"], node.args["pieces"][1:], strict=True):
        text += f"place_{place}{piece}"
    arguments = [each.transform(_opened) for each in node.expressions]

    def filled(each: exp.Expression) -> exp.Expression:
        is_place = isinstance(each, exp.Column) and each.name.startswith("place_")
        return arguments[int(each.name[6:])].copy() if is_place else each

    return exp.Paren(this=parsed(text).transform(filled))
