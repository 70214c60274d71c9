"""Edges that are straight on a map of longitudes and latitudes, as points along which great circles stay
within a tolerance of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec

from gapless.query.computed.geojson import geometry_text
from gapless.query.computed.sphere import RADIUS_M, angle, between, dot, from_degrees

_TOLERANCE_M_MIN = 0.1
_POINTS_MAX = 100_000
#: Where along an edge a great circle and a straight line on the map are compared, and how much less than the
#: greatest distance may be between them there.
_PLACE = 0.31215691082248312
_SHARE = 0.83829992569888509

Position = tuple[float, float]


def densified(text: str | None, tolerance_m: float | None, preserve_crossing: bool, depth: int) -> str | None:
    """A valid geometry with more points on its edges; ``depth`` says how deep its lists of positions are:
    0 for one list. None if the tolerance is none."""
    if text is None or tolerance_m is None or not tolerance_m >= _TOLERANCE_M_MIN:
        return None
    if preserve_crossing:
        raise ValueError("densifying with preserve_crossing is not supported: leave it out")
    geometry = msgspec.json.decode(text)
    geometry["coordinates"] = _lists(geometry["coordinates"], tolerance_m / RADIUS_M * _SHARE, depth)
    return geometry_text({name: geometry[name] for name in ("type", "coordinates")})


def _lists(value: Any, tolerance: float, depth: int) -> Any:
    if depth:
        return [_lists(each, tolerance, depth - 1) for each in value]
    points = [tuple(each[:2]) for each in value]
    made: list[Any] = [points[0]]
    for a, b in pairwise(points):
        made.extend(_between(a, b, tolerance))
        if len(made) > _POINTS_MAX:
            raise ValueError(f"densifying makes more than {_POINTS_MAX} points: give a greater tolerance")
    return made


def _between(a: Position, b: Position, tolerance: float) -> Iterator[Position]:
    """The points after a up to b."""
    if abs(a[0] - b[0]) > 180:
        raise ValueError("densifying an edge over the antimeridian is not supported: part it there")
    if _error(a, b) <= tolerance:
        yield b
        return
    middle = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
    yield from _between(a, middle, tolerance)
    yield from _between(middle, b, tolerance)


def _error(a: Position, b: Position) -> float:
    """How far apart the great circle and the straight line are, about."""
    start, end = from_degrees(*a), from_degrees(*b)
    if dot(start, end) < -1e-14:
        return math.inf
    return max(
        angle(between(start, end, t), from_degrees(a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t))
        for t in (_PLACE, 1 - _PLACE)
    )
