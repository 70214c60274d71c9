"""Literals: constants of each type, and names of types."""

from __future__ import annotations

from typing import Any

from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.syntax import tree
from gapless.query.kql.syntax.cursor import Cursor
from gapless.query.kql.values.values import (
    LONG_MAX,
    datetime_text,
    parse_datetime,
    parse_timespan,
    timespan_text,
)

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


class LiteralParser(Cursor):
    """Reads literals."""

    def literal(self) -> tree.Literal | None:
        """The literal that comes next; None if none does."""
        token = self.token
        at = token.start
        match token.kind:
            case "string":
                return self._string()
            case "long":
                self.take()
                if int(token.value) > LONG_MAX:
                    raise KqlError(f"{token.value} does not fit into 64 bits: use real()", at)
                return tree.Literal(at, "long", int(token.value))
            case "real":
                self.take()
                return tree.Literal(at, "real", float(token.value))
            case "span":
                self.take()
                return tree.Literal(at, "timespan", _valid(parse_timespan(token.value), token.value, at))
            case "typed":
                self.take()
                return typed_literal(token.type, token.value, at)
            case "name":
                return self._named_literal()
        return None

    def _named_literal(self) -> tree.Literal | None:
        at, name, following = self.at, self.token.value, self.peek()
        is_called = following.kind == "mark" and following.value == "("
        if name in _TRUTHS and not is_called:
            self.take()
            return tree.Literal(at, "bool", _TRUTHS[name])
        if name == "null":
            raise KqlError("null needs a type: write int(null), dynamic(null), ...", at)
        if name == "dynamic" and is_called:
            self.take()
            self.take()
            value = self._dynamic_value()
            self.expect(")")
            return tree.Literal(at, "dynamic", value)
        if name == "typeof" and is_called:
            return tree.Literal(at, "type", self.typeof())
        return None

    def _string(self) -> tree.Literal:
        at, parts = self.at, [self.take().value]
        while self.token.kind == "string" and not self.token.blank:
            parts.append(self.take().value)
        text = "".join(parts)
        if "\0" in text:
            raise KqlError("the string holds a NUL character: remove it", at)
        return tree.Literal(at, "string", text)

    def typeof(self) -> str:
        """The type in typeof(type)."""
        self.expect_word("typeof")
        self.expect("(")
        found = self.type_name()
        self.expect(")")
        return found

    def type_name(self) -> str:
        """The name of a scalar type. Raises KqlError for the one that this engine lacks, too."""
        at, name = self.at, self.name()
        if name not in _TYPE_NAMES:
            raise KqlError(
                f"{name} is no type: use one of {', '.join(sorted(set(_TYPE_NAMES.values())))}", at
            )
        if name == "decimal":
            raise unsupported("type decimal", at, "use real or long")
        return _TYPE_NAMES[name]

    def _dynamic_value(self) -> Any:
        """What stands in dynamic(...): JSON, and constants of the types that JSON can show."""
        self.enter()
        try:
            if self.take_mark("["):
                return self.enclosed(self._dynamic_value, "]")
            if self.take_mark("{"):
                return dict(self.enclosed(self._dynamic_member, "}"))
            if self.take_word("null"):
                return None
            at, is_negative = self.at, self.take_mark("-")
            literal = self.literal()
            if literal is None or (is_negative and literal.type not in ("long", "real")):
                raise KqlError(
                    "dynamic(...) holds JSON: an array, a bag, text, a number, true, false, null", at
                )
            return -literal.value if is_negative else _as_json(literal)
        finally:
            self.leave()

    def _dynamic_member(self) -> tuple[str, Any]:
        key = self.take().value if self.token.kind == "string" else self.name()
        self.expect(":")
        return key, self._dynamic_value()


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


def _as_json(literal: tree.Literal) -> Any:
    """A constant as JSON: times are texts."""
    if literal.value is None or literal.type not in ("datetime", "timespan"):
        return literal.value
    return datetime_text(literal.value) if literal.type == "datetime" else timespan_text(literal.value)
