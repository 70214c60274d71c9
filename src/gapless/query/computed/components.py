"""The components of a graph: which nodes edges join, in whatever direction."""

from __future__ import annotations

from typing import Any

import msgspec


def _components(nodes: int | None, pairs: str | None) -> str | None:
    """For ``nodes`` nodes, and pairs of their places from 0 on as JSON: each place with its component, as
    JSON. Components are numbered in the order of their first nodes."""
    if nodes is None or pairs is None:
        return None
    above = list(range(nodes))

    def top(node: int) -> int:
        while above[node] != node:
            above[node] = above[above[node]]
            node = above[node]
        return node

    for one, other in msgspec.json.decode(pairs, type=list[tuple[int, int]]):
        ends = sorted((top(one), top(other)))
        above[ends[1]] = ends[0]
    numbers: dict[int, int] = {}
    found = [(node, numbers.setdefault(top(node), len(numbers))) for node in range(nodes)]
    return msgspec.json.encode(found).decode()


FUNCTIONS: dict[str, Any] = {"graph_components(whole, text) text": _components}
