"""All functions by name, other names included."""

from __future__ import annotations

from gapless.query.kql.functions import (
    arrays,
    bags,
    calendar_units,
    choices,
    dynamics,
    empty,
    encodings,
    network,
    numbers,
    regexes,
    series,
    series_fill,
    series_statistics,
    sets,
    text,
    time_formats,
    times,
)
from gapless.query.kql.functions.signature import Function

#: The families, as the documentation lists them.
FAMILIES = (
    choices.FAMILY,
    empty.FAMILY,
    text.FAMILY,
    regexes.FAMILY,
    encodings.FAMILY,
    numbers.FAMILY,
    times.FAMILY,
    calendar_units.FAMILY,
    time_formats.FAMILY,
    dynamics.FAMILY,
    arrays.FAMILY,
    sets.FAMILY,
    bags.FAMILY,
    network.FAMILY,
    series.FAMILY,
    series_fill.FAMILY,
    series_statistics.FAMILY,
)

FUNCTIONS: dict[str, Function] = {
    name: function
    for family in FAMILIES
    for function in family.functions
    for name in (function.name, *function.aliases)
}
