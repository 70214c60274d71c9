"""What expressions ask of the binder of tables."""

from __future__ import annotations

from typing import Protocol

from gapless.query.kql.binding.context import Context, FunctionLet, Scope
from gapless.query.kql.relational.relation import Rows
from gapless.query.kql.relational.scalars import Scalar
from gapless.query.kql.syntax import tree


class Tabular(Protocol):
    """The binder of tables, as the binder of expressions sees it."""

    context: Context

    def is_tabular(self, node: tree.Expression, scope: Scope) -> bool:
        """Whether ``node`` gives a table."""
        ...

    def rows(self, node: tree.Expression, scope: Scope) -> Rows:
        """The table that ``node`` gives."""
        ...

    def piped(self, rows: Rows, steps: list[tree.Operator], scope: Scope) -> Rows:
        """``rows`` after the operators ``steps``."""
        ...

    def list_of(self, rows: Rows) -> Scalar:
        """The values of the first column, as a dynamic array."""
        ...

    def call_scalar(self, function: FunctionLet, call: tree.Call, scope: Scope) -> Scalar:
        """The value of a function given by let."""
        ...
