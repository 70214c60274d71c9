"""Expressions that Spark has itself, with exactly the meaning that they have in DuckDB."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sqlglot import exp

from gapless.query.kql.emission.sql import closed
from gapless.query.spark import primitives
from gapless.query.spark.kinds import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    HUGEINT,
    INT,
    NULL,
    TEXT,
    TIME,
    Typed,
    field_kind,
    is_ordered,
    spark_type,
    widest,
)

_ID = re.compile(r"[civ]\d+")
_INTEGERS = ((INT, 31), (BIGINT, 63))
#: The size of the least integer, which is no integer itself.
_LEAST = str(1 << 63)


class NativeExpressions:
    """The expressions of one SELECT over ``columns`` of those types, as far as Spark has them. ``value_of``
    makes a column of a query that stands for a value; ``statement`` is the Spark SQL of one that stands for a
    set."""

    def __init__(
        self,
        columns: Mapping[str, str],
        value_of: Callable[[exp.Expression], Typed],
        statement: Callable[[exp.Expression], tuple[exp.Expression, dict[str, str]]],
    ) -> None:
        self._columns, self._value_of, self._statement = columns, value_of, statement

    def scalar(self, node: exp.Expression) -> Typed:
        """The expression for Spark, whoever computes it."""
        raise NotImplementedError

    # What Spark has ---------------------------------------------------------------------------------------

    def native(self, node: Any) -> Typed | None:
        """The expression in Spark's own SQL, or None if something in it is not in the tables."""
        match node:
            case exp.Column():
                return self._column(node)
            case exp.Literal() | exp.Boolean() | exp.Null():
                return _literal(node)
            case exp.Paren():
                inner = self.native(node.this)
                return inner and Typed(exp.Paren(this=inner.sql), inner.kind)
            case exp.Neg():
                return self._negated(node)
            case exp.Not():
                inner = self.native(node.this)
                return inner and Typed(exp.Not(this=closed(inner.sql)), BOOLEAN)
            case exp.TryCast():
                return None
            case exp.Cast():
                return self._cast(node)
            case exp.Is(expression=exp.Null()):
                inner = self.native(node.this)
                return inner and Typed(exp.Is(this=closed(inner.sql), expression=exp.Null()), BOOLEAN)
            case exp.In():
                return self._in(node)
            case exp.Between() | exp.Coalesce() | exp.Nullif() | exp.Case():
                return self._several(node)
            case exp.Struct():
                return self._struct(node)
            case exp.StructExtract():
                whole = self.native(node.this)
                return whole and _field(whole, node.expression.name)
            case exp.Subquery():
                return self._value_of(node.this)
            case exp.IsNan():
                inner = self.native(node.this)
                nan = exp.cast(exp.Literal.string("NaN"), "DOUBLE")
                return inner and Typed(exp.EQ(this=closed(inner.sql), expression=nan), BOOLEAN)
            case exp.AggFunc() | exp.Filter() | exp.IgnoreNulls():
                return self.aggregate(node)
            case exp.And() | exp.Or():
                return connected(node, self.native)
            case exp.Binary():
                return self._operation(node)
        return self._call(node)

    def _column(self, node: exp.Column) -> Typed | None:
        if not is_ours(node):
            return None
        identifier = exp.Identifier(this=node.name, quoted=True)
        return Typed(exp.Column(this=identifier), self._columns[node.name])

    def _negated(self, node: exp.Neg) -> Typed | None:
        if isinstance(node.this, exp.Literal) and node.this.name == _LEAST:
            return Typed(_cast(node.copy(), BIGINT), BIGINT)
        inner = self.native(node.this)
        if inner is None or inner.kind not in (INT, BIGINT, DOUBLE):
            return None
        return Typed(exp.Neg(this=closed(inner.sql)), inner.kind)

    def _cast(self, node: exp.Cast) -> Typed | None:
        kind = node.to.sql("duckdb")
        if isinstance(node.this, exp.Literal) and node.this.is_string and kind in (TIME, DOUBLE):
            return Typed(_cast(node.this.copy(), kind), kind)
        inner = self.native(node.this)
        if inner is None or not (inner.kind == NULL or kind in primitives.CASTS.get(inner.kind, ())):
            return None
        return Typed(_cast(inner.sql, kind), kind)

    def _in(self, node: exp.In) -> Typed | None:
        query = node.args.get("query")
        if query is not None:
            rows, _ = self._statement(query.this)
            value = self.scalar(node.this)
            return Typed(exp.In(this=closed(value.sql), query=exp.Subquery(this=rows)), BOOLEAN)
        parts = [self.native(each) for each in (node.this, *node.expressions)]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts) or widest(*(part.kind for part in known)) is None:
            return None
        first, *options = [closed(part.sql) for part in known]
        return Typed(exp.In(this=first, expressions=options), BOOLEAN)

    def _several(self, node: exp.Expression) -> Typed | None:
        """An expression over values of one type (and, for CASE, over conditions)."""
        conditions = [each.this for each in node.args.get("ifs") or ()]
        if isinstance(node, exp.Case):
            if node.this is not None:
                return None
            values = [each.args["true"] for each in node.args["ifs"]]
            values += [node.args["default"]] if node.args.get("default") is not None else []
        elif isinstance(node, exp.Between):
            values = [node.this, node.args["low"], node.args["high"]]
        else:
            values = [node.this, *filter(None, [node.args.get("expression")]), *node.expressions]
        places = {id(each): self.native(each) for each in (*conditions, *values)}
        found = [places[id(each)] for each in values]
        kinds = [each.kind for each in found if each is not None]
        kind = widest(*kinds)
        if None in places.values() or kind is None or (kind not in kinds):
            return None
        copied = node.copy()
        for old, new in zip(_parts(node), _parts(copied), strict=True):
            place = places[id(old)]
            assert place is not None
            new.replace(closed(place.sql))
        return Typed(copied, BOOLEAN if isinstance(node, exp.Between) else kind)

    def _struct(self, node: exp.Struct) -> Typed | None:
        arguments: list[exp.Expression] = []
        fields = []
        for each in node.expressions:
            # A field may be what DuckDB alone can compute: it is not evaluated under a condition.
            value = self.scalar(each.expression)
            arguments += [exp.Literal.string(each.name), value.sql]
            fields.append(f"{each.name} {value.kind}")
        return Typed(
            exp.Anonymous(this="named_struct", expressions=arguments), f"STRUCT({', '.join(fields)})"
        )

    def _operation(self, node: exp.Binary) -> Typed | None:
        left, right = self.native(node.this), self.native(node.expression)
        if left is None or right is None:
            return None
        kind = widest(left.kind, right.kind)
        if kind is None or not is_ordered(kind):
            return None
        if isinstance(node, primitives.COMPARISONS):
            return _binary(node, left, right, BOOLEAN)
        if isinstance(node, primitives.ARITHMETIC) and kind in (INT, BIGINT, DOUBLE):
            return _binary(node, left, right, kind)
        if isinstance(node, primitives.OF_INTEGERS) and kind in (INT, BIGINT):
            return _binary(node, left, right, BIGINT)
        return None

    def _call(self, node: exp.Expression) -> Typed | None:
        key: Any = node.name if isinstance(node, exp.Anonymous) else type(node)
        known = primitives.FUNCTIONS.get(key)
        if known is None:
            return None
        name, kinds, kind = known
        values = [self.native(each) for each in _arguments(node)]
        found = [each for each in values if each is not None]
        if len(found) < len(values) or any(widest(e.kind, k) != k for e, k in zip(found, kinds, strict=True)):
            return None
        return Typed(exp.Anonymous(this=name, expressions=[each.sql for each in found]), kind)

    # Aggregates -------------------------------------------------------------------------------------------

    def aggregate(self, node: Any) -> Typed | None:
        """As ``native``, of an aggregate, whose arguments may be anybody's."""
        condition = None
        if isinstance(node, exp.Filter):
            condition, node = node.expression.this, node.this
        ignores_null = isinstance(node, exp.IgnoreNulls)
        if ignores_null:
            node = node.this
        made = self._counted(node) if isinstance(node, exp.Count) else self._gathered(node, ignores_null)
        if made is None or condition is None:
            return made
        where = exp.Where(this=self.scalar(condition).sql)
        return Typed(exp.Filter(this=made.sql, expression=where), made.kind)

    def _counted(self, node: exp.Count) -> Typed:
        if isinstance(node.this, exp.Distinct):
            values = [self.scalar(each).sql for each in node.this.expressions]
            return Typed(exp.Count(this=exp.Distinct(expressions=values)), BIGINT)
        if isinstance(node.this, exp.Star) or node.this is None:
            return Typed(exp.Count(this=exp.Star()), BIGINT)
        return Typed(exp.Count(this=self.scalar(node.this).sql), BIGINT)

    def _gathered(self, node: exp.Expression, ignores_null: bool) -> Typed | None:
        arguments = _arguments(node)
        if any(isinstance(each, exp.Order | exp.Distinct) for each in arguments):
            return None
        if isinstance(node, exp.AnyValue) and ignores_null:
            value = self.scalar(node.this)
            return Typed(
                exp.Anonymous(this="any_value", expressions=[value.sql, exp.Boolean(this=True)]), value.kind
            )
        if isinstance(node, exp.ArrayAgg | exp.PercentileDisc):
            return None
        values = [self.scalar(each) for each in arguments]
        known = primitives.aggregate_kind(type(node), [each.kind for each in values])
        if known is None:
            return None
        name, kind = known
        if kind == HUGEINT:
            values = [Typed(exp.cast(values[0].sql, "DECIMAL(20, 0)"), HUGEINT)]
        return Typed(exp.Anonymous(this=name, expressions=[each.sql for each in values]), kind)


def is_ours(node: exp.Column) -> bool:
    """Whether a column is one of tables, and not the parameter of a lambda."""
    return bool(node.this.args.get("quoted")) or _ID.fullmatch(node.name) is not None


def _literal(node: Any) -> Typed | None:
    if isinstance(node, exp.Boolean):
        return Typed(node.copy(), BOOLEAN)
    if isinstance(node, exp.Null):
        return Typed(node.copy(), NULL)
    if node.is_string:
        return Typed(node.copy(), TEXT)
    if not node.name.isdigit():
        return None
    bits = int(node.name).bit_length()
    return next((Typed(_cast(node.copy(), kind), kind) for kind, most in _INTEGERS if bits <= most), None)


def _cast(value: exp.Expression, kind: str) -> exp.Expression:
    return exp.Cast(this=value, to=exp.DataType.build(spark_type(kind), dialect="spark"))


def connected(node: Any, of: Callable[[exp.Expression], Typed | None]) -> Typed | None:
    """``and`` or ``or`` of what ``of`` makes of each condition, on one level, however many there are."""
    whole: exp.Expression | None = None
    for each in node.flatten(unnest=False):
        condition = of(each)
        if condition is None:
            return None
        part = closed(condition.sql)
        whole = part if whole is None else type(node)(this=whole, expression=part)
    assert whole is not None
    return Typed(exp.Paren(this=whole), BOOLEAN)


def _binary(node: Any, left: Typed, right: Typed, kind: str) -> Typed:
    return Typed(exp.Paren(this=type(node)(this=closed(left.sql), expression=closed(right.sql))), kind)


def _field(whole: Typed, name: str) -> Typed:
    place = exp.Dot(this=whole.sql, expression=exp.Identifier(this=name, quoted=True))
    return Typed(place, field_kind(whole.kind, name))


def _arguments(node: exp.Expression) -> list[exp.Expression]:
    own = [] if isinstance(node, exp.Anonymous) else [node.args.get("this"), node.args.get("expression")]
    return [each for each in (*own, *node.expressions) if isinstance(each, exp.Expression)]


def _parts(node: exp.Expression) -> list[exp.Expression]:
    """The conditions and values of an expression over several, in the order in which they stand."""
    if isinstance(node, exp.Case):
        parts = [part for each in node.args["ifs"] for part in (each.this, each.args["true"])]
        return [*parts, *filter(None, [node.args.get("default")])]
    return list(node.iter_expressions())
