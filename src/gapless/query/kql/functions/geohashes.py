"""Geohashes: rectangles of longitude and latitude, by the alphabet of 32 digits in use for them."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import DYNAMIC, STRING, Scalar
from gapless.query.kql.values.json_sql import array_text, let

FAMILY = Family("Geohashes")

_DIGITS = "0123456789bcdefghjkmnpqrstuvwxyz"


def _on_earth(longitude: str, latitude: str) -> str:
    return f"({longitude} BETWEEN -180 AND 180 AND {latitude} BETWEEN -90 AND 90)"


def _interleaved(accuracy: str, longitude: str, latitude: str) -> str:
    """SQL: the geohash of so many digits: bits of longitude and latitude in turn, five a digit."""
    bits = f"CAST(5 * {accuracy} AS BIGINT)"
    columns, rows = f"pow(2, ({bits} + 1) // 2)", f"pow(2, {bits} // 2)"
    east = f"CAST(least(floor(({longitude} + 180) / 360 * {columns}), {columns} - 1) AS BIGINT)"
    north = f"CAST(least(floor(({latitude} + 90) / 180 * {rows}), {rows} - 1) AS BIGINT)"
    even, odd = (
        f"(g.east >> (({bits} + 1) // 2 - 1 - n // 2)) & 1",
        f"(g.north >> ({bits} // 2 - 1 - n // 2)) & 1",
    )
    bit = f"CASE WHEN n % 2 = 0 THEN {even} ELSE {odd} END"
    bits_of_digit = f"list_transform(range(5 * d, 5 * d + 5), lambda n: {bit})"
    digit = f"list_reduce({bits_of_digit}, lambda whole, b: whole * 2 + b)"
    shown = f"substring('{_DIGITS}', CAST({digit} AS BIGINT) + 1, 1)"
    digits = f"list_transform(range(0, CAST({accuracy} AS BIGINT)), lambda d: {shown})"
    return let("g", f"{{'east': {east}, 'north': {north}}}", f"array_to_string({digits}, '')")


@FAMILY.function(
    "geo_point_to_geohash(longitude: real, latitude: real, accuracy?: long): string",
    "The geohash of a point, of so many characters: 5, or 1 to 18.",
)
def _point_to_geohash(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    accuracy = "$3" if len(arguments) > 2 else "5"
    valid = f"{_on_earth('$1', '$2')} AND {accuracy} BETWEEN 1 AND 18"
    return apply(
        f"CASE WHEN {valid} THEN {_interleaved(accuracy, '$1', '$2')} ELSE '' END", arguments, STRING
    )


def _cell(place: str) -> str:
    """SQL: the south-western corner and the size of a geohash as (x, y, w, h)."""
    value = f"strpos('{_DIGITS}', digit) - 1"
    bit = f"(({value}) >> (4 - n)) & 1"
    five = f"list_transform(range(0, 5), lambda n: {bit})"
    bits = f"flatten(list_transform(string_split({place}, ''), lambda digit: {five}))"
    east = "{'x': c.x + c.w / 2 * b, 'y': c.y, 'w': c.w / 2, 'h': c.h, 'turn': 1}"
    north = "{'x': c.x, 'y': c.y + c.h / 2 * b, 'w': c.w, 'h': c.h / 2, 'turn': 0}"
    size = {"x": -180, "y": -90, "w": 360, "h": 180}
    whole = ", ".join(f"'{name}': CAST({value} AS DOUBLE)" for name, value in size.items())
    start = f"{{{whole}, 'turn': 0}}"
    return f"list_reduce({bits}, lambda c, b: CASE WHEN c.turn = 0 THEN {east} ELSE {north} END, {start})"


def _of_cell(arguments: Sequence[Scalar], sql: str) -> Scalar:
    valid = f"regexp_full_match($1, '[{_DIGITS}]{{1,18}}')"
    return apply(f"CASE WHEN {valid} THEN {let('cell', _cell('$1'), sql)} END", arguments, DYNAMIC)


@FAMILY.function(
    "geo_geohash_to_central_point(geohash: string): dynamic",
    "The middle of a geohash's rectangle in GeoJSON.",
)
def _geohash_to_central_point(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    point = "[cell.x + cell.w / 2, cell.y + cell.h / 2]"
    return _of_cell(arguments, f"CAST(json_object('type', 'Point', 'coordinates', {point}) AS VARCHAR)")


@FAMILY.function("geo_geohash_to_polygon(geohash: string): dynamic", "A geohash's rectangle in GeoJSON.")
def _geohash_to_polygon(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    corners = ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
    ring = ", ".join(f"[cell.x + cell.w * {east}, cell.y + cell.h * {north}]" for east, north in corners)
    return _of_cell(arguments, f"CAST(json_object('type', 'Polygon', 'coordinates', [[{ring}]]) AS VARCHAR)")


#: The neighbours as Kusto lists them: cells to the east, cells to the north.
_AROUND = ((-1, -1), (-1, 1), (1, -1), (0, 1), (-1, 0), (1, 1), (1, 0), (0, -1))


@FAMILY.function(
    "geo_geohash_neighbors(geohash: string): dynamic", "The geohashes around one; fewer beside a pole."
)
def _geohash_neighbors(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    places = ", ".join(f"{{'e': {east}, 'n': {north}}}" for east, north in _AROUND)
    longitude = "((cell.x + cell.w * (place.e + 0.5) + 540) % 360 - 180)"
    latitude = "(cell.y + cell.h * (place.n + 0.5))"
    inside = f"list_filter([{places}], lambda place: {latitude} BETWEEN -90 AND 90)"
    found = f"list_transform({inside}, lambda place: {_interleaved('length($1)', longitude, latitude)})"
    return _of_cell(arguments, array_text(found))
