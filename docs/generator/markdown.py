"""Markdown, as the pages need it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def page(title: str, introduction: str, *sections: str) -> str:
    """A page that says that it is generated."""
    note = "*Written by `make docs` from the code: edit that, not this page.*"
    return "\n\n".join([f"# {title}", note, introduction, *sections]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells may hold any text."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def prose(text: str) -> str:
    """A docstring's text: paragraphs on one line each, names in single backquotes."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph).replace("``", "`")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")
