"""All functions by name, other names included."""

from __future__ import annotations

from gapless.query.kql.functions import (
    array_orders,
    arrays,
    bags,
    calendar_units,
    choices,
    computed,
    decompositions,
    dynamics,
    empty,
    encodings,
    geo,
    geohashes,
    geometries,
    h3,
    ipv4,
    ipv6,
    numbers,
    parsing,
    positions,
    regexes,
    series,
    series_fill,
    series_statistics,
    sets,
    text,
    time_formats,
    times,
    units,
    urls,
    wkt,
    xml,
    zones,
)
from gapless.query.kql.functions.signature import Function

#: The families, as the documentation lists them.
FAMILIES = (
    choices.FAMILY,
    empty.FAMILY,
    text.FAMILY,
    positions.FAMILY,
    regexes.FAMILY,
    computed.TEXTS,
    encodings.FAMILY,
    numbers.FAMILY,
    computed.PROBABILITY,
    times.FAMILY,
    calendar_units.FAMILY,
    time_formats.FAMILY,
    zones.FAMILY,
    dynamics.FAMILY,
    arrays.FAMILY,
    array_orders.FAMILY,
    sets.FAMILY,
    bags.FAMILY,
    computed.TREES,
    ipv4.FAMILY,
    ipv6.FAMILY,
    urls.FAMILY,
    parsing.FAMILY,
    xml.FAMILY,
    geo.FAMILY,
    geometries.LINES,
    geometries.POLYGONS,
    wkt.FAMILY,
    geohashes.FAMILY,
    h3.FAMILY,
    geometries.H3,
    geometries.S2,
    units.FAMILY,
    series.FAMILY,
    series_fill.FAMILY,
    series_statistics.FAMILY,
    decompositions.FAMILY,
)

FUNCTIONS: dict[str, Function] = {
    name: function
    for family in FAMILIES
    for function in family.functions
    for name in (function.name, *function.aliases)
}
