"""union and search."""

from __future__ import annotations

from dataclasses import replace

from gapless.query.kql.binding.bind_scalar import bind, one_text
from gapless.query.kql.binding.context import FunctionLet, Scope
from gapless.query.kql.binding.names import free_name, matching
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.relation import (
    Concat,
    Extend,
    Filter,
    Rows,
)
from gapless.query.kql.relational.scalars import (
    BOOL,
    DATETIME,
    DATETIME_US,
    NULLABLE_STRING,
    STRING,
    Column,
    Constant,
    Scalar,
    Type,
)
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.values.comparisons import compare
from gapless.query.kql.values.forms import ticks
from gapless.query.kql.values.logic import logical
from gapless.query.kql.values.text_tests import text_test
from gapless.query.kql.values.to_text import to_string


def union(node: operators.Union, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The rows and those of other tables."""
    return union_of(node, [rows], scope, tabular)


def union_of(node: operators.Union, given: list[Rows], scope: Scope, tabular: Tabular) -> Rows:
    """The rows of all tables, of those alone that there are if the union is fuzzy."""
    inputs = list(given)
    for each in node.inputs:
        inputs.extend(_inputs(each, node, scope, tabular))
    if not inputs:
        raise KqlError("none of the tables is there", node.at, "table of a fuzzy union")
    names = [rows.name or f"union_arg{index}" for index, rows in enumerate(inputs)]
    return concatenated(inputs, node.kind == "inner", node.source_column, names, tabular)


def _inputs(node: tree.Expression, union: operators.Union, scope: Scope, tabular: Tabular) -> list[Rows]:
    if isinstance(node, tree.Wildcard):
        views = [n for n, let in scope.names.items() if isinstance(let, FunctionLet) and let.body.is_view]
        names = matching(node.pattern, (*views, *sorted(tabular.context.tables)))
        if not names and not union.is_fuzzy:
            raise KqlError(f"no table is named {node.pattern}", node.at, f"table {node.pattern}")
        return [tabular.rows(tree.Name(node.at, name), scope.over(None)) for name in names]
    try:
        return [tabular.rows(node, scope.over(None))]
    except KqlError as error:
        if union.is_fuzzy and error.missing is not None and error.missing.startswith("table "):
            return []
        raise


def concatenated(
    inputs: list[Rows], common: bool, source_column: str | None, names: list[str], tabular: Tabular
) -> Rows:
    """All rows of the inputs. A name with several types becomes several columns, named for their types."""
    kinds: dict[str, list[str]] = {}
    for rows in inputs:
        for column in rows.columns:
            types = kinds.setdefault(column.name, [])
            if column.type.name not in types:
                types.append(column.type.name)
    parts = [_by_name(rows) for rows in inputs]
    wanted = [(name, kind) for name, types in kinds.items() for kind in types]
    if common:
        wanted = [(n, k) for n, k in wanted if all(n in part for part in parts)]
    hidden = [(each.name, each.type.name) for each in inputs[0].hidden if each.name not in kinds]
    hidden = [(n, k) for n, k in hidden if all(_find(part, n, k) for part in parts)]
    new_id = tabular.context.new_id
    columns: list[Column] = []
    secret: list[Column] = []
    all_ids: list[tuple[int, Type]] = []
    sources: list[list[Scalar]] = [[] for _ in inputs]
    if source_column is not None:
        id = new_id()
        all_ids.append((id, STRING))
        columns.append(Column(source_column, id, STRING))
        for source, name in zip(sources, names, strict=True):
            source.append(Constant(name, STRING))
    taken = {column.name for column in columns}
    for index, (name, kind) in enumerate((*wanted, *hidden)):
        found = [_find(part, name, kind) for part in parts]
        held = _held([each for each in found if each is not None], kind)
        id = new_id()
        all_ids.append((id, held))
        shown = name if len(kinds.get(name, ())) < 2 else f"{name}_{kind}"
        shown = free_name(shown, taken) if shown in taken else shown
        taken.add(shown)
        (columns if index < len(wanted) else secret).append(Column(shown, id, held))
        for source, each in zip(sources, found, strict=True):
            source.append(_source(each, held))
    return Rows(Concat([rows.relation for rows in inputs], all_ids, sources), columns, hidden=secret)


def _by_name(rows: Rows) -> dict[str, Column]:
    return {each.name: each for each in (*rows.hidden, *rows.columns)}


def _find(part: dict[str, Column], name: str, kind: str) -> Column | None:
    column = part.get(name)
    return column if column is not None and column.type.name == kind else None


def _held(found: list[Column], kind: str) -> Type:
    """The form in which a column of the union holds its values."""
    if kind == "string":
        return NULLABLE_STRING
    if kind == "datetime":
        return DATETIME_US if all(each.type.form == "us" for each in found) else DATETIME
    return Type(kind)


def _source(column: Column | None, held: Type) -> Scalar:
    if column is None:
        return Constant(None, held)
    return column.ref() if held.form == "us" else ticks(column.ref())


# search -----------------------------------------------------------------------------------------------------


def search(node: operators.Search, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The rows in which a text occurs."""
    if node.tables:
        raise KqlError("search in (...) stands at the beginning of a query", node.at)
    return _searched(node, [replace(rows, name=rows.name or "search_arg0")], scope, tabular)


def search_source(node: operators.Search, scope: Scope, tabular: Tabular) -> Rows:
    """The rows of tables in which a text occurs; of all tables if none are named."""
    names = operators.Union(node.at, node.tables or [tree.Wildcard(node.at, "*")], "outer", None, False)
    inputs = [rows for each in names.inputs for rows in _inputs(each, names, scope, tabular)]
    if not inputs:
        raise KqlError("there is no table to search", node.at)
    return _searched(node, inputs, scope, tabular)


def _searched(node: operators.Search, inputs: list[Rows], scope: Scope, tabular: Tabular) -> Rows:
    found = []
    for rows in inputs:
        predicate = _predicate(node.predicate, rows, scope, tabular, node.case_sensitive)
        found.append(rows.changed(Filter(rows.relation, predicate)))
    if len(found) > 1:
        return concatenated(found, False, "$table", [rows.name for rows in found], tabular)
    rows = found[0]
    id = tabular.context.new_id()
    relation = Extend(rows.relation, [(id, Constant(rows.name, STRING))])
    return rows.changed(relation, [Column("$table", id, STRING), *rows.columns])


def _predicate(node: tree.Expression, rows: Rows, scope: Scope, tabular: Tabular, cased: bool) -> Scalar:
    """A condition in which a value by itself stands for: it occurs in some column."""
    match node:
        case tree.Logical(operator=operator, operands=operands):
            tests = [_predicate(each, rows, scope, tabular, cased) for each in operands]
            return logical(operator, tests, node.at)
        case tree.Call(name="not", arguments=[argument]):
            return apply("NOT $1", (_predicate(argument.value, rows, scope, tabular, cased),), BOOL)
        case tree.Literal(type="real"):
            raise unsupported("search for a real number", node.at, "compare a column with it")
        case tree.Literal(type=("string" | "long" | "int")):
            return _anywhere(node, rows, scope, tabular, cased)
        case tree.Binary(operator="has", left=left, right=right) if isinstance(left, tree.Name):
            return compare(
                "has", bind(left, scope.over(rows), tabular), bind(right, scope, tabular), False, node.at
            )
    value = bind(node, scope.over(rows), tabular)
    if value.type.name != "bool":
        raise unsupported("this value in search", node.at, "use a text or a condition")
    return apply("coalesce($1, FALSE)", (value,), BOOL)


def _anywhere(node: tree.Literal, rows: Rows, scope: Scope, tabular: Tabular, cased: bool) -> Scalar:
    text = to_string(bind(node, scope, tabular))
    assert isinstance(text, Constant)
    word = str(text.value)
    stars = (word.startswith("*"), word.endswith("*") and len(word) > 1)
    core = word.strip("*")
    if "*" in core:
        raise unsupported("* inside of a text to search for", node.at)
    operator = {(False, False): "has", (False, True): "hasprefix", (True, False): "hassuffix"}.get(
        stars, "contains"
    )
    operator += "_cs" if cased else ""
    needle = Constant(core, STRING)
    texts = [
        each.ref()
        for each in rows.columns
        if each.type.name in ("string", "dynamic", "int", "long", "real", "guid")
    ]
    if not texts:
        return Constant(False, BOOL)
    return text_test(operator, one_text(texts, needle, node.at), needle, False, node.at)
