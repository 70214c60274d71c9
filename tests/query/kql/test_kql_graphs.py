"""Graphs: patterns, paths, components and tables, over small graphs whose answers can be seen."""

from __future__ import annotations

from typing import Any

import pytest
from kql_answers import rows, values

from gapless.query.computed.hashes import xxh64
from gapless.query.kql.errors import KqlError

EDGES = """let edges = datatable(a: string, b: string, w: long)[
    'x', 'y', 1, 'y', 'z', 2, 'z', 'x', 3, 'x', 'z', 4, 'v', 'v', 5];
"""
NODES = "let nodes = datatable(name: string, size: int)['x', 1, 'y', 2, 'z', int(null), 'lone', 9];\n"
MADE = EDGES + NODES + "edges | make-graph a --> b with nodes on name "
BARE = EDGES + "edges | make-graph a --> b with_node_id=id "


def found(query: str) -> list[list[Any]]:
    return sorted(rows(query), key=str)


def test_single_edges_in_each_direction() -> None:
    right = found(BARE + "| graph-match (n)-[e]->(m) project n.id, m.id, e.w")
    assert right == [["v", "v", 5], ["x", "y", 1], ["x", "z", 4], ["y", "z", 2], ["z", "x", 3]]
    left = found(BARE + "| graph-match (m)<-[e]-(n) project n.id, m.id, e.w")
    assert left == right
    either = found(BARE + "| graph-match (n)-[e]-(m) where n.id == 'x' project m.id, e.w")
    assert either == [["y", 1], ["z", 3], ["z", 4]]
    # An edge from a node to itself is there once, whichever way it is gone.
    assert found(BARE + "| graph-match (n)--(m) where n.id == 'v' project m.id") == [["v"]]


def test_columns_are_named_after_their_members() -> None:
    from kql_answers import result

    answer = result(BARE + "| graph-match (n)-[e]->(m) project n.id, e.w, w = e.w + 1, strlen(m.id)")
    assert [column.name for column in answer.columns] == ["n_id", "e_w", "w", "strlen_m_id"]


def test_properties_of_nodes_and_those_that_no_table_has() -> None:
    asked = "| graph-match (n)-[e]->(m) project node_id(n), n.name, n.size, e.w"
    assert found(MADE + asked) == [
        ["v", "", None, 5],
        ["x", "x", 1, 1],
        ["x", "x", 1, 4],
        ["y", "y", 2, 2],
        ["z", "z", None, 3],
    ]
    assert found(MADE + "| graph-match (n) where isnotempty(n.name) project n.name") == [
        ["lone"],
        ["x"],
        ["y"],
        ["z"],
    ]


def test_paths_do_not_use_an_edge_twice_unless_they_may() -> None:
    path = "(n)-[p*3..4]->(m) where n.id == 'x' project m.id, map(p, w)"
    assert found(f"{BARE} | graph-match {path}") == [
        ["x", [1, 2, 3]],
        ["y", [4, 3, 1]],
        ["z", [1, 2, 3, 4]],
        ["z", [4, 3, 1, 2]],
    ]
    assert found(f"{BARE} | graph-match cycles=none {path}") == []
    assert ["z", [4, 3, 4]] in found(f"{BARE} | graph-match cycles=all {path}")


def test_what_is_asked_of_paths() -> None:
    query = "| graph-match (n)-[p*0..2]->(m) where node_id(n) == 'x' and all(p, w < 4) "
    query += (
        "project m = node_id(m), any(p, w == 2), map(inner_nodes(p), size), map(inner_nodes(p), node_id())"
    )
    assert found(MADE + query) == [
        ["x", False, [], []],
        ["y", False, [], []],
        ["z", True, [2], ["y"]],
    ]


def test_a_chain_of_edges_and_a_node_that_comes_back() -> None:
    triangle = "| graph-match (n)-[e]->(m)-[f]->(k)-[g]->(n) project node_id(n), e.w, f.w, g.w"
    assert found(MADE + triangle) == [["x", 1, 2, 3], ["y", 2, 3, 1], ["z", 3, 1, 2]]


def test_shortest_paths() -> None:
    asked = "(n)-[p*1..4]->(m) where n.id == 'x' and m.id == 'z' project map(p, w)"
    assert rows(f"{BARE} | graph-shortest-paths {asked}") == [[[4]]]
    two = "let edges = datatable(a: string, b: string, w: long)['x','y',1,'x','q',2,'q','z',3,'y','z',4];\n"
    made = two + "edges | make-graph a --> b with_node_id=id | graph-shortest-paths "
    assert found(f"{made} output=all {asked}") == [[[1, 4]], [[2, 3]]]
    assert found(f"{made} {asked}") == [[[1, 4]]]


def test_components_and_tables() -> None:
    marked = found(
        MADE + "| graph-mark-components with_component_id=c | graph-to-table nodes | project-reorder c"
    )
    assert [(row[0], row[1]) for row in marked] == [(0, "x"), (0, "y"), (0, "z"), (1, ""), (2, "lone")]
    edges = rows(BARE + "| graph-to-table edges with_source_id=s")
    assert edges[0] == [xxh64(b"x"), "x", "y", 1]
    assert len(edges) == 5
    graph = BARE.replace("edges |", "let g = edges |") + ";\ng | graph-match (n)-->(m)-->(k) project k.id"
    assert len(rows(graph)) == 5


def test_no_edges() -> None:
    empty = "datatable(a: long, b: long)[] | make-graph a --> b "
    assert rows(empty + "| graph-match (n)-[e*1..3]->(m) project node_id(n), map(e, a)") == []
    assert rows(empty + "with_node_id=i | graph-mark-components | graph-to-table nodes") == []


@pytest.mark.parametrize(
    ("query", "what"),
    [
        (f"{BARE} | where true", "only an operator of graphs can follow a graph"),
        (BARE, "the query gives a graph"),
        (f"{EDGES} edges | graph-match (n)-->(m) project 1", "a graph is needed here"),
        (f"{EDGES} edges | make-graph a --> w", "must be of one type"),
        (f"{BARE} | graph-match (n)-[p*1..3]->(m) project p.w", "no column p|has no"),
        (
            f"{BARE} | graph-match (n)-[p*1..99]->(m) project 1",
            "a path of more than 16 edges is not supported",
        ),
        (f"{BARE} | graph-match (n)-->(m), (n)-->(k) project 1", "of several parts is not supported"),
        (f"{BARE} | graph-match (n)-[e]->(m) project map(e, w)", "needs an edge of variable length"),
    ],
)
def test_what_is_refused(query: str, what: str) -> None:
    with pytest.raises(KqlError, match=what):
        rows(query)


def test_hash() -> None:
    assert xxh64(b"") == -1205034819632174695
    assert values("hash('World')", "hash('Hello')", "hash('')", "hash(strrep('a', 40))") == [
        1846988464401551951,
        753694413698530628,
        xxh64(b""),
        xxh64(b"a" * 40),
    ]
    assert values("hash(datetime(2015-01-01))", "hash(datetime(null))") == [1380966698541616202, None]
    with pytest.raises(KqlError, match="a value of type dynamic is not supported"):
        values("hash(dynamic(['a']))")
