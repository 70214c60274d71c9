"""Window functions: what looks at the rows before and after. They need rows that have an order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.relation import (
    Extend,
    Fold,
    FoldStep,
    Rows,
    Window,
)
from gapless.query.kql.relational.scalars import (
    BOOL,
    DATETIME,
    LONG,
    NULLABLE_STRING,
    NUMBERS,
    Apply,
    Constant,
    Ref,
    Scalar,
    Type,
)
from gapless.query.kql.syntax import tree
from gapless.query.kql.values.forms import certain_text, ticks
from gapless.query.kql.values.logic import in_form

Bind = Callable[[tree.Expression, Scope, Tabular], Scalar]


class WindowFunction(NamedTuple):
    """A window function: its form, how many arguments it takes, a sentence about it."""

    form: str
    arguments_min: int
    arguments_max: int
    summary: str


WINDOWS = {
    "prev": WindowFunction("prev(value[, offset[, default]])", 1, 3, "The value some rows before."),
    "next": WindowFunction("next(value[, offset[, default]])", 1, 3, "The value some rows after."),
    "row_number": WindowFunction(
        "row_number([start[, restart]])", 0, 2, "The row's number, from 1, or from start; again on restart."
    ),
    "row_cumsum": WindowFunction("row_cumsum(value[, restart])", 1, 2, "The sum of the values so far."),
    "row_rank_dense": WindowFunction(
        "row_rank_dense(value[, restart])", 1, 2, "The number of different values so far."
    ),
    "row_window_session": WindowFunction(
        "row_window_session(time, from_first, between[, restart])",
        3,
        4,
        "When the session of the row began: one ends that far from its first row, or from the row before.",
    ),
    "row_rank": WindowFunction("row_rank(value[, restart])", 1, 2, "The older name of row_rank_dense()."),
    "row_rank_min": WindowFunction(
        "row_rank_min(value[, restart])", 1, 2, "The number of the first row with this value."
    ),
}
_RUNNING = "running"


def window(node: tree.Call, scope: Scope, tabular: Tabular, bind: Bind) -> Scalar:
    """The value of a window function's call, which becomes a column of the rows."""
    rows = scope.rows
    if rows is None or not scope.windows:
        raise KqlError(f"{node.name}() cannot stand here: use it in extend, after sort or serialize", node.at)
    if not rows.serialized:
        raise KqlError(f"{node.name}() needs rows in an order: put sort or serialize before", node.at)
    arguments = [bind(argument.value, scope, tabular) for argument in node.arguments]
    known = WINDOWS[node.name]
    if not known.arguments_min <= len(arguments) <= known.arguments_max:
        raise KqlError(f"{len(arguments)} arguments where {known.form} is its form", node.at)
    return _BUILDERS[node.name](node, arguments, rows, tabular)


def _column(
    rows: Rows, tabular: Tabular, value: Apply, partition: Sequence[Scalar] = (), frame: str = ""
) -> Ref:
    id = tabular.context.new_id()
    rows.relation = Window(rows.relation, [(id, value)], list(partition), rows.order, frame)
    return Ref(id, value.type)


def _number_of(value: Scalar, what: str, node: tree.Call) -> int:
    if not isinstance(value, Constant) or not isinstance(value.value, int):
        raise unsupported(f"{node.name}() with {what} that is no constant", node.at)
    return value.value


def _shifted(node: tree.Call, arguments: Sequence[Scalar], rows: Rows, tabular: Tabular) -> Scalar:
    value = arguments[0]
    offset = _number_of(arguments[1], "an offset", node) if len(arguments) > 1 else 1
    if offset < 0:
        raise KqlError(f"{node.name}() needs an offset of 0 or more", node.at)
    function = "lag" if node.name == "prev" else "lead"
    if len(arguments) > 2:
        default = in_form(arguments[2], value.type)
        if not isinstance(default, Constant):
            raise unsupported(f"{node.name}() with a default that is no constant", node.at)
        return _column(rows, tabular, apply(f"{function}($1, {offset}, $2)", (value, default), value.type))
    kind = NULLABLE_STRING if value.type.name == "string" else value.type
    return _column(rows, tabular, apply(f"{function}($1, {offset})", (value,), kind))


def _groups(restart: Scalar | None, node: tree.Call, rows: Rows, tabular: Tabular) -> list[Scalar]:
    """What to partition by so that a function starts again where ``restart`` is true."""
    if restart is None or (isinstance(restart, Constant) and not restart.value):
        return []
    if restart.type.name != "bool":
        raise KqlError(f"{node.name}() needs a condition for its restart", node.at)
    count = apply("sum(CASE WHEN $1 THEN 1 ELSE 0 END)", (restart,), LONG)
    return [_column(rows, tabular, count, frame=_RUNNING)]


def _row_number(node: tree.Call, arguments: Sequence[Scalar], rows: Rows, tabular: Tabular) -> Scalar:
    start = _number_of(arguments[0], "a start", node) if arguments else 1
    groups = _groups(arguments[1] if len(arguments) > 1 else None, node, rows, tabular)
    number = _column(rows, tabular, apply("row_number()", (), LONG), groups)
    return apply(f"$1 + {start - 1}", (number,), LONG) if start != 1 else number


def _row_cumsum(node: tree.Call, arguments: Sequence[Scalar], rows: Rows, tabular: Tabular) -> Scalar:
    value = arguments[0]
    if value.type.name not in (*NUMBERS, "timespan"):
        raise KqlError(f"row_cumsum() needs numbers, not {value.type.name}", node.at)
    kind = LONG if value.type.name == "int" else value.type
    groups = _groups(arguments[1] if len(arguments) > 1 else None, node, rows, tabular)
    total = _column(rows, tabular, apply("sum($1)", (value,), kind), groups, _RUNNING)
    engine = "DOUBLE" if kind.name == "real" else "BIGINT"
    return apply(f"CAST($1 AS {engine})", (total,), kind)


def _ranked(node: tree.Call, arguments: Sequence[Scalar], rows: Rows, tabular: Tabular) -> Scalar:
    groups = _groups(arguments[1] if len(arguments) > 1 else None, node, rows, tabular)
    value = certain_text(arguments[0])
    before = _column(rows, tabular, apply("lag($1, 1)", (value,), Type(value.type.name, "")), groups)
    first = _column(rows, tabular, apply("row_number()", (), LONG), groups)
    changed = apply("$1 = 1 OR $2 IS DISTINCT FROM $3", (first, value, before), BOOL)
    if node.name != "row_rank_min":
        rank = apply("sum(CASE WHEN $1 THEN 1 ELSE 0 END)", (changed,), LONG)
    else:
        rank = apply("max(CASE WHEN $1 THEN $2 END)", (changed, first), LONG)
    found = _column(rows, tabular, rank, groups, _RUNNING)
    return apply("CAST($1 AS BIGINT)", (found,), LONG)


def _session(node: tree.Call, arguments: Sequence[Scalar], rows: Rows, tabular: Tabular) -> Scalar:
    if tabular.context.rows_deep:
        raise unsupported("row_window_session() in partition or mv-apply", node.at)
    time, from_first, between = (ticks(each) for each in arguments[:3])
    if [each.type.name for each in (time, from_first, between)] != ["datetime", "timespan", "timespan"]:
        raise KqlError("row_window_session() needs a datetime and two timespans", node.at)
    restart = arguments[3] if len(arguments) > 3 else Constant(False, BOOL)
    if restart.type.name != "bool":
        raise KqlError("row_window_session() needs a condition for its restart", node.at)
    new_id = tabular.context.new_id
    began, last, number, begins = new_id(), new_id(), new_id(), new_id()
    numbered = Window(rows.relation, [(number, apply("row_number()", (), LONG))], [], rows.order)
    given = Extend(numbered, [(new_id(), each) for each in (time, from_first, between, restart)])
    time, from_first, between, restart = (Ref(id, value.type) for id, value in given.columns)
    sql = "CASE WHEN $1 IS NULL OR $2 IS NULL OR $1 >= $2 + $4 OR $1 >= $3 + $5 OR $6 THEN $1 ELSE $2 END"
    state = (time, Ref(began, DATETIME), Ref(last, DATETIME), from_first, between, restart)
    step = FoldStep([began, last], [number, *(id for id, _ in given.columns)])
    body = Extend(step, [(begins, apply(sql, state, DATETIME))])
    nothing = Constant(None, DATETIME)
    states = [(began, nothing, begins), (last, nothing, given.columns[0][0])]
    rows.relation = Fold(given, number, states, step, body, [(begins, DATETIME)])
    return Ref(begins, DATETIME)


_BUILDERS = {
    "row_rank": _ranked,
    "row_window_session": _session,
    "prev": _shifted,
    "next": _shifted,
    "row_number": _row_number,
    "row_cumsum": _row_cumsum,
    "row_rank_dense": _ranked,
    "row_rank_min": _ranked,
}
