"""What KQL has here and Spark cannot do: refused by name and position before anything runs."""

from __future__ import annotations

from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.syntax.parse import parse

_CHANCE = "another value each time that Spark computes it, which may be several times"
_ROW_BY_ROW = "each row depends on what was computed of the one before"
_FOR_EACH = "a query for each row of another"

#: Operators: why Spark cannot do them.
OPERATORS = {
    "partition": _FOR_EACH,
    "sample": _CHANCE,
    "scan": _ROW_BY_ROW,
}
#: Functions: why Spark cannot do them.
FUNCTIONS = {"rand": _CHANCE, "row_window_session": _ROW_BY_ROW}

_NODES = {
    operators.Partition: "partition",
    operators.Sample: "sample",
    operators.ScanSteps: "scan",
}


def refuse(text: str) -> None:
    """Raise KqlError at the first place of ``text`` that Spark cannot do."""
    try:
        query = parse(text)
    except (KqlError, RecursionError):
        return  # whoever translates it says what is wrong, and where
    for node in tree.walk(query):
        if type(node) in _NODES:
            name = _NODES[type(node)]
            raise unsupported(f"operator {name} on Spark", node.at, OPERATORS[name]).located(text)
        if isinstance(node, tree.Call) and node.name in FUNCTIONS:
            what = f"function {node.name} on Spark"
            raise unsupported(what, node.at, FUNCTIONS[node.name]).located(text)
