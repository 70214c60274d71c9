"""SELECTs: from DuckDB's to Spark's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlglot import exp

from gapless.model.tables import SYSTEM_COLUMNS, TableSchema
from gapless.query.kql.emission.sql import parsed
from gapless.query.kql.errors import unsupported
from gapless.query.sandbox import quoted_name
from gapless.query.spark.expressions import Expressions
from gapless.query.spark.functions import BatchFunctions
from gapless.query.spark.kinds import BIGINT, KINDS_OF_TABLES, Typed, field_kind, spark_type
from gapless.query.views import declared_values

_Columns = dict[str, str]


class Statements:
    """Makes the Spark SQL of one query over ``tables``, and finds the batch functions that it calls."""

    def __init__(self, tables: Mapping[str, TableSchema], functions: BatchFunctions) -> None:
        self._tables, self._functions = tables, functions
        self._common: dict[str, _Columns] = {}
        self._values = 0

    def query(self, select: exp.Expression) -> exp.Expression:
        """The SELECT for Spark. Raises KqlError for what Spark cannot do."""
        given = select.args.get("with_")
        tables = []
        for each in given.expressions if given is not None else ():
            if given is not None and given.args.get("recursive"):
                raise unsupported("scan, or row_window_session(), on Spark", 0)
            body, columns = self._statement(each.this)
            self._common[each.alias] = columns
            tables.append(exp.CTE(this=body, alias=each.args["alias"].copy()))
        made, _ = self._select(select)
        if tables:
            made.set("with_", exp.With(expressions=tables))
        return made

    def _statement(self, node: exp.Expression) -> tuple[exp.Expression, _Columns]:
        others: list[exp.Expression] = []
        while isinstance(node, exp.Union):
            others.append(node.expression)
            node = node.this
        whole, columns = self._select(node)
        for each in reversed(others):
            part, _ = self._select(each)
            # By name: the first part has all columns, and Spark matches them by their places.
            own = {value.alias_or_name: value for value in part.expressions}
            part.set("expressions", [own.get(name) or _lacking(name, kind) for name, kind in columns.items()])
            whole = exp.Union(this=whole, expression=part, distinct=False)
        return whole, columns

    def _select(self, node: exp.Expression) -> tuple[exp.Expression, _Columns]:
        source, joins, columns = self._sources(node)
        values: list[exp.Expression] = []

        def value_of(query: exp.Expression) -> Typed:
            joined, typed = self._value(query)
            values.append(joined)
            return typed

        expressions = Expressions(columns, self._functions, value_of, self._statement)
        lists = {
            each.alias: expressions.scalar(each.this.expressions[0])
            for each in node.expressions
            if _is_unnested(each)
        }
        shown = {
            each.alias_or_name: self._projected(each.unalias(), expressions)
            for each in node.expressions
            if not _is_unnested(each)
        }
        made = exp.Select(expressions=[_named(value.sql, name) for name, value in (shown | lists).items()])
        if node.args.get("where") is not None:
            made.set("where", exp.Where(this=expressions.scalar(node.args["where"].this).sql))
        if node.args.get("order") is not None:
            made.set("order", _ordered(node.args["order"], expressions))
        for clause in ("group", "limit"):
            if node.args.get(clause) is not None:
                made.set(clause, node.args[clause].copy())
        if source is None and values:
            source = values.pop(0)
        if source is not None:
            made.set("from_", exp.From(this=source))
        made.set("joins", [*joins, *(exp.Join(this=each, kind="CROSS") for each in values)])
        kinds = {name: value.kind for name, value in shown.items()}
        return _exploded(made, kinds, lists) if lists else (made, kinds)

    def _projected(self, value: exp.Expression, expressions: Expressions) -> Typed:
        if not isinstance(value, exp.Window):
            return expressions.scalar(value)
        order = value.args.get("order")
        if order is None and not isinstance(value.this, exp.Max | exp.Min | exp.Sum | exp.Count):
            raise unsupported("serialize of rows without an order on Spark", 0, "put sort by before it")
        function = _window_function(value.this, expressions)
        over = exp.Window(
            this=function.sql,
            partition_by=[expressions.scalar(each).sql for each in value.args.get("partition_by") or ()],
            order=_ordered(order, expressions) if order is not None else None,
            spec=value.args["spec"].copy() if value.args.get("spec") is not None else None,
            over="OVER",
        )
        return Typed(over, function.kind)

    # FROM -------------------------------------------------------------------------------------------------

    def _sources(self, node: exp.Expression) -> tuple[exp.Expression | None, list[exp.Expression], _Columns]:
        begin = node.args.get("from_")
        if begin is None:
            return None, [], {}
        source, columns = self._source(begin.this)
        joins: list[exp.Expression] = []
        for join in node.args.get("joins") or ():
            if join.kind == "CROSS":
                source, columns = self._for_each(source, begin.this.alias, columns, join.this)
                continue
            other, more = self._source(join.this)
            both = Expressions({**columns, **more}, self._functions, _no_value, self._statement)
            on = both.scalar(join.args["on"]).sql
            joins.append(exp.Join(this=other, on=on, side=join.args.get("side"), kind=join.args.get("kind")))
            columns = columns if join.kind in ("SEMI", "ANTI") else {**columns, **more}
        return source, joins, columns

    def _for_each(
        self, source: exp.Expression, name: str, columns: _Columns, body: exp.Expression
    ) -> tuple[exp.Expression, _Columns]:
        """For each row of ``source``, which is called ``name``, the rows of ``body``: DuckDB computes them as
        a list, as long as they come from that row alone."""
        if body.find(exp.Table) is not None:
            raise unsupported("partition, or a table in mv-apply, on Spark", 0)
        expressions = Expressions(columns, self._functions, _no_value, self._statement)
        rows = expressions.rows_of(body, name)
        kind = rows.kind.removesuffix("[]")
        more = {each.alias: field_kind(kind, each.alias) for each in body.this.expressions}
        own: list[exp.Expression] = [_column(each) for each in columns]
        names = [exp.Identifier(this=each, quoted=True) for each in more]
        inline = exp.Anonymous(this="inline", expressions=[rows.sql])
        made = exp.Select(expressions=[*own, exp.Aliases(this=inline, expressions=names)])
        made.set("from_", exp.From(this=source))
        return exp.Subquery(this=made), {**columns, **more}

    def _source(self, node: Any) -> tuple[exp.Expression, _Columns]:
        match node:
            case exp.Subquery():
                body, columns = self._statement(node.this)
                return exp.Subquery(this=body, alias=node.args["alias"].copy()), columns
            case exp.Values():
                return self._rows(node)
            case exp.Table(this=exp.Anonymous()):
                (index,) = node.args["alias"].columns
                return node.copy(), {index.name: BIGINT}
        if not node.this.args.get("quoted"):
            return node.copy(), self._common[node.name]
        schema = self._tables[node.name]
        if schema.computed:
            raise unsupported(f"table {node.name}, whose columns a rule computes, on Spark", 0)
        stored = {each.name: KINDS_OF_TABLES[each.type] for each in (*schema.columns, *SYSTEM_COLUMNS)}
        return self._with_declared(node, schema, stored) if schema.declared else (node.copy(), stored)

    def _with_declared(
        self, node: exp.Expression, schema: TableSchema, stored: _Columns
    ) -> tuple[exp.Expression, _Columns]:
        """A table beside its declared columns, as ``views`` computes them."""
        expressions = Expressions(stored, self._functions, _no_value, self._statement)
        values = {name: Typed(_column(name), kind) for name, kind in stored.items()}
        names = {name: quoted_name(name) for name in stored}
        for name, sql in declared_values(schema, names, None).items():
            values[name] = expressions.scalar(parsed(sql))
        made = exp.Select(expressions=[_named(value.sql, name) for name, value in values.items()])
        made.set("from_", exp.From(this=node.copy()))
        return exp.Subquery(this=made), {name: value.kind for name, value in values.items()}

    def _rows(self, node: exp.Values) -> tuple[exp.Expression, _Columns]:
        nothing = Expressions({}, self._functions, _no_value, self._statement)
        rows = [[_known(nothing.native(cell)) for cell in row.expressions] for row in node.expressions]
        names = [each.name for each in node.args["alias"].columns]
        columns = {name: cell.kind for name, cell in zip(names, rows[0], strict=True)}
        tuples = [exp.Tuple(expressions=[cell.sql for cell in row]) for row in rows]
        return exp.Values(expressions=tuples, alias=node.args["alias"].copy()), columns

    def _value(self, query: exp.Expression) -> tuple[exp.Expression, Typed]:
        """The first row of a query, or NULL, as a table of one row, and its only column. (As a subquery it
        could not be handed to a batch function.)"""
        rows, columns = self._statement(query)
        ((name, kind),) = columns.items()
        self._values += 1
        first = exp.Anonymous(this="first", expressions=[_column(name)])
        one = exp.Select(expressions=[_named(first, f"v{self._values}")])
        one.set("from_", exp.From(this=exp.Subquery(this=rows)))
        return exp.Subquery(this=one), Typed(_column(f"v{self._values}"), kind)


def _column(name: str) -> exp.Expression:
    return exp.Column(this=exp.Identifier(this=name, quoted=True))


def _lacking(name: str, kind: str) -> exp.Expression:
    return _named(exp.cast(exp.Null(), spark_type(kind), dialect="spark"), name)


def _known(cell: Typed | None) -> Typed:
    if cell is None:
        raise unsupported("a computed value in a datatable on Spark", 0, "compute it with extend")
    return cell


def _no_value(query: exp.Expression) -> Typed:
    raise unsupported("toscalar() in this place on Spark", 0, "extend by it first")


def _named(value: exp.Expression, name: str) -> exp.Expression:
    return exp.Alias(this=value, alias=exp.Identifier(this=name, quoted=True))


def _is_unnested(node: exp.Expression) -> bool:
    value = node.unalias()
    return isinstance(value, exp.Anonymous) and value.name == "unnest"


def _ordered(order: exp.Expression, expressions: Expressions) -> exp.Order:
    keys = [
        exp.Ordered(
            this=expressions.scalar(key.this).sql,
            desc=bool(key.args.get("desc")),
            nulls_first=bool(key.args.get("nulls_first")),
        )
        for key in order.expressions
    ]
    return exp.Order(expressions=keys)


def _window_function(node: Any, expressions: Expressions) -> Typed:
    if isinstance(node, exp.RowNumber):
        return Typed(node.copy(), BIGINT)
    if not isinstance(node, exp.Lag | exp.Lead):
        return expressions.scalar(node)
    value = expressions.scalar(node.this)
    given = [value.sql, node.args["offset"].copy()]
    if node.args.get("default") is not None:
        given.append(expressions.scalar(node.args["default"]).sql)
    return Typed(exp.Anonymous(this=type(node).__name__.lower(), expressions=given), value.kind)


def _exploded(
    made: exp.Expression, kinds: _Columns, lists: Mapping[str, Typed]
) -> tuple[exp.Expression, _Columns]:
    """A row for each item of the lists that ``made`` has as columns, all at the same place."""
    columns: list[exp.Expression] = [_column(name) for name in kinds]
    given = [
        exp.Coalesce(
            this=_column(name),
            expressions=[exp.cast(exp.Anonymous(this="array"), spark_type(value.kind), dialect="spark")],
        )
        for name, value in lists.items()
    ]
    zipped = exp.Anonymous(this="arrays_zip", expressions=given)
    names = [exp.Identifier(this=name, quoted=True) for name in lists]
    columns.append(exp.Aliases(this=exp.Anonymous(this="inline", expressions=[zipped]), expressions=names))
    outer = exp.Select(expressions=columns)
    outer.set("from_", exp.From(this=exp.Subquery(this=made)))
    items = {name: value.kind.removesuffix("[]") for name, value in lists.items()}
    return outer, {**kinds, **items}
