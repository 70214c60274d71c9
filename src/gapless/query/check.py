"""Decides whether a query may run: one SELECT over the tables it is given, made only of what is allowed.

Nothing is skipped: each node of the syntax tree is visited, a kind of node that is not known has not even
decoded (``syntax``), and names are compared with lists of what is allowed (``allowed``). This is the first
wall; the engine's own lock (``sandbox``) and the process around it (``confine``) each stand without it.
"""

from __future__ import annotations

import difflib
import string
from collections.abc import Iterable, Mapping
from typing import NoReturn

import duckdb
import msgspec

from gapless.model.errors import Refused
from gapless.query import allowed
from gapless.query.parse import Parse, is_wrapped, parse, position
from gapless.query.syntax import (
    BaseTable,
    Collate,
    CommonTables,
    Function,
    Node,
    Plain,
    Query,
    RecursiveQuery,
    ShowTable,
    TableFunction,
    TypeName,
    Window,
    children,
)

_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_NAMES_SHOWN_MAX = 20


class Checked(msgspec.Struct, frozen=True):
    """A query that may run. ``subquery`` is its text as it may stand after FROM; ``tables`` are the exact
    names of the tables it reads."""

    subquery: str
    tables: tuple[str, ...]


def fold(name: str) -> str:
    """``name`` as the engine compares names: without the case of ASCII letters, and of those alone."""
    return name.translate(_ASCII_LOWER)


def check(connection: duckdb.DuckDBPyConnection, text: str, tables: Iterable[str]) -> Checked:
    """Check ``text`` against the names of the ``tables`` it may read.

    Raises Refused with a sentence that says what is not allowed, where, and what to use instead.
    """
    if "\0" in text:
        raise Refused("the query holds a NUL character: remove it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused("the query is not valid Unicode: remove the lone surrogate") from None
    parsed = parse(connection, text)
    if len(parsed.statements) != 1:
        raise Refused(f"a query is exactly one SELECT, but this text has {len(parsed.statements)} statements")
    visitor = _Visitor(text, _by_folded_name(tables))
    try:
        visitor.visit(parsed.statements[0], frozenset())
    except RecursionError:
        raise Refused("the query is nested too deeply: make it simpler") from None
    return Checked(_as_subquery(connection, text, parsed), tuple(sorted(visitor.tables)))


def _as_subquery(connection: duckdb.DuckDBPyConnection, text: str, checked: Parse) -> str:
    """``text`` in parentheses, which the parser has confirmed to mean there what was checked."""
    subquery = f"(\n{_before_semicolon(text)}\n)"
    if not is_wrapped(connection, checked, subquery):
        raise Refused("the query cannot stand in parentheses: write it as one plain SELECT")
    return subquery


def _before_semicolon(text: str) -> str:
    encoded = text.encode()
    for offset, kind in duckdb.tokenize(text):
        if kind == duckdb.token_type.operator and encoded[offset : offset + 1] == b";":
            return encoded[:offset].decode()
    return text


def _by_folded_name(tables: Iterable[str]) -> dict[str, list[str]]:
    known: dict[str, list[str]] = {}
    for name in tables:
        known.setdefault(fold(name), []).append(name)
    return known


class _Visitor:
    def __init__(self, text: str, known: Mapping[str, list[str]]) -> None:
        self.tables: set[str] = set()
        self._text = text
        self._known = known

    def visit(self, node: Node, in_scope: frozenset[str]) -> None:
        """Check ``node`` and all below it; ``in_scope`` are the folded names that WITH gave here."""
        match node:
            case BaseTable():
                self._table(node, in_scope)
            case TableFunction():
                self._table_function(node, in_scope)
                return
            case Function() | Window():
                self._function(node)
            case TypeName():
                self._type(node)
            case Collate(collation=name) if fold(name) not in allowed.COLLATIONS:
                self._refuse(node, f"the collation {name} is not allowed: use nocase or noaccent")
            case ShowTable(query=None):
                self._refuse(node, "SHOW is not allowed: use DESCRIBE with a table's name")
            case Query():
                self._query(node, in_scope)
                return
        for child in children(node):
            self.visit(child, in_scope)

    def _query(self, query: Query, in_scope: frozenset[str]) -> None:
        """Names given by WITH hold in what follows them: never in their own definition, unless that is
        recursive, and there in the second half only. The engine shows no fewer names than this."""
        for entry in query.cte_map.map:
            self.visit(entry.value, in_scope)
            in_scope |= {fold(entry.key)}
        inner = in_scope | {fold(query.cte_name)} if isinstance(query, RecursiveQuery) else in_scope
        for child in children(query):
            if not isinstance(child, CommonTables):
                recursive_half = isinstance(query, RecursiveQuery) and child is query.right
                self.visit(child, inner if recursive_half else in_scope)

    def _table(self, node: BaseTable, in_scope: frozenset[str]) -> None:
        name = node.table_name
        if node.schema_name or node.catalog_name or node.qualified_name.path != [name]:
            self._refuse(node, "schemas and catalogs are not allowed: write the table's name alone")
        if fold(name) in in_scope:
            return
        candidates = self._known.get(fold(name), [])
        exact = name if name in candidates else next(iter(candidates), None)
        if exact is None:
            self._refuse(node, f"there is no table {name}: {self._suggestion(name)}")
        if (name not in candidates and len(candidates) > 1) or self.tables.intersection(candidates) - {exact}:
            self._refuse(node, f"{' and '.join(candidates)} differ by case alone: name exactly one of them")
        self.tables.add(exact)

    def _suggestion(self, name: str) -> str:
        names = sorted(name for same in self._known.values() for name in same)
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.7)
        shown = ", ".join(close or names[:_NAMES_SHOWN_MAX]) or "none at all"
        return f"did you mean {shown}?" if close else f"the tables you can read are {shown}"

    def _table_function(self, node: TableFunction, in_scope: frozenset[str]) -> None:
        function = node.function
        self._unqualified(function)
        if fold(function.function_name) not in allowed.TABLE_FUNCTIONS:
            self._refuse(
                node,
                f"{function.function_name}(...) is not allowed after FROM: read tables by their names, "
                f"or use one of {', '.join(sorted(allowed.TABLE_FUNCTIONS))}",
            )
        for child in children(function):
            self.visit(child, in_scope)

    def _function(self, node: Function | Window) -> None:
        self._unqualified(node)
        name = fold(node.function_name)
        if name not in allowed.FUNCTIONS:
            close = difflib.get_close_matches(name, allowed.FUNCTIONS, n=3, cutoff=0.75)
            instead = f": did you mean {', '.join(close)}?" if close else ", or there is none of that name"
            self._refuse(node, f"the function {node.function_name} is not allowed{instead}")

    def _unqualified(self, node: Function | Window) -> None:
        if node.schema or node.catalog or node.qualified_name.path != [node.function_name]:
            name = node.function_name
            self._refuse(node, f"a name before .{name}(...) is not allowed: write {name}(value, ...)")

    def _type(self, node: TypeName) -> None:
        plain = not node.schema and not node.catalog and node.qualified_name.path == [node.type_name]
        if not plain or fold(node.type_name) not in allowed.TYPES:
            self._refuse(node, f"the type {node.type_name} is not allowed: use one of SQL's own types")

    def _refuse(self, node: Plain, what: str) -> NoReturn:
        raise Refused(f"{position(self._text, node.query_location)}: {what}")
