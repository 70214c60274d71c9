"""Operators that take values apart, and make-series, which puts them together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gapless.query.kql.errors import KqlError
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.syntax.parse_lists import ListParser


def _mv_expand(p: ListParser, at: int) -> tree.Operator:
    options = p.options("kind", "bagexpansion", "with_itemindex")
    columns = p.expansions()
    limit = p.expression() if p.take_word("limit") else None
    as_array = "array" in (options.get("kind"), options.get("bagexpansion"))
    return operators.MvExpand(at, columns, options.get("with_itemindex"), as_array, limit)


def _mv_apply(p: ListParser, at: int) -> tree.Operator:
    options = p.options("with_itemindex")
    columns = p.expansions()
    limit = p.expression() if p.take_word("limit") else None
    p.expect_word("on")
    return operators.MvApply(at, columns, options.get("with_itemindex"), limit, p.body())


def _parse(p: ListParser, at: int) -> tree.Operator:
    return _parsed(p, at, only_matching=False)


def _parse_where(p: ListParser, at: int) -> tree.Operator:
    return _parsed(p, at, only_matching=True)


def _parsed(p: ListParser, at: int, only_matching: bool) -> tree.Operator:
    options = p.options("kind", "flags")
    value = p.expression()
    p.expect_word("with")
    parts: list[operators.ParseColumn] = []
    while True:
        here = p.at
        if p.take_mark("*"):
            parts.append(operators.ParseColumn(here))
        elif p.token.kind == "string":
            parts.append(operators.ParseColumn(here, text=p.take().value))
        elif p.token.kind == "name" or p.is_mark("["):
            name = p.name()
            kind = p.type_name() if p.take_mark(":") else "string"
            parts.append(operators.ParseColumn(here, name=name, type=kind))
        else:
            break
    if not parts:
        raise p.surprise("a pattern")
    kind = options.get("kind", "simple")
    return operators.Parse(at, value, kind, options.get("flags", ""), parts, only_matching)


def _parse_kv(p: ListParser, at: int) -> tree.Operator:
    value = p.expression()
    p.expect_word("as")
    columns = p.columns()
    options: dict[str, Any] = {}
    if p.take_word("with"):
        p.expect("(")
        options = dict(p.enclosed(partial(_option, p), ")"))
    return operators.ParseKv(at, value, columns, options)


def _option(p: ListParser) -> tuple[str, str]:
    name = p.name()
    p.expect("=")
    return name, p.take().value


def _make_series(p: ListParser, at: int) -> tree.Operator:
    p.options("kind")
    aggregates = p.separated(partial(_series, p))
    p.expect_word("on")
    axis = p.expression(3)
    start = stop = None
    stop_included = p.take_word("in")
    if stop_included:
        call = p.primary()
        if not isinstance(call, tree.Call) or call.name != "range" or len(call.arguments) != 3:
            raise KqlError("write in range(start, stop, step)", at)
        start, stop, step = (argument.value for argument in call.arguments)
    else:
        start = p.expression() if p.take_word("from") else None
        stop = p.expression() if p.take_word("to") else None
        p.expect_word("step")
        step = p.expression()
    keys = p.named_list() if p.take_word("by") else []
    return operators.MakeSeries(at, aggregates, axis, start, stop, step, keys, stop_included)


def _series(p: ListParser) -> tuple[tree.Named, tree.Expression | None]:
    """An aggregate, and its value where there are no rows."""
    named = p.named()
    if not p.take_word("default"):
        return named, None
    p.expect("=")
    return named, p.expression()


def _scan(p: ListParser, at: int) -> tree.Operator:
    options = p.options("with_match_id")
    declared: list[tree.Parameter] = []
    if p.take_word("declare"):
        p.expect("(")
        declared = p.enclosed(partial(_declared, p), ")")
    p.expect_word("with")
    p.expect("(")
    steps = []
    while p.is_word("step"):
        steps.append(_scan_step(p))
    p.expect(")")
    if not steps:
        raise KqlError("scan needs a step: with (step name: condition;)", at)
    return operators.ScanSteps(at, options.get("with_match_id"), declared, steps)


def _declared(p: ListParser) -> tree.Parameter:
    at, name = p.at, p.name()
    p.expect(":")
    kind = p.type_name()
    return tree.Parameter(at, name, kind, default=p.expression() if p.take_mark("=") else None)


def _scan_step(p: ListParser) -> operators.ScanStep:
    at, name = p.take().start, p.name()
    output = p.options("output").get("output", "all")
    p.expect(":")
    condition = p.expression()
    assignments = p.named_list() if p.take_mark("=>") else []
    if not p.is_mark(")"):
        p.expect(";")
    return operators.ScanStep(at, name, output, condition, assignments)


READERS: dict[str, Callable[[ListParser, int], tree.Operator]] = {
    "scan": _scan,
    "mv-expand": _mv_expand,
    "mvexpand": _mv_expand,
    "mv-apply": _mv_apply,
    "mvapply": _mv_apply,
    "parse": _parse,
    "parse-where": _parse_where,
    "parse-kv": _parse_kv,
    "make-series": _make_series,
}
