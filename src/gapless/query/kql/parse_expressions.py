"""Scalar expressions, by precedence (a Pratt parser)."""

from __future__ import annotations

from typing import Any

from gapless.query.kql import tree
from gapless.query.kql.cursor import CHAIN_MAX, Cursor
from gapless.query.kql.errors import KqlError
from gapless.query.kql.lexer import words
from gapless.query.kql.values import LONG_MAX, parse_datetime, parse_timespan

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
_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_TYPE_NAMES = {
    "bool": "bool",
    "boolean": "bool",
    "int": "int",
    "long": "long",
    "real": "real",
    "double": "real",
    "decimal": "decimal",
    "datetime": "datetime",
    "date": "datetime",
    "timespan": "timespan",
    "time": "timespan",
    "string": "string",
    "guid": "guid",
    "dynamic": "dynamic",
}


class ExpressionParser(Cursor):
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
        items = []
        while not self.is_mark(")"):
            items.append(self.pipeline())
            if not self.take_mark(","):
                break
        self.expect(")")
        return items

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
        return self.postfix(self._primary())

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

    def _primary(self) -> tree.Expression:
        token = self.token
        at = token.start
        if token.kind == "string":
            return self._string()
        if token.kind == "long":
            self.take()
            if int(token.value) > LONG_MAX:
                raise KqlError(f"{token.value} does not fit into 64 bits: use real()", at)
            return tree.Literal(at, "long", int(token.value))
        if token.kind == "real":
            self.take()
            return tree.Literal(at, "real", float(token.value))
        if token.kind == "span":
            self.take()
            return tree.Literal(at, "timespan", _valid(parse_timespan(token.value), token.value, at))
        if token.kind == "typed":
            self.take()
            return typed_literal(token.type, token.value, at)
        if token.kind == "mark" and token.value == "(":
            return self._parenthesized()
        if token.kind == "mark" and token.value == "[" and self.peek().kind == "string":
            return tree.Name(at, self.name())
        if token.kind == "mark" and token.value == "*":
            self.take()
            return tree.Wildcard(at, "*")
        if token.kind == "name":
            return self._name_or_call()
        raise self.surprise("a value")

    def _string(self) -> tree.Expression:
        at, parts = self.at, [self.take().value]
        while self.token.kind == "string" and not self.token.blank:
            parts.append(self.take().value)
        text = "".join(parts)
        if "\0" in text:
            raise KqlError("the string holds a NUL character: remove it", at)
        return tree.Literal(at, "string", text)

    def _parenthesized(self) -> tree.Expression:
        self.enter()
        self.take()
        inner = self.pipeline()
        self.expect(")")
        self.leave()
        return inner

    def _name_or_call(self) -> tree.Expression:
        at, name = self.at, self.token.value
        if name in _TRUTHS and self.peek().value != "(":
            self.take()
            return tree.Literal(at, "bool", _TRUTHS[name])
        if name == "null":
            raise KqlError("null needs a type: write int(null), dynamic(null), ...", at)
        following = self.peek()
        if name == "dynamic" and following.value == "(" and following.kind == "mark":
            self.take()
            self.take()
            value = self.dynamic_value()
            self.expect(")")
            return tree.Literal(at, "dynamic", value)
        if name == "typeof" and following.value == "(":
            return tree.Literal(at, "type", self.typeof())
        self.take()
        if self.is_mark("(") and not self.token.blank:
            return tree.Call(at, name, self.arguments())
        return tree.Name(at, name)

    def arguments(self) -> list[tree.Argument]:
        """The arguments of a call, in parentheses."""
        self.expect("(")
        found: list[tree.Argument] = []
        while not self.is_mark(")"):
            at, name = self.at, None
            if self.token.kind == "name" and self.peek().kind == "mark" and self.peek().value == "=":
                name = self.take().value
                self.take()
            found.append(tree.Argument(at, name, self.pipeline()))
            if not self.take_mark(","):
                break
        self.expect(")")
        return found

    def typeof(self) -> str:
        """The type in typeof(type)."""
        self.expect_word("typeof")
        self.expect("(")
        found = self.type_name()
        self.expect(")")
        return found

    def type_name(self) -> str:
        """The name of a scalar type."""
        at, name = self.at, self.name()
        if name not in _TYPE_NAMES:
            raise KqlError(
                f"{name} is no type: use one of {', '.join(sorted(set(_TYPE_NAMES.values())))}", at
            )
        return _TYPE_NAMES[name]

    def dynamic_value(self) -> Any:
        """What stands in dynamic(...): JSON, in which datetimes and timespans are texts."""
        self.enter()
        token = self.token
        try:
            if self.take_mark("["):
                return self._dynamic_array()
            if self.take_mark("{"):
                return self._dynamic_bag()
            negative = self.take_mark("-")
            literal = self._primary() if not self.is_word("null") else None
            if literal is None:
                self.take()
                return None
            if not isinstance(literal, tree.Literal) or literal.type not in (
                "string",
                "long",
                "real",
                "bool",
            ):
                raise KqlError(
                    "dynamic(...) holds JSON: an array, a bag, text, a number, true, false, null", token.start
                )
            return -literal.value if negative else literal.value
        finally:
            self.leave()

    def _dynamic_array(self) -> list[Any]:
        items = []
        while not self.is_mark("]"):
            items.append(self.dynamic_value())
            if not self.take_mark(","):
                break
        self.expect("]")
        return items

    def _dynamic_bag(self) -> dict[str, Any]:
        bag = {}
        while not self.is_mark("}"):
            key = self.take().value if self.token.kind == "string" else self.name()
            self.expect(":")
            bag[key] = self.dynamic_value()
            if not self.take_mark(","):
                break
        self.expect("}")
        return bag


def typed_literal(kind: str, text: str, at: int) -> tree.Literal:
    """The literal ``kind(text)``. Raises KqlError if the text is no value of that type."""
    if text == "null" or (text == "" and kind != "string"):
        return tree.Literal(at, kind, None)
    value: Any
    if kind == "datetime":
        if text == "now":
            raise KqlError("write now() instead of datetime(now)", at)
        value = parse_datetime(text)
    elif kind == "timespan":
        value = parse_timespan(text)
    elif kind == "bool":
        value = {"true": True, "false": False, "1": True, "0": False}.get(text.lower())
    elif kind == "guid":
        value = _guid(text)
    elif kind == "decimal":
        value = text if _is_number(text) else None
    else:
        value = _number(kind, text)
    return tree.Literal(at, kind, _valid(value, text, at))


def _valid(value: Any, text: str, at: int) -> Any:
    if value is None:
        raise KqlError(f"{text!r} is no value of that type", at)
    return value


def _guid(text: str) -> str | None:
    digits = text.lower().strip("{}").replace("-", "")
    if len(digits) != 32 or any(digit not in "0123456789abcdef" for digit in digits):
        return None
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _number(kind: str, text: str) -> int | float | None:
    if kind == "real":
        return float(text) if _is_number(text) else None
    try:
        number = int(text, 16 if text.lower().lstrip("+-").startswith("0x") else 10)
    except ValueError:
        return None
    bits = 31 if kind == "int" else 63
    return number if "_" not in text and -(1 << bits) <= number < 1 << bits else None
