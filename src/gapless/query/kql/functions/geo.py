"""Points, lines and polygons on Earth, which is a sphere of 6,371,010 m, as Kusto has it.

Longitudes and latitudes are in degrees, lengths in metres, angles in radians; edges are great circles; what
is no place on Earth gives null.
"""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import BOOL, REAL, Scalar
from gapless.query.kql.values.json_sql import let

FAMILY = Family("Places on Earth")

_RADIUS_M = 6_371_010.0


def _valid(longitude: str, latitude: str) -> str:
    return f"({longitude} BETWEEN -180 AND 180 AND {latitude} BETWEEN -90 AND 90)"


def _arc(longitude: str, latitude: str, other_longitude: str, other_latitude: str) -> str:
    """SQL: the angle between two points, seen from the middle of Earth (by haversines)."""
    half_latitude = f"sin((radians({other_latitude}) - radians({latitude})) / 2)"
    half_longitude = f"sin((radians({other_longitude}) - radians({longitude})) / 2)"
    cosines = f"cos(radians({latitude})) * cos(radians({other_latitude}))"
    return f"2 * asin(least(1, sqrt(pow({half_latitude}, 2) + {cosines} * pow({half_longitude}, 2))))"


def _azimuth(longitude: str, latitude: str, other_longitude: str, other_latitude: str) -> str:
    """SQL: the direction from one point to another, clockwise from north."""
    turn = f"(radians({other_longitude}) - radians({longitude}))"
    one, other = f"radians({latitude})", f"radians({other_latitude})"
    east = f"sin({turn}) * cos({other})"
    north = f"cos({one}) * sin({other}) - sin({one}) * cos({other}) * cos({turn})"
    return f"atan2({east}, {north})"


@FAMILY.function(
    "geo_distance_2points(longitude1: real, latitude1: real, longitude2: real, latitude2: real): real",
    "The shortest distance between two points.",
)
def _distance(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    sql = f"{_RADIUS_M} * {_arc('$1', '$2', '$3', '$4')}"
    return apply(f"CASE WHEN {_valid('$1', '$2')} AND {_valid('$3', '$4')} THEN {sql} END", arguments, REAL)


@FAMILY.function(
    "geo_azimuth(longitude1: real, latitude1: real, longitude2: real, latitude2: real): real",
    "The direction from one point to another, clockwise from north; null between a point and itself.",
)
def _geo_azimuth(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    apart = "($1 <> $3 OR $2 <> $4)"
    sql = _azimuth("$1", "$2", "$3", "$4")
    valid = f"{_valid('$1', '$2')} AND {_valid('$3', '$4')}"
    return apply(f"CASE WHEN {valid} AND {apart} THEN {sql} END", arguments, REAL)


@FAMILY.function(
    "geo_angle(longitude1: real, latitude1: real, longitude2: real, latitude2: real, longitude3: real, "
    "latitude3: real): real",
    "The angle at the second point between the first and the third.",
)
def _geo_angle(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    turn = f"abs({_azimuth('$3', '$4', '$1', '$2')} - {_azimuth('$3', '$4', '$5', '$6')})"
    valid = " AND ".join(_valid(f"${place}", f"${place + 1}") for place in (1, 3, 5))
    apart = "($1 <> $3 OR $2 <> $4) AND ($5 <> $3 OR $6 <> $4)"
    sql = f"least({turn}, 2 * pi() - {turn})"
    return apply(f"CASE WHEN {valid} AND {apart} THEN {sql} END", arguments, REAL)


@FAMILY.function(
    "geo_point_in_circle(longitude: real, latitude: real, center_longitude: real, center_latitude: real, "
    "radius: real): bool",
    "Whether a point is at most so far from a center.",
)
def _point_in_circle(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    valid = f"{_valid('$1', '$2')} AND {_valid('$3', '$4')} AND $5 >= 0"
    sql = f"{_RADIUS_M} * {_arc('$1', '$2', '$3', '$4')} <= $5"
    return apply(f"CASE WHEN {valid} THEN {sql} END", arguments, BOOL)


# Lines and polygons -----------------------------------------------------------------------------------------


def _points(place: str) -> str:
    """SQL: an array of positions as a list of (longitude, latitude), in a list each."""
    return f"from_json({place}, '[[\"DOUBLE\"]]')"


def _parts(place: str, single: str, several: str) -> str:
    """SQL: the lines (or rings) of a geometry of one of two types, as lists of points."""
    kind = f"json_extract_string({place}, '$.type')"
    coordinates = f"json_extract({place}, '$.coordinates')"
    return (
        f"CASE WHEN {kind} = '{single}' THEN [{_points(coordinates)}] WHEN {kind} = '{several}' THEN "
        f"list_transform(from_json({coordinates}, '[\"JSON\"]'), lambda part: {_points('part')}) END"
    )


def _all_valid(points: str) -> str:
    """SQL: whether points are two at least, all of them on Earth, and no two neighbours the same."""
    wrong = f"p[1] IS NULL OR p[2] IS NULL OR NOT {_valid('p[1]', 'p[2]')}"
    same = f"i > 1 AND p[1] = {points}[i - 1][1] AND p[2] = {points}[i - 1][2]"
    return f"len({points}) > 1 AND len(list_filter({points}, lambda p, i: {wrong} OR {same})) = 0"


@FAMILY.function("geo_line_length(line: dynamic): real", "The length of a line, or of several, in GeoJSON.")
def _line_length(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    step = _arc("line[i - 1][1]", "line[i - 1][2]", "p[1]", "p[2]")
    length = f"list_sum(list_transform(line, lambda p, i: CASE WHEN i > 1 THEN {step} ELSE 0 END))"
    total = f"{_RADIUS_M} * list_sum(list_transform(lines, lambda line: {length}))"
    valid = f"len(list_filter(lines, lambda line: NOT coalesce({_all_valid('line')}, FALSE))) = 0"
    sql = let("lines", _parts("$1", "LineString", "MultiLineString"), f"CASE WHEN {valid} THEN {total} END")
    return apply(sql, arguments, REAL)
