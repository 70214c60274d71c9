"""Tabular operators: what stands between pipes."""

from __future__ import annotations

from gapless.query.kql.errors import KqlError, suggestion, unsupported
from gapless.query.kql.syntax import parse_columns, parse_graphs, parse_rows, parse_tables, tree
from gapless.query.kql.syntax.lexer import words
from gapless.query.kql.syntax.parse_lists import ListParser

#: What reads the rest of an operator, by its name.
READERS = parse_rows.READERS | parse_tables.READERS | parse_columns.READERS | parse_graphs.READERS
_UNSUPPORTED = words(
    """
    fork facet top-hitters reduce consume find
    assert-schema macro-expand execute-and-cache
    """
)


class OperatorParser(ListParser):
    """Reads the operators of a pipeline."""

    def operator(self) -> tree.Operator:
        """The operator that comes next, without the pipe before it."""
        at, name = self.at, self.hyphenated()
        reader = READERS.get(name)
        if reader is not None:
            return reader(self, at)
        if name in _UNSUPPORTED:
            raise unsupported(f"operator {name}", at)
        raise KqlError(f"there is no operator {name}{suggestion(name, READERS)}", at)
