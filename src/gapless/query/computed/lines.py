"""Functions of lines on Earth. Lengths are in metres; what is no valid geometry gives None."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from gapless.query.computed.densify import densified
from gapless.query.computed.geojson import (
    Lines,
    point_text,
    read_lines,
    read_point,
)
from gapless.query.computed.sphere import (
    RADIUS_M,
    Vector,
    added,
    angle,
    between,
    dot,
    nearest_on_edge,
    scaled,
    subtracted,
    unit,
)


def _nearest(point: Vector, line: Lines) -> Vector:
    return line.edges.nearest(point)


def _closest_point(longitude: float | None, latitude: float | None, text: str | None) -> str | None:
    point, line = read_point(longitude, latitude), read_lines(text)
    return None if point is None or line is None else point_text(_nearest(point, line))


def _distance(longitude: float | None, latitude: float | None, text: str | None) -> float | None:
    point, line = read_point(longitude, latitude), read_lines(text)
    return None if point is None or line is None else RADIUS_M * angle(point, _nearest(point, line))


def _centroid(text: str | None) -> str | None:
    line = read_lines(text)
    if line is None:
        return None
    total: Vector = (0.0, 0.0, 0.0)
    for a, b in line.edges.pairs:
        whole, apart = added(a, b), subtracted(a, b)
        # The integral of position along an arc: its direction is that of a + b, its length 2 sin(angle / 2).
        total = added(total, scaled(whole, math.sqrt(dot(apart, apart) / dot(whole, whole))))
    return point_text(unit(total)) if any(total) else None


def _single(text: str | None, name: str) -> tuple[Vector, ...] | None:
    line = read_lines(text)
    if line is not None and len(line.lines) > 1:
        raise ValueError(f"{name}() of several lines is not supported: give one LineString")
    return None if line is None else line.lines[0]


def _interpolate(text: str | None, fraction: float | None) -> str | None:
    line = _single(text, "geo_line_interpolate_point")
    if line is None or fraction is None or not 0 <= fraction <= 1:
        return None
    lengths = [angle(a, b) for a, b in pairwise(line)]
    left = fraction * math.fsum(lengths)
    for (a, b), length in zip(pairwise(line), lengths, strict=True):
        if left < length:
            return point_text(between(a, b, left / length))
        left -= length
    return point_text(line[-1])


def _locate(text: str | None, longitude: float | None, latitude: float | None) -> float | None:
    line, point = _single(text, "geo_line_locate_point"), read_point(longitude, latitude)
    if line is None or point is None:
        return None
    best, at, before = math.inf, 0.0, 0.0
    for a, b in pairwise(line):
        found = nearest_on_edge(point, a, b)
        if (away := angle(point, found)) < best:
            best, at = away, before + angle(a, found)
        before += angle(a, b)
    return min(1.0, at / before)


def _densify(text: str | None, tolerance_m: float | None, preserve_crossing: bool | None) -> str | None:
    line = read_lines(text)
    if line is None or preserve_crossing is None:
        return None
    return densified(text, tolerance_m, preserve_crossing, depth=len(line.lines) > 1)


FUNCTIONS: dict[str, Any] = {
    "geo_closest_point_on_line(number, number, text) text": _closest_point,
    "geo_distance_point_to_line(number, number, text) number": _distance,
    "geo_line_centroid(text) text": _centroid,
    "geo_line_interpolate_point(text, number) text": _interpolate,
    "geo_line_locate_point(text, number, number) number": _locate,
    "geo_line_densify(text, number, truth) text": _densify,
}
