"""Points on the unit sphere as vectors, the great circles between them, and what lies where along these."""

from __future__ import annotations

import math

#: A point, or a direction, in space.
Vector = tuple[float, float, float]

#: The radius of Earth in metres.
RADIUS_M = 6_371_010.0


def from_degrees(longitude: float, latitude: float) -> Vector:
    """The point at a longitude and latitude in degrees."""
    across = math.cos(math.radians(latitude))
    turn = math.radians(longitude)
    return across * math.cos(turn), across * math.sin(turn), math.sin(math.radians(latitude))


def to_degrees(point: Vector) -> tuple[float, float]:
    """Longitude and latitude of a vector in degrees."""
    x, y, z = point
    return math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))


def dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def added(a: Vector, b: Vector) -> Vector:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def subtracted(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def scaled(a: Vector, factor: float) -> Vector:
    return a[0] * factor, a[1] * factor, a[2] * factor


def unit(a: Vector) -> Vector:
    """The vector of length 1 in a direction."""
    return scaled(a, 1 / math.sqrt(dot(a, a)))


def normal(a: Vector, b: Vector) -> Vector:
    """The direction to the left of the edge from a to b; exact to a few bits also where they are close."""
    return scaled(cross(added(a, b), subtracted(b, a)), 0.5)


def angle(a: Vector, b: Vector) -> float:
    """The angle between two vectors, in radians."""
    n = normal(a, b)
    return math.atan2(math.sqrt(dot(n, n)), dot(a, b))


def between(a: Vector, b: Vector, fraction: float) -> Vector:
    """The point at a fraction of the way from a to b."""
    whole = angle(a, b)
    if whole == 0:
        return a
    parts = scaled(a, math.sin(whole * (1 - fraction))), scaled(b, math.sin(whole * fraction))
    return unit(added(*parts))


def nearest_on_edge(point: Vector, a: Vector, b: Vector) -> Vector:
    """The point of the edge from a to b that is nearest to another one."""
    n = normal(a, b)
    size = dot(n, n)
    if size:
        foot = added(point, scaled(n, -dot(point, n) / size))
        if dot(cross(n, a), foot) > 0 > dot(cross(n, b), foot):
            return unit(foot)
    return min((a, b), key=lambda end: angle(point, end))


def triangle_area(a: Vector, b: Vector, c: Vector) -> float:
    """The area of a triangle in steradians: positive if its corners are counterclockwise."""
    # By Eriksson: tan(area / 2) = det(a, b, c) / (1 + a.b + b.c + c.a).
    volume = dot(a, cross(subtracted(b, a), subtracted(c, a)))
    return 2 * math.atan2(volume, 1 + dot(a, b) + dot(b, c) + dot(c, a))


def crossing_point(a: Vector, b: Vector, c: Vector, d: Vector) -> Vector:
    """Where the edge from a to b crosses that from c to d, which it is known to do."""
    point = unit(cross(unit(normal(a, b)), unit(normal(c, d))))
    return point if dot(point, added(a, b)) > 0 else scaled(point, -1)
