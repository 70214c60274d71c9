"""Text to tokens. One pass, one regular expression, linear in the text."""

from __future__ import annotations

import re
from typing import NamedTuple

from gapless.query.kql.errors import KqlError
from gapless.query.kql.values.values import SPAN_UNITS

#: Names that stand before a literal in parentheses, and the type that the literal has.
LITERAL_TYPES = {
    "datetime": "datetime",
    "date": "datetime",
    "timespan": "timespan",
    "time": "timespan",
    "guid": "guid",
    "long": "long",
    "int": "int",
    "real": "real",
    "double": "real",
    "bool": "bool",
    "boolean": "bool",
    "decimal": "decimal",
}


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


class Token(NamedTuple):
    """``kind``: name, string, long, real, span, typed (``type(text)``), mark, end. ``value`` is a string's
    content, a typed literal's text, or the text itself. ``spaced``: white space stands before it; ``blank``:
    an empty line does."""

    kind: str
    value: str
    start: int
    end: int
    spaced: bool
    blank: bool
    type: str = ""


_TOKEN = re.compile(
    rf"""
    (?P<space>(?:\s+|//[^\n]*)+)
  | (?P<block>```.*?```|~~~.*?~~~)
  | (?P<string>[hH]?(?:@"(?:[^"]|"")*"|@'(?:[^']|'')*'|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
  | (?P<hex>0[xX][0-9a-fA-F]+)
  | (?P<span>\d+(?:\.\d+)?{SPAN_UNITS}\b)
  | (?P<real>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+\.(?![.\w]))
  | (?P<long>\d+(?![A-Za-z_]))
  | (?P<name>!?(?:in~|has_any|has_all)(?!\w)|[A-Za-z_$][\w$]*|\d+\w*[A-Za-z_]\w*)
  | (?P<mark>\.\.|==|!=|=~|!~|<=|>=|<>|=>|[-+*/%=<>!~()\[\]{{}},;:.|@?&^#])
    """,
    re.VERBOSE | re.DOTALL,
)
_LITERAL = re.compile(r"\s*\(\s*(?P<quoted>\"[^\"\n]*\"|'[^'\n]*')?(?P<text>[^()\n]*)\)")
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "\\": "\\",
    '"': '"',
    "'": "'",
    "/": "/",
}


def tokens(text: str) -> list[Token]:
    """The tokens of ``text``, with one of kind "end" last. Raises KqlError at what is none."""
    found: list[Token] = []
    at, spaced, blank = 0, False, False
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _no_token(text, at)
        kind = match.lastgroup or ""
        raw, end = match.group(), match.end()
        if kind == "space":
            spaced, blank = True, blank or _BLANK_LINE.search(raw) is not None
            at = end
            continue
        token = _token(text, kind, raw, at, end, spaced, blank)
        found.append(token)
        at, spaced, blank = token.end, False, False
    found.append(Token("end", "", len(text), len(text), spaced, blank))
    return found


def _token(text: str, kind: str, raw: str, at: int, end: int, spaced: bool, blank: bool) -> Token:
    if kind == "string":
        return Token("string", _unquoted(raw, at), at, end, spaced, blank)
    if kind == "block":
        return Token("string", raw[3:-3], at, end, spaced, blank)
    if kind == "hex":
        return Token("long", str(int(raw, 16)), at, end, spaced, blank)
    if kind == "name" and raw in LITERAL_TYPES and (literal := _LITERAL.match(text, end)):
        value = (literal["quoted"] or literal["text"]).strip()
        if literal["quoted"] and literal["text"].strip():
            raise KqlError(f"this is no literal of type {raw}", at)
        return Token("typed", value, at, literal.end(), spaced, blank, LITERAL_TYPES[raw])
    return Token(kind, raw, at, end, spaced, blank)


def _unquoted(raw: str, at: int) -> str:
    body = raw.lstrip("hH")
    if body.startswith("@"):
        return body[2:-1].replace(body[1] * 2, body[1])

    def character(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "uUx" and len(code) > 1:
            number = int(code[1:], 16)
        elif code[0] in "01234567":
            number = int(code, 8)
        elif code in _ESCAPES:
            return _ESCAPES[code]
        else:
            raise KqlError(f"\\{code} is no escape in a string: write \\\\{code}, or @ before the string", at)
        if number > 0x10FFFF:
            raise KqlError(f"\\{code} is no character", at)
        return chr(number)

    plain = _ESCAPE.sub(character, body[1:-1])
    # Characters outside the basic plane may be written as two escapes of UTF-16.
    try:
        return plain.encode("utf-16", "surrogatepass").decode("utf-16") if not plain.isascii() else plain
    except UnicodeDecodeError:
        raise KqlError("the string holds a lone surrogate: remove it", at) from None


def _no_token(text: str, at: int) -> KqlError:
    if text[at] in "\"'":
        return KqlError("the string has no end on its line: close it, or put @ before a string of lines", at)
    return KqlError(f"{text[at]!r} means nothing here", at)
