"""All functions by name, other names included."""

from __future__ import annotations

from gapless.query.kql.functions import choices, dynamics, network, numbers, series, text, times
from gapless.query.kql.functions.signature import Function

#: The families, as the documentation lists them.
FAMILIES = (
    choices.FAMILY,
    text.FAMILY,
    numbers.FAMILY,
    times.FAMILY,
    dynamics.FAMILY,
    network.FAMILY,
    series.FAMILY,
)

FUNCTIONS: dict[str, Function] = {
    name: function
    for family in FAMILIES
    for function in family.functions
    for name in (function.name, *function.aliases)
}
