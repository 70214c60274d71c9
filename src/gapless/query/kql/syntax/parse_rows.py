"""Operators that look at the rows before them alone: where, extend, project, summarize, sort, ..."""

from __future__ import annotations

from collections.abc import Callable

from gapless.query.kql.errors import unsupported
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.syntax.parse_lists import ListParser


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


def _top_nested(p: ListParser, at: int) -> tree.Operator:
    levels = [_top_level(p)]
    while p.take_mark(","):
        if p.hyphenated() != "top-nested":
            raise p.surprise("'top-nested'")
        levels.append(_top_level(p))
    return operators.TopNested(at, levels)


def _top_level(p: ListParser) -> operators.TopLevel:
    at = p.at
    rows = None if p.is_word("of") else p.expression()
    p.expect_word("of")
    value = p.named()
    if p.is_word("with"):
        raise unsupported("top-nested with others", p.at)
    p.expect_word("by")
    aggregate = p.named()
    is_ascending = p.take_word("asc")
    if not is_ascending:
        p.take_word("desc")
    return operators.TopLevel(at, rows, value, aggregate, not is_ascending)


def _sample(p: ListParser, at: int) -> tree.Operator:
    return operators.Sample(at, p.expression())


def _sample_distinct(p: ListParser, at: int) -> tree.Operator:
    rows = p.expression()
    p.expect_word("of")
    return operators.SampleDistinct(at, rows, p.named())


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
    "top-nested": _top_nested,
    "sample": _sample,
    "sample-distinct": _sample_distinct,
    "take": _take,
    "limit": _take,
    "count": _count,
    "serialize": _serialize,
    "render": _render,
    "getschema": _getschema,
    "as": _as,
}
