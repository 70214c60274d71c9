"""Lists of names and values, and options: what the operators of a pipeline are written with."""

from __future__ import annotations

from typing import Any

from gapless.query.kql.errors import KqlError
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.syntax.parse_expressions import ExpressionParser


class ListParser(ExpressionParser):
    """Reads what stands in operators. The operators themselves are read by the class that knows them all."""

    def operator(self) -> tree.Operator:
        """The operator that comes next, without the pipe before it."""
        raise NotImplementedError

    def named_list(self) -> list[tree.Named]:
        """``name = expression`` and the like, separated by commas."""
        return self.separated(self.named)

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
        return self.enclosed(self._column, ")")

    def columns_after_star(self) -> tuple[list[tuple[str, str]], bool]:
        """``(name:type, ...)`` or ``(*, name:type, ...)``, and whether the star is there."""
        self.expect("(")
        has_star = self.take_mark("*")
        if has_star and not self.is_mark(")"):
            self.expect(",")
        return self.enclosed(self._column, ")"), has_star

    def _column(self) -> tuple[str, str]:
        name = self.take().value if self.token.kind == "string" else self.name()
        self.expect(":")
        return name, self.type_name()

    def patterns(self) -> tuple[list[tree.Named], list[str]]:
        """Names of columns, and patterns of names; and the order after each, which may be empty."""
        patterns, orders = zip(*self.separated(self._ordered_pattern), strict=True)
        return list(patterns), list(orders)

    def _ordered_pattern(self) -> tuple[tree.Named, str]:
        pattern = tree.Named(self.at, [], self.pattern())
        return pattern, self.hyphenated() if self.is_word("asc", "desc", "granny") else ""

    def pattern(self) -> tree.Expression:
        """A name, or a pattern of names such as ``Target*``."""
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

    def order_keys(self) -> list[operators.OrderKey]:
        """``expression [asc | desc] [nulls first | nulls last]``, separated by commas."""
        return self.separated(self._order_key)

    def _order_key(self) -> operators.OrderKey:
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
        return operators.OrderKey(at, value, descending, nulls_first)

    def body(self) -> list[tree.Operator]:
        """Operators in parentheses, without a source."""
        self.enter()
        self.expect("(")
        found = [self.operator()]
        while self.take_mark("|"):
            found.append(self.operator())
        self.expect(")")
        self.leave()
        return found

    def expansions(self) -> list[operators.Expansion]:
        """``[name =] expression [to typeof(type)]``, separated by commas."""
        return self.separated(self._expansion)

    def _expansion(self) -> operators.Expansion:
        at, name = self.at, None
        if self._is_name_before("="):
            name = self.name()
            self.take()
        value = self.expression()
        kind = self.typeof() if self.take_word("to") else None
        return operators.Expansion(at, name, value, kind)

    def table_input(self) -> tree.Expression:
        """A table, or a pattern of the names of tables."""
        if self.token.kind == "name" and self.peek().value == "*" and not self.peek().spaced:
            return self.pattern()
        if self.is_mark("*"):
            return self.pattern()
        return self.postfix(self.primary())

    def at_operator_end(self) -> bool:
        """Whether nothing of the operator is left."""
        return self.token.kind == "end" or self.is_mark("|", ")", ";", "}") or self.token.blank
