"""Scalar expressions, by precedence (a Pratt parser)."""

from __future__ import annotations

from gapless.query.kql.errors import KqlError
from gapless.query.kql.syntax import tree
from gapless.query.kql.syntax.cursor import CHAIN_MAX
from gapless.query.kql.syntax.lexer import words
from gapless.query.kql.syntax.parse_literals import LiteralParser
from gapless.query.kql.values.values import LONG_MAX

_COMPARISON = 3
_BINARY = {
    "or": 1,
    "and": 2,
    **dict.fromkeys(("==", "!=", "<>", "<", "<=", ">", ">=", "=~", "!~", ":"), _COMPARISON),
    "+": 4,
    "-": 4,
    "*": 5,
    "/": 5,
    "%": 5,
}
_WORD_OPERATORS = words(
    """
    has hasprefix hassuffix has_cs hasprefix_cs hassuffix_cs contains contains_cs startswith
    startswith_cs endswith endswith_cs like notlike
    """
)
_NEGATABLE = _WORD_OPERATORS - {"like", "notlike"} | {"between", "in", "in~"}
#: Older spellings of operators.
_OLDER = {"containscs": "contains_cs", "startswithcs": "startswith_cs", "notcontains": "!contains"}
_OLDER |= {"notcontainscs": "!contains_cs", "<>": "!="}


class ExpressionParser(LiteralParser):
    """Reads expressions. Pipelines in parentheses are read by the class that knows tabular operators."""

    def pipeline(self) -> tree.Expression:
        """A source with its operators, or a scalar expression."""
        raise NotImplementedError

    def expression(self, binding: int = 0) -> tree.Expression:
        """An expression of operators that bind more tightly than ``binding``."""
        self.enter()
        left = self._unary()
        length = 0
        while (operator := self._operator()) and operator[1] > binding:
            length += 1
            if length > CHAIN_MAX and operator[1] > 2:
                raise KqlError(f"the expression has more than {CHAIN_MAX} operands: make it shorter", self.at)
            left = self._continued(left, *operator)
        self.leave()
        return left

    def _operator(self) -> tuple[str, int, int] | None:
        """The operator that comes next, how tightly it binds, and of how many tokens it is."""
        token = self.token
        if token.kind == "mark":
            following = self.peek()
            if token.value == "!" and following.kind == "name" and not following.spaced:
                if following.value in _NEGATABLE:
                    return "!" + following.value, _COMPARISON, 2
                return None
            if token.value in _BINARY:
                return _OLDER.get(token.value, token.value), _BINARY[token.value], 1
            return None
        if token.kind != "name":
            return None
        word = _OLDER.get(token.value, token.value)
        if word in ("and", "or"):
            return word, _BINARY[word], 1
        if word == "matches" and self.peek().value == "regex":
            return "matches regex", _COMPARISON, 2
        if word.lstrip("!") in _WORD_OPERATORS | {"in", "in~", "between", "has_any", "has_all"}:
            return word, _COMPARISON, 1
        return None

    def _continued(self, left: tree.Expression, operator: str, binding: int, length: int) -> tree.Expression:
        at = self.at
        for _ in range(length):
            self.take()
        plain = operator.lstrip("!")
        if plain == "between":
            return self._between(left, at, operator.startswith("!"))
        if plain in ("in", "in~", "has_any", "has_all"):
            return tree.In(at, operator, left, self._items())
        right = self.expression(binding)
        if operator in ("and", "or"):
            if isinstance(left, tree.Logical) and left.operator == operator:
                left.operands.append(right)
                return left
            return tree.Logical(at, operator, [left, right])
        return tree.Binary(at, "has" if operator == ":" else operator, left, right)

    def _between(self, value: tree.Expression, at: int, negated: bool) -> tree.Expression:
        self.expect("(")
        low = self.expression()
        self.expect("..")
        high = self.expression()
        self.expect(")")
        return tree.Between(at, value, low, high, negated)

    def _items(self) -> list[tree.Expression]:
        if not self.is_mark("("):
            return [self.expression(_COMPARISON)]
        self.take()
        return self.enclosed(self.pipeline, ")")

    def _unary(self) -> tree.Expression:
        at = self.at
        if self.take_mark("-"):
            if self.token.kind == "long" and int(self.token.value) == LONG_MAX + 1:
                self.take()
                return tree.Literal(at, "long", -LONG_MAX - 1)
            self.enter()
            operand = self._unary()
            self.leave()
            return tree.Unary(at, operand)
        if self.take_mark("+"):
            self.enter()
            operand = self._unary()
            self.leave()
            return operand
        return self.postfix(self.primary())

    def postfix(self, value: tree.Expression) -> tree.Expression:
        """``value`` with the members and indexes that follow it."""
        length = 0
        while self.is_mark(".", "["):
            length += 1
            if length > CHAIN_MAX:
                raise KqlError(f"the path has more than {CHAIN_MAX} steps", self.at)
            at = self.at
            if self.take_mark(".") and not self.is_mark("["):
                value = tree.Member(at, value, self.name())
                if self.is_mark("(") and not self.token.spaced:
                    raise KqlError(
                        f"{value.name}(...) cannot stand after a dot: use tables by their names", at
                    )
            else:
                if self.token.blank:
                    break
                self.take()
                value = tree.Index(at, value, self.expression())
                self.expect("]")
        return value

    def primary(self) -> tree.Expression:
        """An expression without operators around it: a literal, a name, a call, what parentheses hold."""
        literal = self.literal()
        if literal is not None:
            return literal
        token = self.token
        if self.is_mark("("):
            return self._parenthesized()
        if self.is_mark("[") and self.peek().kind == "string":
            return tree.Name(token.start, self.name())
        if self.take_mark("*"):
            return tree.Wildcard(token.start, "*")
        if token.kind == "name":
            self.take()
            if self.is_mark("(") and not self.token.blank:
                return tree.Call(token.start, token.value, self.arguments())
            return tree.Name(token.start, token.value)
        raise self.surprise("a value")

    def _parenthesized(self) -> tree.Expression:
        self.enter()
        self.take()
        inner = self.pipeline()
        self.expect(")")
        self.leave()
        return inner

    def arguments(self) -> list[tree.Argument]:
        """The arguments of a call, in parentheses."""
        self.expect("(")
        return self.enclosed(self._argument, ")")

    def _argument(self) -> tree.Argument:
        at, name = self.at, None
        if self.token.kind == "name" and self.peek().kind == "mark" and self.peek().value == "=":
            name = self.take().value
            self.take()
        return tree.Argument(at, name, self.pipeline())
