"""Polygons as functions take them: the polygons of a MultiPolygon are what they are together."""

from __future__ import annotations

from functools import lru_cache

from gapless.query.computed.edges import Edges
from gapless.query.computed.geojson import KEPT, Polygons, inside, read_parts
from gapless.query.computed.overlay import united
from gapless.query.computed.sphere import angle

#: What rounding may add to an angle, in radians.
_MARGIN = 1e-12


@lru_cache(maxsize=KEPT)
def read_polygons(text: str | None) -> Polygons | None:
    """The polygons of a Polygon or MultiPolygon; None for what is none."""
    parts = read_parts(text)
    if parts is None or len(parts) == 1:
        return parts[0] if parts else None
    if any(shared_area(one, other) for at, one in enumerate(parts) for other in parts[:at]):
        return united(parts)
    return Polygons(tuple(part for each in parts for part in each.parts))


def shared_area(a: Polygons, b: Polygons) -> bool:
    """Whether polygons have a point in common."""
    (center, radius), (other, other_radius) = a.cap, b.cap
    if angle(center, other) > radius + other_radius + _MARGIN:
        return False
    if meet(a.edges, b.edges):
        return True
    return any(inside(ring[0], b) for ring in a.rings()) or any(inside(ring[0], a) for ring in b.rings())


def meet(one: Edges, other: Edges) -> bool:
    """Whether edges cross or have a vertex in common. Raises ValueError where rounding decides on it."""
    vertices = {point for edge in one.pairs for point in edge}
    if any(start in vertices or end in vertices for start, end in other.pairs):
        return True
    if next(one.crossings(other), None) is not None:
        return True
    if one.has_end_within(other) or other.has_end_within(one):
        raise ValueError("geometries whose vertices lie on each other's edges are not supported")
    return False
