"""Aggregates: what summarize and make-series make of many rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gapless.query.kql import tree
from gapless.query.kql.context import Scope
from gapless.query.kql.conversions import as_type, certain_text, ticks, to_dynamic
from gapless.query.kql.errors import KqlError
from gapless.query.kql.functions.dynamics import bag_text, entries, items
from gapless.query.kql.relation import (
    BOOL,
    DYNAMIC,
    LONG,
    NUMBERS,
    REAL,
    Constant,
    Order,
    Ref,
    Scalar,
    Type,
)
from gapless.query.kql.sql import apply
from gapless.query.kql.tabular import Tabular

#: Binds an expression; ``bind_scalar.bind``.
Bind = Callable[[tree.Expression, Scope, Tabular], Scalar]
_LIST_MAX = 1_048_576
_LIST = Type("list")


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """A call of an aggregate: its arguments, the condition of its rows, and their order."""

    name: str
    at: int
    arguments: Sequence[Scalar]
    condition: Scalar | None
    order: Sequence[Order]

    def apply(self, text: str, arguments: Sequence[Scalar], kind: Type, ordered: bool = False) -> Scalar:
        """The aggregate of a template in which ``{where}`` and ``{order}`` stand for those."""
        values = list(arguments)
        order = ""
        if ordered and self.order:
            keys = []
            for key in self.order:
                values.append(key.value)
                direction = "DESC" if key.descending else "ASC"
                keys.append(f"${len(values)} {direction} NULLS {'FIRST' if key.nulls_first else 'LAST'}")
            order = f" ORDER BY {', '.join(keys)}"
        where = ""
        if self.condition is not None:
            values.append(self.condition)
            where = f" FILTER (WHERE ${len(values)})"
        return apply(text.replace("{where}", where).replace("{order}", order), values, kind)

    def filtered(
        self, extra: str, text: str, arguments: Sequence[Scalar], kind: Type, ordered: bool
    ) -> Scalar:
        """As ``apply``, over those rows alone for which ``extra`` is true too."""
        condition = apply(extra, arguments[:1], BOOL)
        if self.condition is not None:
            condition = apply("$1 AND $2", (self.condition, condition), BOOL)
        call = AggregateCall(self.name, self.at, arguments, condition, self.order)
        return call.apply(text, arguments, kind, ordered)

    def error(self, what: str) -> KqlError:
        """An error at the call."""
        return KqlError(f"{self.name}(): {what}", self.at)


BuildAggregate = Callable[[AggregateCall], Scalar]


@dataclass(frozen=True, slots=True)
class AggregateFunction:
    """An aggregate. ``name_prefix`` begins the name of its column; ``conditional``: its last argument is a
    condition, as in sumif; ``finish``: what is to be made of the aggregate, once it is a column."""

    name: str
    form: str
    arguments_min: int
    arguments_max: int
    build: BuildAggregate
    summary: str
    name_prefix: str
    conditional: bool = False
    finish: Callable[[Scalar], Scalar] | None = None


AGGREGATES: dict[str, AggregateFunction] = {}


def _register(
    form: str,
    build: BuildAggregate,
    summary: str,
    aliases: Sequence[str] = (),
    prefix: str | None = None,
    conditional: str = "",
    optional: int = 0,
    finish: Callable[[Scalar], Scalar] | None = None,
) -> None:
    name, _, parameters = form.partition("(")
    count = len([part for part in parameters.rstrip(")").split(", ") if part])
    known = AggregateFunction(
        name, form, count - optional, count, build, summary, name if prefix is None else prefix, finish=finish
    )
    for alias in (name, *aliases):
        AGGREGATES[alias] = known
    if conditional:
        AGGREGATES[conditional] = AggregateFunction(
            conditional,
            f"{conditional}({parameters.rstrip(')')}, condition)",
            count - optional + 1,
            count + 1,
            build,
            f"{summary} Of the rows for which the condition is true.",
            conditional if prefix is None or prefix == name else prefix,
            True,
        )


def aggregate(node: tree.Call, scope: Scope, tabular: Tabular, bind: Bind) -> Scalar:
    """The value of an aggregate's call, which becomes a column of the summarize."""
    assert scope.aggregates is not None
    found, rows = scope.aggregates, scope.rows
    function = AGGREGATES[node.name]
    count = len(node.arguments)
    if node.name == "count" and count == 1:
        node, count = tree.Call(node.at, "count", []), 0
    if not function.arguments_min <= count <= function.arguments_max:
        raise KqlError(f"{count} arguments where {function.form} is its form", node.at)
    inner = scope.over(rows)
    arguments = [bind(argument.value, inner, tabular) for argument in node.arguments]
    condition = None
    if function.conditional:
        condition = arguments.pop()
        if condition.type.name != "bool":
            raise KqlError(f"{node.name}() needs a condition, not {condition.type.name}", node.at)
    order = rows.order if rows is not None else []
    value = function.build(AggregateCall(node.name, node.at, arguments, condition, order))
    id = tabular.context.new_id()
    found.found.append((id, value))
    made = Ref(id, value.type)
    return made if function.finish is None else function.finish(made)


def _number(call: AggregateCall, index: int = 0) -> Scalar:
    value = call.arguments[index]
    if value.type.name == "dynamic":
        return as_type(value, REAL)
    if value.type.name not in (*NUMBERS, "timespan"):
        raise call.error(f"needs numbers, not {value.type.name}: use todouble() or tolong()")
    return value


def _count(call: AggregateCall) -> Scalar:
    return call.apply("count(*){where}", (), LONG)


def _countif(call: AggregateCall) -> Scalar:
    return call.apply("count(*){where}", (), LONG)


def _sum(call: AggregateCall) -> Scalar:
    value = _number(call)
    kind = LONG if value.type.name == "int" else value.type
    engine = "DOUBLE" if kind.name == "real" else "BIGINT"
    return call.apply(f"CAST(coalesce(sum($1){{where}}, 0) AS {engine})", (value,), kind)


def _avg(call: AggregateCall) -> Scalar:
    value = call.arguments[0]
    if value.type.name in ("timespan", "datetime"):
        # Integers are summed exactly; a double would round ticks.
        sql = "CAST((sum($1){where}) // nullif(count($1){where}, 0) AS BIGINT)"
        return call.apply(sql, (ticks(value),), Type(value.type.name))
    number = _number(call)
    if number.type.name in ("int", "long"):
        # Summed in 64 bits, as Kusto does: what does not fit ends the query instead of wrapping around.
        sql = "CAST(CAST(sum($1){where} AS BIGINT) AS DOUBLE) / nullif(count($1){where}, 0)"
        return call.apply(f"coalesce({sql}, CAST('nan' AS DOUBLE))", (number,), REAL)
    return call.apply("coalesce(avg($1){where}, CAST('nan' AS DOUBLE))", (as_type(number, REAL),), REAL)


def _spread(function: str) -> BuildAggregate:
    def build(call: AggregateCall) -> Scalar:
        value = as_type(_number(call), REAL)
        return call.apply(f"coalesce({function}($1){{where}}, 0)", (value,), REAL)

    return build


def _extreme(function: str) -> BuildAggregate:
    def build(call: AggregateCall) -> Scalar:
        value = call.arguments[0]
        if value.type.name in ("dynamic", "bool"):
            raise call.error(
                f"is not supported over {value.type.name}: convert it, with tostring() for example"
            )
        if value.type.name == "real":
            # The engine holds NaN for the greatest number; here it wins over all others.
            nan = call.apply("coalesce(bool_or(isnan($1)){where}, FALSE)", (value,), BOOL)
            plain = call.apply(f"{function}($1){{where}}", (value,), REAL)
            return apply("CASE WHEN $1 THEN CAST('nan' AS DOUBLE) ELSE $2 END", (nan, plain), REAL)
        if value.type.name == "string":
            value = certain_text(value)
            return call.apply(f"coalesce({function}($1){{where}}, '')", (value,), value.type)
        return call.apply(f"{function}($1){{where}}", (value,), value.type)

    return build


def _dcount(call: AggregateCall) -> Scalar:
    value = certain_text(call.arguments[0])
    return call.apply("count(DISTINCT $1){where}", (value,), LONG)


def _json_item(value: Scalar, call: AggregateCall) -> Scalar:
    """What goes into an array: something that to_json() takes as it is."""
    kind = value.type.name
    if kind == "dynamic":
        return apply("CAST($1 AS JSON)", (value,), DYNAMIC)
    if kind in ("datetime", "timespan"):
        return certain_text(as_type(value, Type("string")))
    if kind == "real":
        return apply("CAST($1 AS JSON)", (to_dynamic(value),), DYNAMIC)
    return certain_text(value)


def _item_limit(call: AggregateCall) -> int:
    if len(call.arguments) < 2:
        return _LIST_MAX
    limit = call.arguments[1]
    if not isinstance(limit, Constant) or not isinstance(limit.value, int):
        raise call.error("needs a number that is known as its limit")
    return limit.value if limit.value > 0 else _LIST_MAX


#: The items of an array, and another value as the only item.
_SPREAD = (
    f"CASE WHEN json_type($1) = 'ARRAY' THEN {items('$1')} ELSE [CAST(coalesce($1, 'null') AS JSON)] END"
)


def _json_array(listed: str) -> str:
    return f"coalesce(CAST(to_json({listed}) AS VARCHAR), '[]')"


def _make_list(call: AggregateCall) -> Scalar:
    item, value = _json_item(call.arguments[0], call), call.arguments[0]
    limit = _item_limit(call)
    head = f"list_slice(list($1{{order}}){{where}}, 1, {limit})"
    if value.type.name == "dynamic":
        # Arrays give their items; null stays.
        return call.apply(
            _json_array(head.replace("list($1", f"flatten(list({_SPREAD}").replace("{where},", "{where}),")),
            (value,),
            DYNAMIC,
            True,
        )
    sql = _json_array(head)
    keep = "$1 IS NOT NULL" if value.type.name != "string" else "TRUE"
    return call.filtered(keep, sql, (item,), DYNAMIC, True)


def _make_list_with_nulls(call: AggregateCall) -> Scalar:
    value = call.arguments[0]
    if value.type.name == "dynamic":
        return call.apply(_json_array(f"flatten(list({_SPREAD}{{order}}){{where}})"), (value,), DYNAMIC, True)
    item = _json_item(value, call)
    return call.apply(_json_array("list($1{order}){where}"), (item,), DYNAMIC, True)


def _make_set(call: AggregateCall) -> Scalar:
    value = call.arguments[0]
    item = _json_item(value, call)
    limit = _item_limit(call)
    head = f"list_slice(list(DISTINCT $1 ORDER BY $1){{where}}, 1, {limit})"
    if value.type.name == "dynamic":
        # Arrays give their items. JSON has no order of its own: its text has.
        texts = f"list_transform({_SPREAD}, lambda each: CAST(each AS VARCHAR))"
        distinct = f"list_sort(list_distinct(flatten(list({texts}){{where}})))"
        head = f"list_transform(list_slice({distinct}, 1, {limit}), lambda each: CAST(each AS JSON))"
    elif value.type.name == "real":
        text = "CAST($1 AS VARCHAR)"
        head = f"list_transform(list_slice(list(DISTINCT {text} ORDER BY {text}){{where}}, 1, {limit}), "
        head += "lambda each: CAST(each AS JSON))"
    sql = f"coalesce(CAST(to_json({head}) AS VARCHAR), '[]')"
    keep = "$1 IS NOT NULL" if value.type.name != "string" else "TRUE"
    return call.filtered(keep, sql, (item,), DYNAMIC, False)


def _make_bag(call: AggregateCall) -> Scalar:
    value = call.arguments[0]
    if value.type.name != "dynamic":
        raise call.error(f"needs bags, not {value.type.name}: use bag_pack()")
    item = apply("CAST($1 AS JSON)", (value,), DYNAMIC)
    return call.filtered(
        "json_type($1) = 'OBJECT'", "coalesce(list($1{order}){where}, [])", (item,), _LIST, True
    )


def _merged(bags: Scalar) -> Scalar:
    """One bag of a list of bags; of several values for one name, the first stays."""
    return apply(bag_text(f"flatten(list_transform($1, lambda bag: {entries('bag')}))"), (bags,), DYNAMIC)


def _take_any(call: AggregateCall) -> Scalar:
    value = call.arguments[0]
    if value.type.name == "string":
        filled = apply("nullif($1, '')", (value,), value.type)
        return call.apply("coalesce(any_value($1){where}, '')", (filled,), Type("string"))
    return call.apply("any_value($1){where}", (value,), value.type)


def _percentile(call: AggregateCall) -> Scalar:
    value, share = call.arguments[0], call.arguments[1]
    if not isinstance(share, Constant) or not isinstance(share.value, int | float):
        raise call.error("needs a percentage that is known")
    if not 0 <= share.value <= 100:
        raise call.error("needs a percentage from 0 to 100")
    if value.type.name == "dynamic":
        value = as_type(value, REAL)
    if value.type.name not in (*NUMBERS, "timespan", "datetime"):
        raise call.error(f"is not there for {value.type.name}")
    kind = LONG if value.type.name == "int" else value.type
    return call.apply(f"quantile_disc($1, {share.value / 100!r}){{where}}", (value,), kind)


def _binary_all(function: str) -> BuildAggregate:
    def build(call: AggregateCall) -> Scalar:
        return call.apply(f"{function}($1){{where}}", (as_type(call.arguments[0], LONG),), LONG)

    return build


_register("count()", _count, "The number of rows.", conditional="countif")
AGGREGATES["countif"] = AggregateFunction(
    "countif",
    "countif(condition)",
    1,
    1,
    _countif,
    "The number of rows where the condition is true.",
    "countif",
    True,
)
_register("sum(value)", _sum, "The sum; 0 of no values.", conditional="sumif")
_register("avg(value)", _avg, "The average; NaN of no values.", conditional="avgif")
_register("min(value)", _extreme("min"), "The least value.", conditional="minif")
_register("max(value)", _extreme("max"), "The greatest value.", conditional="maxif")
_register(
    "stdev(value)", _spread("stddev_samp"), "The standard deviation of a sample.", conditional="stdevif"
)
_register("stdevp(value)", _spread("stddev_pop"), "The standard deviation of all.")
_register("variance(value)", _spread("var_samp"), "The variance of a sample.", conditional="varianceif")
_register("variancep(value)", _spread("var_pop"), "The variance of all.")
_register(
    "dcount(value, accuracy)",
    _dcount,
    "The number of different values, counted exactly.",
    conditional="dcountif",
    optional=1,
)
_register("count_distinct(value)", _dcount, "The number of different values.", conditional="count_distinctif")
_register(
    "make_list(value, limit)",
    _make_list,
    "An array of the values that are not null.",
    aliases=("makelist",),
    prefix="list",
    conditional="make_list_if",
    optional=1,
)
_register(
    "make_list_with_nulls(value)", _make_list_with_nulls, "An array of the values, with nulls.", prefix="list"
)
_register(
    "make_set(value, limit)",
    _make_set,
    "An array of the different values, in ascending order.",
    aliases=("makeset",),
    prefix="set",
    conditional="make_set_if",
    optional=1,
)
_register(
    "make_bag(bag, limit)",
    _make_bag,
    "A bag of the members of all bags.",
    prefix="bag",
    optional=1,
    finish=_merged,
)
_register(
    "take_any(value)",
    _take_any,
    "A value of some row.",
    aliases=("any",),
    prefix="any",
    conditional="take_anyif",
)
AGGREGATES["anyif"] = AGGREGATES["take_anyif"]
_register("percentile(value, percentage)", _percentile, "The value that so many percent do not exceed.")
_register("binary_all_and(value)", _binary_all("bit_and"), "Bitwise and of all values.")
_register("binary_all_or(value)", _binary_all("bit_or"), "Bitwise or of all values.")
_register("binary_all_xor(value)", _binary_all("bit_xor"), "Bitwise exclusive or of all values.")
