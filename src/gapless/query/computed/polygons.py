"""Functions of polygons on Earth. Lengths are in metres, areas in square metres; what is no valid geometry
gives None."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from gapless.query.computed.areas import meet, read_polygons, shared_area
from gapless.query.computed.densify import densified
from gapless.query.computed.geojson import (
    Polygons,
    geometry_text,
    inside,
    point_text,
    read_lines,
    read_point,
    ring_area,
)
from gapless.query.computed.overlay import (
    common_lines,
    common_lines_and_polygons,
    common_polygons,
    polygons_text,
    united,
    united_lines,
)
from gapless.query.computed.sphere import (
    RADIUS_M,
    Vector,
    angle,
    normal,
    scaled,
    unit,
)


def _nearest(point: Vector, polygons: Polygons) -> Vector:
    if inside(point, polygons):
        return point
    return polygons.edges.nearest(point)


def _contains(longitude: float | None, latitude: float | None, text: str | None) -> bool | None:
    point, polygons = read_point(longitude, latitude), read_polygons(text)
    return None if point is None or polygons is None else inside(point, polygons)


def _closest_point(longitude: float | None, latitude: float | None, text: str | None) -> str | None:
    point, polygons = read_point(longitude, latitude), read_polygons(text)
    if point is None or polygons is None:
        return None
    found = _nearest(point, polygons)
    if found is point:
        return geometry_text({"type": "Point", "coordinates": [longitude, latitude]})
    return point_text(found)


def _distance(longitude: float | None, latitude: float | None, text: str | None) -> float | None:
    point, polygons = read_point(longitude, latitude), read_polygons(text)
    return None if point is None or polygons is None else RADIUS_M * angle(point, _nearest(point, polygons))


def _area(text: str | None) -> float | None:
    polygons = read_polygons(text)
    return None if polygons is None else RADIUS_M**2 * math.fsum(map(ring_area, polygons.rings()))


def _perimeter(text: str | None) -> float | None:
    polygons = read_polygons(text)
    return None if polygons is None else RADIUS_M * math.fsum(angle(a, b) for a, b in polygons.edges.pairs)


def _centroid(text: str | None) -> str | None:
    polygons = read_polygons(text)
    if polygons is None:
        return None
    # The integral of position over an area is half the sum, over its edges, of angle times direction to
    # the left.
    parts = [scaled(unit(normal(a, b)), angle(a, b)) for a, b in polygons.edges.pairs]
    total = tuple(math.fsum(part[axis] for part in parts) for axis in range(3))
    return point_text(unit((total[0], total[1], total[2])))


def _densify(text: str | None, tolerance_m: float | None, preserve_crossing: bool | None) -> str | None:
    polygons = read_polygons(text)
    if text is None or polygons is None or preserve_crossing is None:
        return None
    several = msgspec.json.decode(text)["type"] == "MultiPolygon"
    return densified(text, tolerance_m, preserve_crossing, depth=2 if several else 1)


def _intersects_2lines(one: str | None, other: str | None) -> bool | None:
    a, b = read_lines(one), read_lines(other)
    return None if a is None or b is None else meet(a.edges, b.edges)


def _intersects_2polygons(one: str | None, other: str | None) -> bool | None:
    a, b = read_polygons(one), read_polygons(other)
    return None if a is None or b is None else shared_area(a, b)


def _intersects_line_with_polygon(line: str | None, polygon: str | None) -> bool | None:
    a, b = read_lines(line), read_polygons(polygon)
    if a is None or b is None:
        return None
    return meet(a.edges, b.edges) or any(inside(each[0], b) for each in a.lines)


def _intersection_2lines(one: str | None, other: str | None) -> str | None:
    a, b = read_lines(one), read_lines(other)
    return None if a is None or b is None else common_lines(a, b)


def _intersection_line_with_polygon(line: str | None, polygon: str | None) -> str | None:
    a, b = read_lines(line), read_polygons(polygon)
    return None if a is None or b is None else common_lines_and_polygons(a, b)


def _intersection_2polygons(one: str | None, other: str | None) -> str | None:
    a, b = read_polygons(one), read_polygons(other)
    return None if a is None or b is None else common_polygons(a, b)


def _union_polygons_array(text: str | None) -> str | None:
    found = [read_polygons(each) for each in _geometries(text)]
    known = [each for each in found if each is not None]
    return polygons_text(united(known)) if known and len(known) == len(found) else None


def _union_lines_array(text: str | None) -> str | None:
    found = [read_lines(each) for each in _geometries(text)]
    known = [each for each in found if each is not None]
    return united_lines(known) if known and len(known) == len(found) else None


def _geometries(text: str | None) -> list[str]:
    """The items of an array, each as a text; none of what is no array."""
    try:
        return [bytes(each).decode() for each in msgspec.json.decode(text or "", type=list[msgspec.Raw])]
    except (msgspec.DecodeError, msgspec.ValidationError):
        return []


FUNCTIONS: dict[str, Any] = {
    "geo_point_in_polygon(number, number, text) truth": _contains,
    "geo_closest_point_on_polygon(number, number, text) text": _closest_point,
    "geo_distance_point_to_polygon(number, number, text) number": _distance,
    "geo_polygon_area(text) number": _area,
    "geo_polygon_perimeter(text) number": _perimeter,
    "geo_polygon_centroid(text) text": _centroid,
    "geo_polygon_densify(text, number, truth) text": _densify,
    "geo_intersects_2lines(text, text) truth": _intersects_2lines,
    "geo_intersects_2polygons(text, text) truth": _intersects_2polygons,
    "geo_intersects_line_with_polygon(text, text) truth": _intersects_line_with_polygon,
    "geo_intersection_2lines(text, text) text": _intersection_2lines,
    "geo_intersection_line_with_polygon(text, text) text": _intersection_line_with_polygon,
    "geo_intersection_2polygons(text, text) text": _intersection_2polygons,
    "geo_union_polygons_array(text) text": _union_polygons_array,
    "geo_union_lines_array(text) text": _union_lines_array,
}
