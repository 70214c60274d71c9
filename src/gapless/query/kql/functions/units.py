"""Conversions between units of measurement."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import REAL, STRING, Scalar

FAMILY = Family("Units")

_PREFIXES = {"": 1.0, "Deca": 1e1, "Hecto": 1e2, "Kilo": 1e3, "Mega": 1e6, "Giga": 1e9, "Tera": 1e12}
_PREFIXES |= {"Deci": 1e-1, "Centi": 1e-2, "Milli": 1e-3, "Micro": 1e-6, "Nano": 1e-9}


def _metric(unit: str, *prefixes: str) -> dict[str, float]:
    """A unit, and its multiples by these prefixes, in itself."""
    return {(each + unit.lower() if each else unit): _PREFIXES[each] for each in ("", *prefixes)}


#: Each unit in the unit that has 1, by the definitions of SI and of the international yard and pound.
_UNITS: dict[str, dict[str, float]] = {
    "angle": {
        "Arcminute": math.pi / 10_800,
        "Arcsecond": math.pi / 648_000,
        "Gradian": math.pi / 200,
        "Revolution": 2 * math.pi,
        **_metric("Radian", "Centi", "Deci", "Milli", "Micro", "Nano"),
        **{
            name: factor * math.pi / 180
            for name, factor in _metric("Degree", "Milli", "Micro", "Nano").items()
        },
    },
    "energy": {
        **_metric("Joule", "Kilo", "Mega", "Giga", "Milli"),
        "Calorie": 4.184,
        "Kilocalorie": 4_184.0,
        "WattHour": 3_600.0,
        "KilowattHour": 3.6e6,
        "MegawattHour": 3.6e9,
        "GigawattHour": 3.6e12,
        "ElectronVolt": 1.602176634e-19,
        "BritishThermalUnit": 1_055.05585262,
        "FootPound": 1.3558179483314004,
        "Erg": 1e-7,
    },
    "force": {
        **_metric("Newton", "Deca", "Kilo", "Mega", "Milli", "Micro"),
        "Dyn": 1e-5,
        "KilogramForce": 9.80665,
        "KiloPond": 9.80665,
        "TonneForce": 9_806.65,
        "PoundForce": 4.4482216152605,
        "Poundal": 0.138254954376,
        "OunceForce": 0.27801385095378125,
    },
    "length": {
        **_metric("Meter", "Deca", "Hecto", "Kilo", "Deci", "Centi", "Milli", "Micro", "Nano"),
        "Inch": 0.0254,
        "Foot": 0.3048,
        "Yard": 0.9144,
        "Mile": 1_609.344,
        "NauticalMile": 1_852.0,
        "Fathom": 1.8288,
        "Chain": 20.1168,
        "Hand": 0.1016,
        "Angstrom": 1e-10,
        "AstronomicalUnit": 149_597_870_700.0,
    },
    "mass": {
        **_metric("Gram", "Deca", "Hecto", "Kilo", "Deci", "Centi", "Milli", "Micro", "Nano"),
        "Tonne": 1e6,
        "Pound": 453.59237,
        "Ounce": 28.349523125,
        "Stone": 6_350.29318,
        "Grain": 0.06479891,
        "ShortTon": 907_184.74,
        "LongTon": 1_016_046.9088,
    },
    "speed": {
        "MeterPerSecond": 1.0,
        "MeterPerMinute": 1 / 60,
        "MeterPerHour": 1 / 3600,
        "KilometerPerSecond": 1_000.0,
        "KilometerPerMinute": 1_000 / 60,
        "KilometerPerHour": 1 / 3.6,
        "CentimeterPerSecond": 0.01,
        "MillimeterPerSecond": 0.001,
        "FootPerSecond": 0.3048,
        "InchPerSecond": 0.0254,
        "MilePerHour": 0.44704,
        "Knot": 1_852 / 3600,
    },
    "volume": {
        **_metric("Liter", "Deca", "Hecto", "Kilo", "Deci", "Centi", "Milli", "Micro"),
        "CubicMeter": 1_000.0,
        "CubicDecimeter": 1.0,
        "CubicCentimeter": 1e-3,
        "CubicMillimeter": 1e-6,
        "CubicKilometer": 1e12,
        "CubicFoot": 28.316846592,
        "CubicInch": 0.016387064,
        "CubicYard": 764.554857984,
        "UsGallon": 3.785411784,
        "ImperialGallon": 4.54609,
        "OilBarrel": 158.987294928,
    },
}

#: Each scale of temperature as (degrees a kelvin, degrees at 0 kelvin).
_TEMPERATURES = {
    "Kelvin": (1.0, 0.0),
    "DegreeCelsius": (1.0, -273.15),
    "DegreeFahrenheit": (1.8, -459.67),
    "DegreeRankine": (1.8, 0.0),
    "DegreeReaumur": (0.8, -218.52),
}


def _unit(call: Call, argument: Scalar, known: Sequence[str]) -> str:
    name = call.constant(argument, "a unit").value
    if name not in known:
        raise call.unsupported(f"the unit {name!r}")
    return str(name)


def _register(kind: str, units: dict[str, float]) -> None:
    def convert(call: Call, arguments: Sequence[Scalar]) -> Scalar:
        here, there = (_unit(call, each, list(units)) for each in arguments[1:])
        return apply(f"$1 * CAST({units[here] / units[there]!r} AS DOUBLE)", arguments[:1], REAL)

    FAMILY.function(
        f"convert_{kind}(value: real, const from: string, const to: string): real",
        f"From one unit of {kind} to another: {', '.join(units)}.",
    )(convert)


for _kind, _units in _UNITS.items():
    _register(_kind, _units)


@FAMILY.function(
    "convert_temperature(value: real, const from: string, const to: string): real",
    f"From one scale of temperature to another: {', '.join(_TEMPERATURES)}.",
)
def _convert_temperature(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    here, there = (_unit(call, each, list(_TEMPERATURES)) for each in arguments[1:])
    (size, zero), (other_size, other_zero) = _TEMPERATURES[here], _TEMPERATURES[there]
    return apply(f"($1 - ({zero!r})) / {size!r} * {other_size!r} + ({other_zero!r})", arguments[:1], REAL)


_BYTES = ("Bytes", "KB", "MB", "GB", "TB", "PB", "EB")


@FAMILY.function(
    "format_bytes(value: number, const precision?: long, const units?: string, const base?: long): string",
    "A number of bytes as a text with its unit.",
)
def _format_bytes(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    options = [call.constant(each, "an option").value for each in arguments[1:]]
    options += [0, None, 1024][len(options) :]
    digits, unit, base = options
    if digits is None or not 0 <= digits <= 15 or not base or base < 2:
        raise call.error("needs a precision from 0 to 15 and a base of 2 or more")
    if unit and unit not in _BYTES:
        raise call.error(f"knows no unit {unit!r}: it knows {', '.join(_BYTES)}")
    rounded = f"CAST(round(CAST($1 AS DOUBLE) / {{size}}, {digits}) AS VARCHAR)"
    shown = f"concat(regexp_replace({rounded}, '\\.0$', ''), ' {{unit}}')"
    if unit:
        return apply(
            shown.format(size=f"{float(base ** _BYTES.index(unit))!r}", unit=unit), arguments[:1], STRING
        )
    sizes = [(repr(float(base**power)), name) for power, name in enumerate(_BYTES)]
    branches = [
        f"WHEN abs(CAST($1 AS DOUBLE)) >= {size} THEN {shown.format(size=size, unit=name)}"
        for size, name in sizes[:0:-1]
    ]
    last = shown.format(size="1.0", unit="Bytes")
    sql = f"CASE {' '.join(branches)} ELSE {last} END"
    return apply(f"CASE WHEN $1 IS NULL THEN '' ELSE {sql} END", arguments[:1], STRING)
