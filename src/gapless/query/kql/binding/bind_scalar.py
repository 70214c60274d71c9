"""From expressions of the syntax tree to typed ones over columns."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.aggregates.registry import AGGREGATES, aggregate
from gapless.query.kql.binding.calls import Call, invoke
from gapless.query.kql.binding.context import FunctionLet, Scope
from gapless.query.kql.binding.several import Several
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.binding.windows import WINDOWS, window
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, suggestion, unsupported
from gapless.query.kql.functions.bags import pack_all
from gapless.query.kql.functions.registry import FUNCTIONS
from gapless.query.kql.relational.relation import (
    Limit,
    Rows,
    Shared,
)
from gapless.query.kql.relational.scalars import (
    BOOL,
    DYNAMIC,
    STRING,
    TYPES,
    Constant,
    Scalar,
    SubqueryValue,
    Type,
)
from gapless.query.kql.syntax import tree
from gapless.query.kql.syntax.lexer import words
from gapless.query.kql.values.comparisons import compare
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.logic import logical
from gapless.query.kql.values.membership import contains_any, is_between, is_in, is_in_rows
from gapless.query.kql.values.numbers import arithmetic, negated
from gapless.query.kql.values.to_text import Path, to_string

#: Tests that look at a part of a text.
_WORD_TESTS = words("has has_cs hasprefix hasprefix_cs hassuffix hassuffix_cs contains contains_cs")
_BETWEEN = "\x01"
_TABLE_AS_VALUE = "a table cannot stand where a value is needed: use toscalar(...)"
_PLAIN_KEY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ .@$#:/-")


def bind(node: tree.Expression, scope: Scope, tabular: Tabular, wanted: bool = False) -> Scalar:
    """The typed form of ``node``. ``wanted``: only whether the value is true matters, so null may stand for
    false. Raises KqlError where it has none."""
    value = bind_several(node, scope, tabular, wanted)
    if isinstance(value, Several):
        raise KqlError("several values cannot stand where one is needed: take one, as in f(x)[0]", node.at)
    return value


def bind_several(node: tree.Expression, scope: Scope, tabular: Tabular, wanted: bool = False) -> Scalar:
    """As ``bind``, where ``Several`` will do, too."""
    match node:
        case tree.Literal(type="type"):
            raise KqlError("a type is no value", node.at)
        case tree.Literal(type=kind, value=value):
            if kind == "decimal":
                raise unsupported("type decimal", node.at, "use real or long")
            return Constant("" if kind == "string" and value is None else value, TYPES[kind])
        case tree.Name():
            return _name(node, scope)
        case tree.Member():
            return _member(node, scope, tabular)
        case tree.Index():
            return _index(node, scope, tabular)
        case tree.Unary(operand=operand):
            return negated(bind(operand, scope, tabular), node.at)
        case tree.Logical(operator=operator, operands=operands):
            return logical(operator, [bind(each, scope, tabular, wanted) for each in operands], node.at)
        case tree.Binary():
            return _binary(node, scope, tabular, wanted)
        case tree.Between(value=value, low=low, high=high, negated=negative):
            bounds = (bind(low, scope, tabular), bind(high, scope, tabular))
            return is_between(bind(value, scope, tabular), *bounds, negative, wanted, node.at)
        case tree.In():
            return _in(node, scope, tabular, wanted)
        case tree.Call():
            return _call(node, scope, tabular)
        case tree.Wildcard():
            raise unsupported("* in an expression", node.at, "name the columns")
    raise KqlError(_TABLE_AS_VALUE, node.at)


def _name(node: tree.Name, scope: Scope) -> Scalar:
    rows = scope.rows
    column = rows.find(node.name) if rows is not None else None
    if column is not None:
        return column.ref()
    let = scope.names.get(node.name)
    if isinstance(let, Scalar):
        return let
    if isinstance(let, Shared):
        raise KqlError(_TABLE_AS_VALUE, node.at)
    if isinstance(let, KqlError):
        raise let
    if node.name in scope.sides:
        raise KqlError(f"{node.name} needs a column: write {node.name}.Column", node.at)
    known = [c.name for c in rows.columns] if rows is not None else []
    known += [name for name, value in scope.names.items() if isinstance(value, Scalar)]
    raise KqlError(f"there is no column {node.name}{suggestion(node.name, known)}", node.at)


def _member(node: tree.Member, scope: Scope, tabular: Tabular) -> Scalar:
    if isinstance(node.value, tree.Name) and node.value.name in scope.sides:
        rows = scope.sides[node.value.name]
        column = rows.find(node.name)
        if column is None:
            known = [c.name for c in rows.columns]
            raise KqlError(
                f"{node.value.name} has no column {node.name}{suggestion(node.name, known)}", node.at
            )
        return column.ref()
    return member(bind_several(node.value, scope, tabular), node.name, node.at)


def _index(node: tree.Index, scope: Scope, tabular: Tabular) -> Scalar:
    value, index = bind_several(node.value, scope, tabular), bind(node.index, scope, tabular)
    if isinstance(index, Constant) and isinstance(index.value, str | int):
        return member(value, index.value, node.at)
    if value.type.name != "dynamic":
        raise KqlError(f"a value of type {value.type.name} has no members", node.at)
    if index.type.name == "string":
        key = "replace(replace($2, '~', '~0'), '/', '~1')"
        found = f"CASE WHEN json_type($1) = 'OBJECT' THEN json_extract($1, concat('/', {key})) END"
        return apply(f"nullif(CAST({found} AS VARCHAR), 'null')", (value, index), DYNAMIC)
    if index.type.name in ("int", "long"):
        place = "concat('$[', CAST($2 AS VARCHAR), ']')"
        return apply(f"nullif(CAST(json_extract($1, {place}) AS VARCHAR), 'null')", (value, index), DYNAMIC)
    raise KqlError(f"an index must be a string or a number, not {index.type.name}: use tostring()", node.at)


def member(value: Scalar, step: str | int, at: int) -> Scalar:
    """A member of a bag, or an item of an array. Raises KqlError if the value is not dynamic."""
    if isinstance(value, Several) and isinstance(step, int) and 0 <= step < len(value.values):
        return value.values[step][1]
    if value.type.name != "dynamic":
        instead = ": use parse_json()" if value.type.name == "string" else ""
        raise KqlError(f"a value of type {value.type.name} has no members{instead}", at)
    if isinstance(value, Constant):
        return Constant(_step_into(value.value, step), DYNAMIC)
    if isinstance(step, str) and not (step and _PLAIN_KEY.issuperset(step)):
        key = Constant("/" + step.replace("~", "~0").replace("/", "~1"), STRING)
        found = "CASE WHEN json_type($1) = 'OBJECT' THEN json_extract($1, $2) END"
        return apply(f"nullif(CAST({found} AS VARCHAR), 'null')", (value, key), DYNAMIC)
    if isinstance(value, Path):
        return Path(value.base, (*value.steps, step))
    return Path(value, (step,))


def _step_into(value: object, step: str | int) -> object:
    if isinstance(value, dict) and isinstance(step, str):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
        return value[step]
    return None


def one_text(values: Sequence[Scalar], sought: Constant, at: int) -> Scalar:
    """All ``values`` as one text, with what is no part of a word between them: a word is in it if it is in
    one of them. One test of it costs less than one of each."""
    if _BETWEEN in str(sought.value):
        raise unsupported("a control character in a text to search for", at)
    places = ", ".join(f"${index}" for index in range(1, len(values) + 1))
    texts = [to_string(value) for value in values]
    return apply(f"concat_ws(chr({ord(_BETWEEN)}), {places})", texts, STRING)


def _binary(node: tree.Binary, scope: Scope, tabular: Tabular, wanted: bool) -> Scalar:
    operator = node.operator
    if isinstance(node.left, tree.Wildcard) and scope.rows is not None:
        right = bind(node.right, scope, tabular)
        texts = [column.ref() for column in scope.rows.columns if column.type.name in ("string", "dynamic")]
        if texts and operator in _WORD_TESTS and isinstance(right, Constant):
            return compare(operator, one_text(texts, right, node.at), right, wanted, node.at)
        found = [compare(operator, to_string(text), right, wanted, node.at) for text in texts]
        return logical("or", found, node.at) if found else Constant(False, BOOL)
    left, right = bind(node.left, scope, tabular), bind(node.right, scope, tabular)
    if operator in ("+", "-", "*", "/", "%"):
        return arithmetic(operator, left, right, node.at)
    return compare(operator, left, right, wanted, node.at)


def _in(node: tree.In, scope: Scope, tabular: Tabular, wanted: bool) -> Scalar:
    value = bind(node.value, scope, tabular) if not isinstance(node.value, tree.Wildcard) else None
    if value is None:
        raise unsupported(f"* {node.operator}", node.at, "name the column")
    if len(node.items) == 1 and tabular.is_tabular(node.items[0], scope):
        rows = tabular.rows(node.items[0], scope)
        if node.operator.lstrip("!").startswith("has"):
            return contains_any(node.operator, value, [tabular.list_of(rows)], node.at)
        return is_in_rows(node.operator, value, rows, node.at)
    items = [bind(item, scope, tabular) for item in node.items]
    if node.operator.lstrip("!").startswith("has"):
        return contains_any(node.operator, value, items, node.at)
    return is_in(node.operator, value, items, wanted, node.at)


def _call(node: tree.Call, scope: Scope, tabular: Tabular) -> Scalar:
    name = node.name
    let = scope.names.get(name)
    if isinstance(let, FunctionLet):
        return tabular.call_scalar(let, node, scope)
    if name in _SPECIAL:
        return _SPECIAL[name](node, scope, tabular)
    if name in AGGREGATES and scope.aggregates is not None:
        return aggregate(node, scope, tabular, bind)
    if name in WINDOWS:
        return window(node, scope, tabular, bind)
    function = FUNCTIONS.get(name)
    if function is None:
        if name in AGGREGATES:
            raise KqlError(f"{name}() is an aggregate: it stands in summarize", node.at)
        raise KqlError(
            f"function {name} is not supported{suggestion(name, FUNCTIONS)}", node.at, f"function {name}"
        )
    arguments = [_argument(argument.value, scope, tabular) for argument in node.arguments]
    return invoke(function, Call(name, node.at, tabular.context.now_ticks), arguments)


def _argument(node: tree.Expression, scope: Scope, tabular: Tabular) -> Scalar:
    if isinstance(node, tree.Literal) and node.type == "type":
        return Constant(node.value, Type("type"))
    return bind(node, scope, tabular)


def _toscalar(node: tree.Call, scope: Scope, tabular: Tabular) -> Scalar:
    if len(node.arguments) != 1:
        raise KqlError("toscalar() takes one query", node.at)
    argument = node.arguments[0].value
    if not tabular.is_tabular(argument, scope):
        return bind(argument, scope.over(None), tabular)
    rows = tabular.rows(argument, scope)
    if not rows.columns:
        raise KqlError("the query in toscalar() has no column", node.at)
    column = rows.columns[0]
    return SubqueryValue(Rows(Limit(rows.relation, 1, rows.order), rows.columns), column)


def _column_ifexists(node: tree.Call, scope: Scope, tabular: Tabular) -> Scalar:
    if len(node.arguments) != 2:
        raise KqlError(f"{node.name}() takes a column's name and a value", node.at)
    name = bind(node.arguments[0].value, scope.over(None), tabular)
    if not isinstance(name, Constant) or not isinstance(name.value, str):
        raise KqlError(f"{node.name}() needs the column's name as a string", node.at)
    column = scope.rows.find(name.value) if scope.rows is not None else None
    return column.ref() if column is not None else bind(node.arguments[1].value, scope, tabular)


def _ingestion_time(node: tree.Call, scope: Scope, tabular: Tabular) -> Scalar:
    column = scope.rows.find("_IngestionTime") if scope.rows is not None else None
    if column is None or node.arguments:
        raise KqlError(
            "ingestion_time() needs the rows of a table as they are: use it before project", node.at
        )
    return column.ref()


def _materialize(node: tree.Call, scope: Scope, tabular: Tabular) -> Scalar:
    raise KqlError(f"{node.name}() gives a table, which cannot stand where a value is needed", node.at)


def _column_names_of(node: tree.Call, scope: Scope, tabular: Tabular) -> Scalar:
    if len(node.arguments) != 1:
        raise KqlError("column_names_of() takes one table", node.at)
    rows = tabular.rows(node.arguments[0].value, scope.over(None))
    return Constant([column.name for column in rows.columns], DYNAMIC)


def _pack_all(node: tree.Call, scope: Scope, tabular: Tabular) -> Scalar:
    options = [bind(argument.value, scope.over(None), tabular) for argument in node.arguments]
    if scope.rows is None or len(options) > 1 or not all(isinstance(each, Constant) for each in options):
        raise KqlError(
            "pack_all() takes the columns of a table, and whether to leave out what is empty", node.at
        )
    without_empty = any(isinstance(each, Constant) and each.value is True for each in options)
    return pack_all([(column.name, column.ref()) for column in scope.rows.columns], without_empty)


_SPECIAL = {
    "pack_all": _pack_all,
    "column_names_of": _column_names_of,
    "toscalar": _toscalar,
    "column_ifexists": _column_ifexists,
    "columnifexists": _column_ifexists,
    "ingestion_time": _ingestion_time,
    "materialize": _materialize,
    "table": _materialize,
}


def bind_constant(node: tree.Expression, scope: Scope, tabular: Tabular, what: str) -> Constant:
    """The constant that ``node`` is. Raises KqlError if it depends on rows."""
    value = bind(node, scope.over(None), tabular)
    if not isinstance(value, Constant):
        raise unsupported(f"{what} that is no constant", node.at)
    return value


def bind_predicate(node: tree.Expression, scope: Scope, tabular: Tabular) -> Scalar:
    """The condition that ``node`` is. Raises KqlError if it is of another type."""
    value = bind(node, scope, tabular, wanted=True)
    if value.type.name == "dynamic":
        return as_type(value, BOOL)
    if value.type.name != "bool":
        raise KqlError(f"a condition must be of type bool, not {value.type.name}", node.at)
    return value
