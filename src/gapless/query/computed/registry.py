"""Which functions Python computes, and how the engine comes to know those that a query names.

A function gets what the engine has, None for NULL, and gives a value or None. It raises ValueError, with a
sentence that says what to do, for what it does not answer; the query is refused with that sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import duckdb
from duckdb.func import FunctionNullHandling

from gapless.query.computed import (
    cells_h3,
    cells_s2,
    components,
    decomposition,
    distributions,
    hashes,
    lines,
    polygons,
    texts,
    trees,
)


@dataclass(frozen=True, slots=True)
class Computed:
    """A function and the engine's types of its parameters and of its value. All arguments are given."""

    compute: Callable[..., Any]
    parameters: tuple[str, ...]
    result: str


_TYPES = {"text": "VARCHAR", "number": "DOUBLE", "whole": "BIGINT", "truth": "BOOLEAN"}


def _functions(module: Any) -> dict[str, Computed]:
    found = {}
    for signature, compute in module.FUNCTIONS.items():
        name, parameters, result = re.fullmatch(r"(\w+)\((.*)\) (\w+)", signature).groups()  # type: ignore[union-attr]
        kinds = tuple(_TYPES[each] for each in parameters.split(", "))
        found[name] = Computed(compute, kinds, _TYPES[result])
    return found


#: All computed functions by the names that they have in SQL.
COMPUTED: dict[str, Computed] = {
    name: function
    for module in (
        lines,
        polygons,
        cells_h3,
        cells_s2,
        hashes,
        components,
        decomposition,
        distributions,
        texts,
        trees,
    )
    for name, function in _functions(module).items()
}
_NAMES = re.compile(rf"\b(?:{'|'.join(COMPUTED)})(?=\()", re.IGNORECASE)


def register(connection: duckdb.DuckDBPyConnection, sql: str, known: set[str]) -> None:
    """Have the engine know the functions that ``sql`` calls and that are not in ``known`` yet."""
    for name in {found.lower() for found in _NAMES.findall(sql)} - known:
        function = COMPUTED[name]
        connection.complete()  # what was asked before
        connection.create_function(
            name,
            function.compute,
            list(function.parameters),
            function.result,
            null_handling=FunctionNullHandling.SPECIAL,
        )
        known.add(name)
