"""A place in a list of tokens, and what parsers ask of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gapless.query.kql.errors import KqlError
from gapless.query.kql.syntax.lexer import Token, tokens

T = TypeVar("T")

#: How deeply expressions, pipelines and functions may stand in each other.
NESTING_MAX = 60
#: How many operands a chain such as a + b + c may have.
CHAIN_MAX = 250


class Cursor:
    """Reads tokens one after the other."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokens(text)
        self._index = 0
        self._depth = 0

    @property
    def token(self) -> Token:
        """The token that comes next."""
        return self._tokens[self._index]

    @property
    def at(self) -> int:
        """Where the next token begins."""
        return self._tokens[self._index].start

    def words(self) -> frozenset[str]:
        """All names of the text."""
        return frozenset(token.value for token in self._tokens if token.kind == "name")

    def peek(self, ahead: int = 1) -> Token:
        """The token ``ahead`` of the next one."""
        return self._tokens[min(self._index + ahead, len(self._tokens) - 1)]

    def take(self) -> Token:
        """The next token, which is then behind."""
        token = self._tokens[self._index]
        if token.kind != "end":
            self._index += 1
        return token

    def is_mark(self, *marks: str) -> bool:
        """Whether one of ``marks`` comes next."""
        token = self.token
        return token.kind == "mark" and token.value in marks

    def is_word(self, *words: str) -> bool:
        """Whether one of ``words`` comes next."""
        token = self.token
        return token.kind == "name" and token.value in words

    def take_mark(self, mark: str) -> bool:
        """Whether ``mark`` came next; it is then behind."""
        if found := self.is_mark(mark):
            self._index += 1
        return found

    def take_word(self, word: str) -> bool:
        """Whether ``word`` came next; it is then behind."""
        if found := self.is_word(word):
            self._index += 1
        return found

    def expect(self, mark: str) -> Token:
        """The token of ``mark``. Raises KqlError if something else comes next."""
        if not self.is_mark(mark):
            raise self.surprise(f"{mark!r}")
        return self.take()

    def expect_word(self, word: str) -> Token:
        """The token of ``word``. Raises KqlError if something else comes next."""
        if not self.is_word(word):
            raise self.surprise(f"{word!r}")
        return self.take()

    def name(self) -> str:
        """A name, plain or as ['any text']. Raises KqlError if none comes next."""
        if self.is_mark("[") and self.peek().kind == "string" and self.peek(2).value == "]":
            self.take()
            name = self.take().value
            self.take()
            return name
        if self.token.kind != "name":
            raise self.surprise("a name")
        return self.take().value

    def separated(self, each: Callable[[], T]) -> list[T]:
        """What ``each`` reads, once or more, with commas between."""
        found = [each()]
        while self.take_mark(","):
            found.append(each())
        return found

    def enclosed(self, each: Callable[[], T], close: str) -> list[T]:
        """What ``each`` reads up to the mark ``close``, with commas between; one may stand after the last."""
        found = []
        while not self.is_mark(close):
            found.append(each())
            if not self.take_mark(","):
                break
        self.expect(close)
        return found

    def hyphenated(self) -> str:
        """A word such as mv-expand."""
        word = self.name()
        while self.is_mark("-") and not self.token.spaced and not self.peek().spaced:
            if self.peek().kind != "name":
                break
            self.take()
            word += "-" + self.take().value
        return word

    def surprise(self, wanted: str) -> KqlError:
        """The error that something else than ``wanted`` comes next."""
        token = self.token
        found = "the text ends" if token.kind == "end" else f"there is {self.text[token.start : token.end]!r}"
        return KqlError(f"{found} where {wanted} is needed", token.start)

    def enter(self) -> None:
        """Go one level deeper. Raises KqlError beyond ``NESTING_MAX``."""
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise KqlError(f"the query is nested more than {NESTING_MAX} levels deep: use let", self.at)

    def leave(self) -> None:
        """Come back from ``enter``."""
        self._depth -= 1
