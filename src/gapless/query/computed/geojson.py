"""Geometries as GeoJSON: points, lines and polygons, checked and as points on the sphere.

A polygon's rings must not cross one another or themselves, touch along an edge, or come to a vertex twice.
Of the two parts into which a ring divides the sphere its polygon has the smaller one, whichever way the ring
goes around it; a hole is what a ring within another leaves out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import msgspec

from gapless.query.computed.edges import Edge, Edges
from gapless.query.computed.sphere import (
    Vector,
    added,
    angle,
    between,
    dot,
    from_degrees,
    normal,
    scaled,
    to_degrees,
    triangle_area,
    unit,
)

#: Polygons of more vertices than this are refused: the check of their borders looks at pairs of edges.
_VERTICES_MAX = 20_000
#: How many geometries stay read: often one is compared with many rows.
KEPT = 64
#: Points are opposite if the cosine between them is so close to -1.
_OPPOSITE = 1e-14

Ring = tuple[Vector, ...]
#: A point that is inside is found so far beside an edge, in radians, at a place where nothing else is likely.
_BESIDE, _ALONG = 1e-11, 0.4567
#: Points nearer than this have the shortest way between them nearer, too.
_QUARTER = math.pi / 2 - 1e-9


@dataclass(frozen=True)
class Lines:
    """Lines of two points or more."""

    lines: tuple[Ring, ...]

    @cached_property
    def edges(self) -> Edges:
        return Edges([edge for line in self.lines for edge in pairwise(line)])


@dataclass(frozen=True)
class Polygons:
    """The rings of polygons, without the repeated first vertex: a shell is counterclockwise, a hole is
    clockwise, so that the inside is to the left of each edge. ``parts``: a polygon's shell and its holes."""

    parts: tuple[tuple[Ring, ...], ...]

    @cached_property
    def edges(self) -> Edges:
        return Edges([edge for ring in self.rings() for edge in pairwise((*ring, ring[0]))])

    @cached_property
    def vertices(self) -> frozenset[Vector]:
        return frozenset(point for ring in self.rings() for point in ring)

    @cached_property
    def cap(self) -> tuple[Vector, float]:
        """A point, and how far from it all is, in radians; a whole turn where that is not less than a
        quarter, as then what is beside may be inside."""
        total = (0.0, 0.0, 0.0)
        for point in self.vertices:
            total = added(total, point)
        if not any(total):
            return (1.0, 0.0, 0.0), math.tau
        center = unit(total)
        radius = max(angle(center, point) for point in self.vertices)
        return center, radius if radius < _QUARTER else math.tau

    @cached_property
    def within(self) -> Vector:
        """A point inside."""
        a, b = self.edges.pairs[0]
        return unit(added(between(a, b, _ALONG), scaled(unit(normal(a, b)), _BESIDE)))

    def rings(self) -> Iterator[Ring]:
        for part in self.parts:
            yield from part


def point_text(point: Vector) -> str:
    """A point as GeoJSON."""
    return geometry_text({"type": "Point", "coordinates": to_degrees(point)})


def geometry_text(geometry: dict[str, Any]) -> str:
    """A geometry as GeoJSON: whole numbers without a fraction."""
    return msgspec.json.encode(_whole(geometry)).decode()


def _whole(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, list | tuple) else value


def read_point(longitude: float | None, latitude: float | None) -> Vector | None:
    """The point at a longitude and latitude; None where there is none such."""
    if longitude is None or latitude is None or not _on_earth(longitude, latitude):
        return None
    return from_degrees(longitude, latitude)


@lru_cache(maxsize=KEPT)
def read_lines(text: str | None) -> Lines | None:
    """The lines of a LineString or MultiLineString; None for what is none."""
    kind, coordinates = _decoded(text)
    if kind == "LineString":
        coordinates = [coordinates]
    elif kind != "MultiLineString":
        return None
    if not isinstance(coordinates, list) or not coordinates:
        return None
    lines = [_positions(each) for each in coordinates]
    valid = all(line is not None and len(line) > 1 and _all_apart(line, pairwise(line)) for line in lines)
    return Lines(tuple(line for line in lines if line)) if valid else None


def read_parts(text: str | None) -> list[Polygons] | None:
    """Each polygon of a Polygon or MultiPolygon by itself; None for what is none."""
    kind, coordinates = _decoded(text)
    if kind == "Polygon":
        coordinates = [coordinates]
    elif kind != "MultiPolygon":
        return None
    if not isinstance(coordinates, list) or not coordinates:
        return None
    found = []
    for each in coordinates:
        part = _polygon(each)
        if part is None or _borders_meet(polygon := Polygons((part,))):
            return None
        found.append(polygon)
    return found


def _decoded(text: str | None) -> tuple[str, Any]:
    """Type and coordinates of a geometry."""
    if text is None:
        return "", None
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return "", None
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return "", None
    return value["type"], value.get("coordinates")


def _on_earth(longitude: Any, latitude: Any) -> bool:
    numbers = isinstance(longitude, int | float) and isinstance(latitude, int | float)
    return numbers and -180 <= longitude <= 180 and -90 <= latitude <= 90


def _positions(value: Any) -> Ring | None:
    """The points of an array of positions."""
    if not isinstance(value, list):
        return None
    points = []
    for each in value:
        if not isinstance(each, list) or len(each) < 2 or not _on_earth(each[0], each[1]):
            return None
        points.append(from_degrees(each[0], each[1]))
    return tuple(points)


def _all_apart(points: Ring, edges: Iterator[Edge]) -> bool:
    """Whether each edge goes somewhere, and not to the point opposite."""
    return all(a != b and dot(a, b) > -1 + _OPPOSITE for a, b in edges)


def _polygon(value: Any) -> tuple[Ring, ...] | None:
    """A shell and its holes."""
    if not isinstance(value, list) or not value:
        return None
    rings = []
    for place, each in enumerate(value):
        ring = _ring(each)
        if ring is None:
            return None
        if (ring_area(ring) < 0) != (place > 0):
            ring = ring[::-1]
        rings.append(ring)
    return tuple(rings)


def _ring(value: Any) -> Ring | None:
    points = _positions(value)
    if points is None or len(points) < 4 or points[0] != points[-1]:
        return None
    ring = points[:-1]
    return ring if len(set(ring)) == len(ring) and _all_apart(ring, pairwise(points)) else None


def ring_area(ring: Sequence[Vector]) -> float:
    """The area of the smaller part into which a ring divides the sphere, in steradians: positive if it is to
    the left of the ring."""
    area = math.fsum(triangle_area(ring[0], a, b) for a, b in pairwise(ring[1:]))
    return math.remainder(area, 4 * math.pi)


def _borders_meet(rings: Polygons) -> bool:
    """Whether an edge crosses another one, or is there twice, in either direction."""
    pairs = rings.edges.pairs
    if len(pairs) > _VERTICES_MAX:
        raise ValueError(f"a polygon may have {_VERTICES_MAX} vertices at most")
    ways = {frozenset(edge) for edge in pairs}
    return len(ways) < len(pairs) or next(rings.edges.crossings(rings.edges), None) is not None


def inside(point: Vector, polygons: Polygons) -> bool:
    """Whether a point is in polygons; so are their vertices."""
    if point in polygons.vertices:
        return True
    # A way from a point that is inside crosses the border an even number of times if it ends inside.
    way = Edges([(polygons.within, point)])
    return sum(1 for _ in way.crossings(polygons.edges)) % 2 == 0
