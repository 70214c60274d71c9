"""geo_from_wkt(): geometries from well-known text to GeoJSON, whose numbers stay as they are written."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import DYNAMIC, Scalar
from gapless.query.kql.values.json_sql import let

FAMILY = Family("Geometries as text")

_NUMBER = r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_POSITION = rf"\s*{_NUMBER}\s+{_NUMBER}\s*"
_EITHER = rf"(?:{_POSITION}|\s*\({_POSITION}\)\s*)"
_LINE = rf"\s*\({_POSITION}(?:,{_POSITION})*\)\s*"
_AREA = rf"\s*\({_LINE}(?:,{_LINE})*\)\s*"
#: Each type's name in GeoJSON, and the form of its coordinates.
_TYPES = {
    "Point": rf"\s*\({_POSITION}\)\s*",
    "MultiPoint": rf"\s*\({_EITHER}(?:,{_EITHER})*\)\s*",
    "LineString": _LINE,
    "MultiLineString": _AREA,
    "Polygon": _AREA,
    "MultiPolygon": rf"\s*\({_AREA}(?:,{_AREA})*\)\s*",
}
_INNER = r"[A-Za-z]+\s*\((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\)"


def _geometry(text: str) -> str:
    """SQL: the GeoJSON of a text that is one geometry; NULL if it is none."""
    positions = f"regexp_replace(body, '({_NUMBER})\\s+({_NUMBER})', '[\\1,\\2]', 'g')"
    brackets = f"replace(translate({positions}, '()', '[]'), ' ', '')"
    branches = []
    for name, form in _TYPES.items():
        coordinates = brackets
        if name == "Point":
            coordinates = f"substring({brackets}, 2, length({brackets}) - 2)"
        if name == "MultiPoint":
            # Positions may stand in parentheses of their own, or not.
            coordinates = f"replace(replace({brackets}, '[[[', '[['), ']]]', ']]')"
            coordinates = f"replace({coordinates}, ']],[[', '],[')"
        made = f'concat(\'{{"type":"{name}","coordinates":\', {coordinates}, \'}}\')'
        branches.append(f"WHEN regexp_full_match({text}, '(?i)\\s*{name}{form}') THEN {made}")
    body = f"regexp_replace({text}, '^\\s*[A-Za-z]+\\s*', '')"
    return let("body", body, f"CASE {' '.join(branches)} END")


@FAMILY.function(
    "geo_from_wkt(text: string): dynamic", "A geometry in well-known text as GeoJSON; null for what is none."
)
def _from_wkt(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    collection = "regexp_full_match($1, '(?is)\\s*GEOMETRYCOLLECTION\\s*\\(.*\\)\\s*')"
    inside = "regexp_replace($1, '(?is)^\\s*GEOMETRYCOLLECTION\\s*\\((.*)\\)\\s*$', '\\1')"
    texts = f"regexp_extract_all({inside}, '{_INNER}')"
    # Nothing but commas may stand between the geometries.
    rest = f"regexp_full_match(regexp_replace({inside}, '{_INNER}', '', 'g'), '[\\s,]*')"
    geometries = f"list_transform({texts}, lambda each: {_geometry('each')})"
    known = "len(parts) > 0 AND len(list_filter(parts, lambda part: part IS NULL)) = 0"
    made = "concat('{\"type\":\"GeometryCollection\",\"geometries\":[', array_to_string(parts, ','), ']}')"
    several = let("parts", geometries, f"CASE WHEN {known} AND {rest} THEN {made} END")
    return apply(f"CASE WHEN {collection} THEN {several} ELSE {_geometry('$1')} END", arguments, DYNAMIC)
