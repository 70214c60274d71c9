"""What commands print: data to standard output, words to standard error.

Whoever reads standard output may have enough of it (``| head``): that is no failure, and no reason to end
with another exit code.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from rich.console import Console, RenderableType
from rich.text import Text

#: Unicode's categories of what a terminal would act upon instead of showing: controls, formats (among them
#: the marks that turn the direction of text), surrogates, line and paragraph separators.
_UNSHOWABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

#: Wide enough for every table: where the output is no terminal, no line is folded.
_WIDTH_ELSEWHERE = 100_000


def write(data: bytes) -> bool:
    """Put bytes on standard output, at once. False: nobody reads there any more, so stop.

    Raises OSError if the system does not take them; then nothing more is tried.
    """
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        drop_output()
        if isinstance(error, BrokenPipeError):
            return False
        raise
    return True


def draw(*parts: RenderableType) -> None:
    """Print for people, with the terminal's colours if it has them. Lines of text are left for the terminal
    to wrap, so that what is copied from it is whole."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_ELSEWHERE, highlight=False, markup=False)
    with console.capture() as captured:
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, (str, Text)))
    lines = (line.rstrip(" ") for line in captured.get().split("\n"))
    write("\n".join(lines).encode(sys.stdout.encoding, "backslashreplace"))


def fields(named: Iterable[tuple[str, Text]]) -> Iterator[Text]:
    """Lines of names and values, for ``draw``."""
    lines = list(named)
    width = max((len(name) for name, _ in lines), default=0)
    for name, value in lines:
        yield Text.assemble((name.ljust(width), "bold"), "  ", value)


def utc(at_us: int) -> str:
    """A time for people, to the second."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def terminal_columns() -> int:
    """How wide a line may be; where the output is no terminal, as wide as it likes."""
    return Console().width if sys.stdout.isatty() else _WIDTH_ELSEWHERE


def say(sentences: Iterable[str]) -> None:
    """Print words, a sentence a line."""
    for sentence in sentences:
        print(printable(sentence), file=sys.stderr)


def printable(text: str) -> str:
    """``text`` with what could do a terminal harm shown as its code point."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\\u{{{ord(letter):x}}}" if unicodedata.category(letter) in _UNSHOWABLE else letter
        for letter in text
    )


def drop_output() -> None:
    """Let what is still buffered go nowhere, so that the interpreter does not fail at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
