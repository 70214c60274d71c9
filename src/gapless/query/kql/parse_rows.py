"""Operators that look at the rows before them alone: where, extend, project, summarize, sort, ..."""

from __future__ import annotations

from collections.abc import Callable

from gapless.query.kql import operators, tree
from gapless.query.kql.parse_lists import ListParser


def _where(p: ListParser, at: int) -> tree.Operator:
    return operators.Where(at, p.expression())


def _extend(p: ListParser, at: int) -> tree.Operator:
    return operators.Extend(at, p.named_list())


def _project(p: ListParser, at: int) -> tree.Operator:
    return operators.Project(at, "project", [] if p.at_operator_end() else p.named_list())


def _project_away(p: ListParser, at: int) -> tree.Operator:
    return operators.Project(at, "project-away", p.patterns()[0])


def _project_keep(p: ListParser, at: int) -> tree.Operator:
    return operators.Project(at, "project-keep", p.patterns()[0])


def _project_reorder(p: ListParser, at: int) -> tree.Operator:
    return operators.Project(at, "project-reorder", *p.patterns())


def _project_rename(p: ListParser, at: int) -> tree.Operator:
    return operators.Project(at, "project-rename", p.named_list())


def _summarize(p: ListParser, at: int) -> tree.Operator:
    p.options()
    aggregates = [] if p.is_word("by") or p.at_operator_end() else p.named_list()
    keys = []
    if p.take_word("by"):
        p.options()
        keys = p.named_list()
    return operators.Summarize(at, aggregates, keys)


def _distinct(p: ListParser, at: int) -> tree.Operator:
    p.options()
    return operators.Distinct(at, p.named_list())


def _sort(p: ListParser, at: int) -> tree.Operator:
    p.options()
    p.expect_word("by")
    return operators.Sort(at, p.order_keys())


def _top(p: ListParser, at: int) -> tree.Operator:
    p.options()
    rows = p.expression()
    p.expect_word("by")
    return operators.Top(at, rows, p.order_keys())


def _take(p: ListParser, at: int) -> tree.Operator:
    p.options()
    return operators.Take(at, p.expression())


def _count(p: ListParser, at: int) -> tree.Operator:
    return operators.Count(at)


def _serialize(p: ListParser, at: int) -> tree.Operator:
    return operators.Serialize(at, [] if p.at_operator_end() else p.named_list())


def _render(p: ListParser, at: int) -> tree.Operator:
    kind = p.name()
    if p.take_word("with"):
        p.expect("(")
        while not p.is_mark(")") and p.token.kind != "end":
            p.take()
        p.expect(")")
    while not p.at_operator_end():
        p.take()
    return operators.Render(at, kind)


def _getschema(p: ListParser, at: int) -> tree.Operator:
    return operators.GetSchema(at)


def _as(p: ListParser, at: int) -> tree.Operator:
    p.options()
    return operators.AsName(at, p.name())


READERS: dict[str, Callable[[ListParser, int], tree.Operator]] = {
    "where": _where,
    "filter": _where,
    "extend": _extend,
    "project": _project,
    "project-away": _project_away,
    "project-keep": _project_keep,
    "project-rename": _project_rename,
    "project-reorder": _project_reorder,
    "summarize": _summarize,
    "distinct": _distinct,
    "sort": _sort,
    "order": _sort,
    "top": _top,
    "take": _take,
    "limit": _take,
    "count": _count,
    "serialize": _serialize,
    "render": _render,
    "getschema": _getschema,
    "as": _as,
}
