"""Operators that read other tables, or call something: join, lookup, union, search, evaluate, invoke."""

from __future__ import annotations

from collections.abc import Callable

from gapless.query.kql.errors import KqlError, suggestion, unsupported
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.syntax.parse_lists import ListParser

_JOIN_KINDS = {
    "inner": "inner",
    "innerunique": "innerunique",
    "leftouter": "leftouter",
    "rightouter": "rightouter",
    "fullouter": "fullouter",
    "leftsemi": "leftsemi",
    "rightsemi": "rightsemi",
    "leftanti": "leftanti",
    "anti": "leftanti",
    "leftantisemi": "leftanti",
    "rightanti": "rightanti",
    "rightantisemi": "rightanti",
}


def _join(p: ListParser, at: int) -> tree.Operator:
    return _joined(p, at, "innerunique", lookup=False)


def _lookup(p: ListParser, at: int) -> tree.Operator:
    return _joined(p, at, "leftouter", lookup=True)


def _joined(p: ListParser, at: int, default_kind: str, lookup: bool) -> tree.Operator:
    options = p.options("kind", "isfuzzy")
    right = p.postfix(p.primary())
    kind = (options | p.options("kind")).get("kind", default_kind)
    if kind not in _JOIN_KINDS or (lookup and kind not in ("inner", "leftouter")):
        raise KqlError(f"{kind} is no kind of join{suggestion(kind, _JOIN_KINDS)}", at)
    p.expect_word("on")
    conditions = p.separated(p.expression)
    return operators.Join(at, _JOIN_KINDS[kind], right, conditions, lookup)


def union(p: ListParser, at: int) -> operators.Union:
    """What follows the word union."""
    options = p.options("kind", "withsource", "isfuzzy", "with_source")
    inputs = p.separated(p.table_input)
    kind = options.get("kind", "outer")
    if kind not in ("inner", "outer"):
        raise KqlError(f"{kind} is no kind of union: use inner or outer", at)
    source_column = options.get("withsource") or options.get("with_source")
    return operators.Union(at, inputs, kind, source_column, options.get("isfuzzy", "false").lower() == "true")


def search(p: ListParser, at: int) -> operators.Search:
    """What follows the word search."""
    options = p.options("kind")
    tables: list[tree.Expression] = []
    if p.take_word("in"):
        p.expect("(")
        tables = p.separated(p.table_input)
        p.expect(")")
    return operators.Search(at, p.expression(), options.get("kind") == "case_sensitive", tables)


def _evaluate(p: ListParser, at: int) -> tree.Operator:
    p.options()
    here, name = p.at, p.name()
    call = tree.Call(here, name, p.arguments())
    if not p.take_mark(":"):
        return operators.Evaluate(at, call, None)
    return operators.Evaluate(at, call, *p.columns_after_star())


def _partition(p: ListParser, at: int) -> tree.Operator:
    p.options()
    p.expect_word("by")
    key = tree.Name(p.at, p.name())
    if p.is_mark("{"):
        raise unsupported("partition with a query in braces", p.at, "write operators in parentheses")
    return operators.Partition(at, key, p.body())


def _invoke(p: ListParser, at: int) -> tree.Operator:
    here, name = p.at, p.name()
    return operators.Invoke(at, tree.Call(here, name, p.arguments()))


READERS: dict[str, Callable[[ListParser, int], tree.Operator]] = {
    "join": _join,
    "lookup": _lookup,
    "union": union,
    "evaluate": _evaluate,
    "search": search,
    "invoke": _invoke,
    "partition": _partition,
}
