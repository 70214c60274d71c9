"""Functions that take texts of a form apart: comma-separated values, paths, XML."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import DYNAMIC, Scalar
from gapless.query.kql.values.json_sql import array_text, let

FAMILY = Family("Texts of a form")


@FAMILY.function(
    "parse_csv(text: string): dynamic", "The fields of the first record of comma-separated values."
)
def _parse_csv(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    record = 'regexp_extract($1, \'^(?:[^"\\r\\n]|"(?:[^"]|"")*"?)*\')'
    fields = f'regexp_extract_all(concat({record}, \',\'), \'((?:[^",]|"(?:[^"]|"")*"?)*),\', 1)'
    inside = "replace(substring(field, 2, length(field) - 2), '\"\"', '\"')"
    value = f"CASE WHEN regexp_full_match(field, '(?s)\".*\"') THEN {inside} ELSE field END"
    return apply(array_text(f"list_transform({fields}, lambda field: {value})"), arguments, DYNAMIC)


@FAMILY.function(
    "parse_path(path: string): dynamic", "The parts of a file's path, of Windows or of Unix, as a bag."
)
def _parse_path(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    scheme = "regexp_extract($1, '^([A-Za-z][A-Za-z0-9+.-]*)://', 1)"
    rest = "regexp_replace($1, '^[A-Za-z][A-Za-z0-9+.-]*://', '')"
    last = "regexp_extract(rest, '[^/\\\\]*$')"
    directory = "rtrim(regexp_extract(rest, '^(?s:.*)[/\\\\]'), '/\\')"
    name = f"split_part({last}, ':', 1)"
    members = {
        "Scheme": scheme,
        "RootPath": "regexp_extract(rest, '^[A-Za-z]:')",
        "DirectoryPath": directory,
        "DirectoryName": f"regexp_extract({directory}, '[^/\\\\:]*$')",
        "Filename": name,
        "Extension": f"regexp_extract({name}, '\\.([^.]*)$', 1)",
        "AlternateDataStreamName": f"regexp_extract({last}, '^[^:]*:(.*)$', 1)",
    }
    bag = ", ".join(f"'{key}', {value}" for key, value in members.items())
    return apply(let("rest", rest, f"CAST(json_object({bag}) AS VARCHAR)"), arguments, DYNAMIC)
