"""What geometries have in common, and what they are together.

Edges are cut where they cross, pieces are chosen by which side of the other geometry they are on, and joined
to rings and lines again. Where a vertex of one lies on an edge of the other, or borders run against each
other, the answer would hang on rounding, or has no published form: that is refused.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from gapless.query.computed.edges import Edges
from gapless.query.computed.geojson import Lines, Polygons, Ring, geometry_text, inside, ring_area
from gapless.query.computed.rings import Piece, rings_of
from gapless.query.computed.s2_grid import leaf
from gapless.query.computed.sphere import Vector, added, angle, crossing_point, to_degrees, unit


def _cut(one: Edges, other: Edges, first_id: int = 0) -> tuple[list[Piece], list[Piece]]:
    """The edges of both, cut where they cross; each piece knows the place of its edge in the two lists, one
    after the other. Raises ValueError where rounding decides whether they do."""
    if one.has_end_within(other) or other.has_end_within(one):
        raise ValueError("geometries whose vertices lie on each other's edges are not supported")
    cuts: dict[int, list[Vector]] = {}
    for place, there in one.crossings(other):
        point = crossing_point(*one.pairs[place], *other.pairs[there])
        cuts.setdefault(place, []).append(point)
        cuts.setdefault(len(one.pairs) + there, []).append(point)
    pieces = []
    for number, (start, end) in enumerate((*one.pairs, *other.pairs)):
        stops = sorted(cuts.get(number, []), key=lambda point: angle(start, point))
        pieces.append([Piece(a, b, number) for a, b in pairwise((start, *stops, end)) if a != b])
    half = len(one.pairs)
    return [p for each in pieces[:half] for p in each], [p for each in pieces[half:] for p in each]


def _ways(pieces: Iterable[Piece]) -> set[tuple[Vector, Vector]]:
    return {(piece.start, piece.end) for piece in pieces}


def _middle(piece: Piece) -> Vector:
    return unit(added(piece.start, piece.end))


def _vertices(edges: Iterable[tuple[Vector, Vector]]) -> set[Vector]:
    return {point for edge in edges for point in edge}


# Polygons ---------------------------------------------------------------------------------------------------


def _chosen(a: Polygons, b: Polygons, within: bool) -> list[Piece]:
    """The pieces of both borders that are within the other polygon, or outside of it; those that both have
    once."""
    one, other = _cut(a.edges, b.edges)
    ways, other_ways = _ways(one), _ways(other)
    against = {(end, start) for start, end in ways} & other_ways
    if against and within:
        raise ValueError("the intersection of polygons with a border in common is not supported")
    chosen = [p for p in one if (p.start, p.end) in other_ways]
    for pieces, others, polygons in ((one, other_ways, b), (other, ways, a)):
        for piece in pieces:
            way = piece.start, piece.end
            if way not in others and way[::-1] not in others and inside(_middle(piece), polygons) == within:
                chosen.append(piece)
    return sorted(chosen, key=lambda piece: piece.number)


def common_polygons(a: Polygons, b: Polygons) -> str:
    """The intersection of polygons, as GeoJSON: with the points at which they only touch."""
    pieces = _chosen(a, b, within=True)
    shared = _vertices(a.edges.pairs) & _vertices(b.edges.pairs)
    points = sorted(shared - {piece.start for piece in pieces}, key=leaf)
    polygons = _nested(rings_of(pieces))
    geometries = [_points(points)] if points else []
    return _collected([*geometries, *([_polygons(polygons)] if polygons else [])])


def united(polygons: Sequence[Polygons]) -> Polygons:
    """The union of polygons: always of the two next that were made of the fewest vertices."""
    waiting = [(sum(map(len, each.rings())), number, each) for number, each in enumerate(polygons)]
    heapq.heapify(waiting)
    for number in range(len(polygons), 2 * len(polygons) - 1):
        (size, _, a), (other_size, _, b) = heapq.heappop(waiting), heapq.heappop(waiting)
        made = Polygons(tuple(_nested(rings_of(_chosen(a, b, within=False)))))
        heapq.heappush(waiting, (size + other_size, number, made))
    return waiting[0][2]


def polygons_text(polygons: Polygons) -> str:
    """Polygons as GeoJSON."""
    return geometry_text(_polygons(polygons.parts))


def _nested(rings: Sequence[Ring]) -> list[tuple[Ring, ...]]:
    """Each shell with its holes."""
    shells = [ring for ring in rings if ring_area(ring) > 0]
    parts: list[list[Ring]] = [[shell] for shell in shells]
    for hole in rings:
        if ring_area(hole) > 0:
            continue
        around = [
            part for part in parts if inside(_middle(Piece(hole[0], hole[1], 0)), Polygons(((part[0],),)))
        ]
        if len(around) != 1:
            raise ValueError("polygons whose union is nested this way are not supported")
        around[0].append(hole)
    return [tuple(part) for part in parts]


# Lines ------------------------------------------------------------------------------------------------------


def common_lines(a: Lines, b: Lines) -> str:
    """The intersection of lines, as GeoJSON: points, and the edges that both have."""
    one, other = _cut(a.edges, b.edges)
    ways = _ways(other)
    both = ways | {(end, start) for start, end in ways}
    chains = _chains([piece for piece in one if (piece.start, piece.end) in both])
    met = _vertices(_ways(one)) & _vertices(ways)
    points = sorted(met - {point for chain in chains for point in chain}, key=leaf)
    geometries = [_points(points)] if points else []
    return _collected([*geometries, *([_lines(chains)] if chains else [])])


def common_lines_and_polygons(a: Lines, b: Polygons) -> str:
    """The parts of lines that are in polygons, as GeoJSON."""
    one, other = _cut(a.edges, b.edges)
    ways = _ways(other)
    if any((p.start, p.end) in ways or (p.end, p.start) in ways for p in one):
        raise ValueError("the intersection of a line with a polygon on whose border it runs is not supported")
    chains = _chains([piece for piece in one if inside(_middle(piece), b)])
    met = _vertices(_ways(one)) & _vertices(ways)
    points = sorted(met - {point for chain in chains for point in chain}, key=leaf)
    geometries = [_points(points)] if points else []
    return _collected([*geometries, *([_lines(chains)] if chains else [])])


def _chains(pieces: Sequence[Piece]) -> list[list[Vector]]:
    """Pieces that follow each other, as lines."""
    chains: list[list[Vector]] = []
    for piece in pieces:
        if chains and chains[-1][-1] == piece.start:
            chains[-1].append(piece.end)
        else:
            chains.append([piece.start, piece.end])
    return chains


def united_lines(lines: Sequence[Lines]) -> str:
    """The union of lines, as GeoJSON. Raises ValueError where they cross or branch."""
    edges: dict[frozenset[Vector], tuple[Vector, Vector]] = {}
    seen: list[Edges] = []
    for each in lines:
        if any(_cross(each.edges, other) for other in seen):
            raise ValueError("the union of lines that cross is not supported")
        seen.append(each.edges)
        for edge in each.edges.pairs:
            edges.setdefault(frozenset(edge), edge)
    following: dict[Vector, Vector] = {}
    for start, end in edges.values():
        if start in following:
            raise ValueError("the union of lines that branch is not supported")
        following[start] = end
    if len(set(following.values())) < len(following):
        raise ValueError("the union of lines that run together is not supported")
    chains = []
    for begin in [point for point in following if point not in set(following.values())]:
        chain = [begin]
        while chain[-1] in following:
            chain.append(following.pop(chain[-1]))
        chains.append(chain)
    if following:
        raise ValueError("the union of lines that close a ring is not supported")
    return geometry_text(_lines(chains))


def _cross(one: Edges, other: Edges) -> bool:
    unsure = one.has_end_within(other) or other.has_end_within(one)
    return unsure or next(one.crossings(other), None) is not None


# GeoJSON ----------------------------------------------------------------------------------------------------


def _points(points: Sequence[Vector]) -> dict[str, Any]:
    return _one_or_many("Point", [to_degrees(point) for point in points])


def _lines(chains: Sequence[Sequence[Vector]]) -> dict[str, Any]:
    return _one_or_many("LineString", [[to_degrees(point) for point in chain] for chain in chains])


def _polygons(parts: Sequence[Sequence[Ring]]) -> dict[str, Any]:
    closed = [[[to_degrees(point) for point in (*ring, ring[0])] for ring in part] for part in parts]
    return _one_or_many("Polygon", closed)


def _one_or_many(kind: str, found: Sequence[Any]) -> dict[str, Any]:
    if len(found) == 1:
        return {"type": kind, "coordinates": found[0]}
    return {"type": f"Multi{kind}", "coordinates": found}


def _collected(geometries: Sequence[dict[str, Any]]) -> str:
    if len(geometries) == 1:
        return geometry_text(geometries[0])
    return geometry_text({"type": "GeometryCollection", "geometries": geometries})
