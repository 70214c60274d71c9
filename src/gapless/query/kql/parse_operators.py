"""Tabular operators: what stands between pipes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gapless.query.kql import tree
from gapless.query.kql.errors import KqlError, suggestion, unsupported
from gapless.query.kql.lexer import words
from gapless.query.kql.parse_expressions import ExpressionParser

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
_UNSUPPORTED = words(
    """
    scan partition fork facet top-nested top-hitters sample sample-distinct reduce consume find
    make-graph graph-match assert-schema macro-expand execute-and-cache
    """
)


class OperatorParser(ExpressionParser):
    """Reads the operators of a pipeline."""

    def operator(self) -> tree.Operator:
        """The operator that comes next, without the pipe before it."""
        at, name = self.at, self.hyphenated()
        reader = _READERS.get(name)
        if reader is not None:
            return reader(self, at)
        if name in _UNSUPPORTED:
            raise unsupported(f"operator {name}", at)
        raise KqlError(f"there is no operator {name}{suggestion(name, _READERS)}", at)

    def named_list(self) -> list[tree.Named]:
        """``name = expression`` and the like, separated by commas."""
        items = [self.named()]
        while self.take_mark(","):
            items.append(self.named())
        return items

    def named(self) -> tree.Named:
        """``name = expression``, ``(a, b) = expression`` or an expression."""
        at = self.at
        if self.is_mark("(") and (names := self._tuple_names()):
            return tree.Named(at, names, self.expression())
        if self._is_name_before("="):
            name = self.name()
            self.take()
            return tree.Named(at, [name], self.expression())
        return tree.Named(at, [], self.expression())

    def _is_name_before(self, mark: str) -> bool:
        ahead = 3 if self.is_mark("[") else 1
        following = self.peek(ahead)
        named = self.token.kind == "name" or (self.is_mark("[") and self.peek().kind == "string")
        return named and following.kind == "mark" and following.value == mark

    def _tuple_names(self) -> list[str]:
        """The names in ``(a, b) =``; none if something else comes next."""
        ahead = 1
        names = []
        while self.peek(ahead).kind == "name":
            names.append(self.peek(ahead).value)
            mark = self.peek(ahead + 1).value
            if mark == ")":
                if self.peek(ahead + 2).value != "=" or self.peek(ahead + 2).kind != "mark":
                    return []
                for _ in range(ahead + 3):
                    self.take()
                return names
            if mark != ",":
                return []
            ahead += 2
        return []

    def options(self, *known: str) -> dict[str, Any]:
        """``name=value`` before an operator's own arguments; hints are read and forgotten."""
        found: dict[str, Any] = {}
        while self.token.kind == "name" and (self.token.value in known or self.token.value == "hint"):
            if self.token.value == "hint" and self.peek().value == ".":
                self.take()
                self.take()
                self.take()
                self.expect("=")
                self._option_value()
            elif self.peek().value == "=" and self.peek().kind == "mark":
                name = self.take().value
                self.take()
                found[name] = self._option_value()
            else:
                break
        return found

    def _option_value(self) -> str:
        token = self.take()
        if token.kind not in ("name", "string", "typed", "long"):
            raise KqlError("this is no value of an option", token.start)
        return token.value

    def columns(self) -> list[tuple[str, str]]:
        """``(name:type, ...)``"""
        self.expect("(")
        found = []
        while not self.is_mark(")"):
            name = self.take().value if self.token.kind == "string" else self.name()
            self.expect(":")
            found.append((name, self.type_name()))
            if not self.take_mark(","):
                break
        self.expect(")")
        return found

    # One method an operator -----------------------------------------------------------------------------

    def _where(self, at: int) -> tree.Operator:
        return tree.Where(at, self.expression())

    def _extend(self, at: int) -> tree.Operator:
        return tree.Extend(at, self.named_list())

    def _project(self, at: int) -> tree.Operator:
        return tree.Project(at, "project", [] if self._at_operator_end() else self.named_list())

    def _project_away(self, at: int) -> tree.Operator:
        return tree.Project(at, "project-away", self._patterns()[0])

    def _project_keep(self, at: int) -> tree.Operator:
        return tree.Project(at, "project-keep", self._patterns()[0])

    def _project_reorder(self, at: int) -> tree.Operator:
        return tree.Project(at, "project-reorder", *self._patterns())

    def _project_rename(self, at: int) -> tree.Operator:
        return tree.Project(at, "project-rename", self.named_list())

    def _patterns(self) -> tuple[list[tree.Named], list[str]]:
        patterns, orders = [], []
        while True:
            at = self.at
            patterns.append(tree.Named(at, [], self._pattern()))
            order = self.hyphenated() if self.is_word("asc", "desc", "granny") else ""
            orders.append(order)
            if not self.take_mark(","):
                return patterns, orders

    def _pattern(self) -> tree.Expression:
        at = self.at
        if self.is_mark("["):
            return tree.Name(at, self.name())
        parts: list[str] = []
        while (self.token.kind == "name" or self.is_mark("*")) and (not parts or not self.token.spaced):
            parts.append(self.take().value)
        if not parts:
            raise self.surprise("a column's name")
        pattern = "".join(parts)
        return tree.Wildcard(at, pattern) if "*" in pattern else tree.Name(at, pattern)

    def _summarize(self, at: int) -> tree.Operator:
        self.options()
        aggregates = [] if self.is_word("by") or self._at_operator_end() else self.named_list()
        keys = []
        if self.take_word("by"):
            self.options()
            keys = self.named_list()
        return tree.Summarize(at, aggregates, keys)

    def _distinct(self, at: int) -> tree.Operator:
        self.options()
        return tree.Distinct(at, self.named_list())

    def _sort(self, at: int) -> tree.Operator:
        self.options()
        self.expect_word("by")
        return tree.Sort(at, self._order_keys())

    def _top(self, at: int) -> tree.Operator:
        self.options()
        rows = self.expression()
        self.expect_word("by")
        return tree.Top(at, rows, self._order_keys())

    def _order_keys(self) -> list[tree.OrderKey]:
        keys = []
        while True:
            at, value = self.at, self.expression()
            descending = not self.take_word("asc")
            if descending:
                self.take_word("desc")
            nulls_first = not descending
            if self.take_word("nulls"):
                nulls_first = self.is_word("first")
                if not self.is_word("first", "last"):
                    raise self.surprise("first or last")
                self.take()
            keys.append(tree.OrderKey(at, value, descending, nulls_first))
            if not self.take_mark(","):
                return keys

    def _take(self, at: int) -> tree.Operator:
        self.options()
        return tree.Take(at, self.expression())

    def _count(self, at: int) -> tree.Operator:
        return tree.Count(at)

    def _join(self, at: int) -> tree.Operator:
        return self._joined(at, "innerunique", lookup=False)

    def _lookup(self, at: int) -> tree.Operator:
        return self._joined(at, "leftouter", lookup=True)

    def _joined(self, at: int, default_kind: str, lookup: bool) -> tree.Operator:
        options = self.options("kind", "isfuzzy")
        kind = options.get("kind", default_kind)
        if kind not in _JOIN_KINDS or (lookup and kind not in ("inner", "leftouter")):
            raise KqlError(f"{kind} is no kind of join{suggestion(kind, _JOIN_KINDS)}", at)
        right = self.postfix(self._primary())
        options = self.options("kind")
        self.expect_word("on")
        conditions = [self.expression()]
        while self.take_mark(","):
            conditions.append(self.expression())
        return tree.Join(at, _JOIN_KINDS[options.get("kind", kind)], right, conditions, lookup)

    def union(self, at: int) -> tree.Union:
        """What follows the word union."""
        options = self.options("kind", "withsource", "isfuzzy", "with_source")
        inputs = [self._union_input()]
        while self.take_mark(","):
            inputs.append(self._union_input())
        kind = options.get("kind", "outer")
        if kind not in ("inner", "outer"):
            raise KqlError(f"{kind} is no kind of union: use inner or outer", at)
        source_column = options.get("withsource") or options.get("with_source")
        return tree.Union(at, inputs, kind, source_column, options.get("isfuzzy", "false").lower() == "true")

    def _union_input(self) -> tree.Expression:
        if self.token.kind == "name" and self.peek().value == "*" and not self.peek().spaced:
            return self._pattern()
        if self.is_mark("*"):
            return self._pattern()
        return self.postfix(self._primary())

    def _mv_expand(self, at: int) -> tree.Operator:
        options = self.options("kind", "bagexpansion", "with_itemindex")
        columns = self._expansions()
        limit = self.expression() if self.take_word("limit") else None
        as_array = "array" in (options.get("kind"), options.get("bagexpansion"))
        return tree.MvExpand(at, columns, options.get("with_itemindex"), as_array, limit)

    def _mv_apply(self, at: int) -> tree.Operator:
        options = self.options("with_itemindex")
        columns = self._expansions()
        limit = self.expression() if self.take_word("limit") else None
        self.expect_word("on")
        self.enter()
        self.expect("(")
        body = [self.operator()]
        while self.take_mark("|"):
            body.append(self.operator())
        self.expect(")")
        self.leave()
        return tree.MvApply(at, columns, options.get("with_itemindex"), limit, body)

    def _expansions(self) -> list[tree.Expansion]:
        found = []
        while True:
            at = self.at
            name = None
            if self._is_name_before("="):
                name = self.name()
                self.take()
            value = self.expression()
            kind = self.typeof() if self.take_word("to") else None
            found.append(tree.Expansion(at, name, value, kind))
            if not self.take_mark(","):
                return found

    def _parse(self, at: int) -> tree.Operator:
        return self._parsed(at, only_matching=False)

    def _parse_where(self, at: int) -> tree.Operator:
        return self._parsed(at, only_matching=True)

    def _parsed(self, at: int, only_matching: bool) -> tree.Operator:
        options = self.options("kind", "flags")
        value = self.expression()
        self.expect_word("with")
        parts: list[tree.ParseColumn] = []
        while True:
            here = self.at
            if self.take_mark("*"):
                parts.append(tree.ParseColumn(here))
            elif self.token.kind == "string":
                parts.append(tree.ParseColumn(here, text=self.take().value))
            elif self.token.kind == "name" or self.is_mark("["):
                name = self.name()
                kind = self.type_name() if self.take_mark(":") else "string"
                parts.append(tree.ParseColumn(here, name=name, type=kind))
            else:
                break
        if not parts:
            raise self.surprise("a pattern")
        kind = options.get("kind", "simple")
        return tree.Parse(at, value, kind, options.get("flags", ""), parts, only_matching)

    def _parse_kv(self, at: int) -> tree.Operator:
        value = self.expression()
        self.expect_word("as")
        columns = self.columns()
        options: dict[str, Any] = {}
        if self.take_word("with"):
            self.expect("(")
            while not self.is_mark(")"):
                name = self.name()
                self.expect("=")
                options[name] = self.take().value
                if not self.take_mark(","):
                    break
            self.expect(")")
        return tree.ParseKv(at, value, columns, options)

    def _make_series(self, at: int) -> tree.Operator:
        self.options("kind")
        aggregates = []
        while True:
            named = self.named()
            default = None
            if self.take_word("default"):
                self.expect("=")
                default = self.expression()
            aggregates.append((named, default))
            if not self.take_mark(","):
                break
        self.expect_word("on")
        axis = self.expression(3)
        start = stop = None
        stop_included = self.take_word("in")
        if stop_included:
            call = self._primary()
            if not isinstance(call, tree.Call) or call.name != "range" or len(call.arguments) != 3:
                raise KqlError("write in range(start, stop, step)", at)
            start, stop, step = (argument.value for argument in call.arguments)
        else:
            start = self.expression() if self.take_word("from") else None
            stop = self.expression() if self.take_word("to") else None
            self.expect_word("step")
            step = self.expression()
        keys = self.named_list() if self.take_word("by") else []
        return tree.MakeSeries(at, aggregates, axis, start, stop, step, keys, stop_included)

    def _evaluate(self, at: int) -> tree.Operator:
        self.options()
        here, name = self.at, self.name()
        call = tree.Call(here, name, self.arguments())
        columns = self.columns() if self.take_mark(":") else None
        return tree.Evaluate(at, call, columns)

    def _serialize(self, at: int) -> tree.Operator:
        return tree.Serialize(at, [] if self._at_operator_end() else self.named_list())

    def search(self, at: int) -> tree.Search:
        """What follows the word search."""
        options = self.options("kind")
        tables: list[tree.Expression] = []
        if self.take_word("in"):
            self.expect("(")
            tables.append(self._union_input())
            while self.take_mark(","):
                tables.append(self._union_input())
            self.expect(")")
        return tree.Search(at, self.expression(), options.get("kind") == "case_sensitive", tables)

    def _render(self, at: int) -> tree.Operator:
        kind = self.name()
        if self.take_word("with"):
            self.expect("(")
            while not self.is_mark(")") and self.token.kind != "end":
                self.take()
            self.expect(")")
        while not self._at_operator_end():
            self.take()
        return tree.Render(at, kind)

    def _getschema(self, at: int) -> tree.Operator:
        return tree.GetSchema(at)

    def _as(self, at: int) -> tree.Operator:
        self.options()
        return tree.AsName(at, self.name())

    def _invoke(self, at: int) -> tree.Operator:
        here, name = self.at, self.name()
        return tree.Invoke(at, tree.Call(here, name, self.arguments()))

    def _at_operator_end(self) -> bool:
        return self.token.kind == "end" or self.is_mark("|", ")", ";", "}") or self.token.blank


_READERS: dict[str, Callable[[OperatorParser, int], tree.Operator]] = {
    "where": OperatorParser._where,
    "filter": OperatorParser._where,
    "extend": OperatorParser._extend,
    "project": OperatorParser._project,
    "project-away": OperatorParser._project_away,
    "project-keep": OperatorParser._project_keep,
    "project-rename": OperatorParser._project_rename,
    "project-reorder": OperatorParser._project_reorder,
    "summarize": OperatorParser._summarize,
    "distinct": OperatorParser._distinct,
    "sort": OperatorParser._sort,
    "order": OperatorParser._sort,
    "top": OperatorParser._top,
    "take": OperatorParser._take,
    "limit": OperatorParser._take,
    "count": OperatorParser._count,
    "join": OperatorParser._join,
    "lookup": OperatorParser._lookup,
    "union": OperatorParser.union,
    "mv-expand": OperatorParser._mv_expand,
    "mvexpand": OperatorParser._mv_expand,
    "mv-apply": OperatorParser._mv_apply,
    "mvapply": OperatorParser._mv_apply,
    "parse": OperatorParser._parse,
    "parse-where": OperatorParser._parse_where,
    "parse-kv": OperatorParser._parse_kv,
    "make-series": OperatorParser._make_series,
    "evaluate": OperatorParser._evaluate,
    "serialize": OperatorParser._serialize,
    "search": OperatorParser.search,
    "render": OperatorParser._render,
    "getschema": OperatorParser._getschema,
    "as": OperatorParser._as,
    "invoke": OperatorParser._invoke,
}
