"""parse_xml(): one document as a bag.

An element is a bag of its attributes (``@name``), its elements by name (an array where there are several of
one name), and its text (``#text``); with text alone it is that text, with nothing it is null. The tokens of
the text are folded over a stack of the elements that are open.
"""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import DYNAMIC, Scalar
from gapless.query.kql.values.json_sql import let
from gapless.query.kql.values.to_text import to_string

FAMILY = Family("XML")

_TOKEN = (
    r"<!--(?s:.*?)-->|<!\[CDATA\[(?s:.*?)\]\]>|<\?(?s:.*?)\?>|<!(?s:[^>]*)>"
    r"|</?[^\s<>/!?](?:[^<>\"'']|\"[^\"]*\"|''[^'']*'')*>|[^<]+"
)
_NAME = r"^</?\s*([^\s<>/]+)"
_ATTRIBUTE = r"\s([^\s=<>/\"'']+)\s*=\s*(\"[^\"]*\"|''[^'']*'')"
_STACK = "STRUCT(label VARCHAR, members STRUCT(k VARCHAR, v VARCHAR)[])[]"


def _unescaped(text: str) -> str:
    """SQL: a text with its entities replaced."""
    digits = "regexp_extract(entity, '&#x?([0-9a-fA-F]+);', 1)"
    base = "CASE WHEN entity LIKE '&#x%' THEN '0x' ELSE '' END"
    number = f"TRY_CAST(concat({base}, {digits}) AS BIGINT)"
    valid = "point BETWEEN 1 AND 55295 OR point BETWEEN 57344 AND 1114111"
    character = let("point", number, f"CASE WHEN {valid} THEN chr(CAST(point AS INTEGER)) ELSE entity END")
    numeric = (
        f"list_reduce(regexp_extract_all({text}, '&#x?[0-9a-fA-F]+;'), "
        f"lambda whole, entity: replace(whole, entity, {character}), {text})"
    )
    found = numeric
    for entity, shown in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "''"), ("&amp;", "&")):
        found = f"replace({found}, '{entity}', '{shown}')"
    return f"CASE WHEN contains({text}, '&') THEN {found} ELSE {text} END"


def _json(text: str) -> str:
    return f"CAST(to_json({text}) AS VARCHAR)"


def _attributes() -> str:
    """SQL: the attributes of the tag ``token`` as members."""
    values = f"regexp_extract_all(token, '{_ATTRIBUTE}', 2)"
    value = _unescaped("substring(values_of[i], 2, length(values_of[i]) - 2)")
    member = f"{{'k': concat('@', attribute), 'v': {_json(value)}}}"
    listed = f"list_transform(regexp_extract_all(token, '{_ATTRIBUTE}', 1), lambda attribute, i: {member})"
    return let("values_of", values, listed)


def _value(members: str) -> str:
    """SQL: the JSON of an element's members."""
    keys = f"list_transform({members}, lambda m: m.k)"
    # As they came: list_distinct does not keep their order.
    place = f"{{'i': list_position({keys}, k), 'k': k}}"
    ordered = f"list_sort(list_transform(list_distinct({keys}), lambda k: {place}))"
    found = f"list_transform(list_filter({members}, lambda m: m.k = key.k), lambda m: m.v)"
    several = "concat('[', array_to_string(found, ','), ']')"
    value = let("found", found, f"CASE WHEN len(found) = 1 THEN found[1] ELSE {several} END")
    bag = f"list_transform({ordered}, lambda key: concat({_json('key.k')}, ':', {value}))"
    return (
        f"CASE WHEN len({members}) = 0 THEN 'null'"
        f" WHEN len({members}) = 1 AND {members}[1].k = '#text' THEN {members}[1].v"
        f" ELSE concat('{{', array_to_string({bag}, ','), '}}') END"
    )


def _put(stack: str, key: str, value: str) -> str:
    """SQL: a stack whose last element has one more member."""
    member = f"{{'k': {key}, 'v': {value}}}"
    last = f"{{'label': {stack}[-1].label, 'members': list_append({stack}[-1].members, {member})}}"
    return f"list_append(list_slice({stack}, 1, len({stack}) - 1), {last})"


def _step() -> str:
    """SQL: the state after one more token."""
    label = f"regexp_extract(token, '{_NAME}', 1)"
    popped = "list_slice(state.stack, 1, len(state.stack) - 1)"
    cases = (
        ("token LIKE '<!--%'", "state.stack", "TRUE"),
        (
            "token LIKE '<![CDATA[%'",
            _put("state.stack", "'#cdata-section'", _json("substring(token, 10, length(token) - 12)")),
            "TRUE",
        ),
        ("token LIKE '<?xml%'", _put("state.stack", "'?xml'", let("a", _attributes(), _value("a"))), "TRUE"),
        ("token LIKE '<!%' OR token LIKE '<?%'", "state.stack", "TRUE"),
        (
            "token LIKE '</%'",
            let("inner_stack", popped, _put("inner_stack", label, _value("state.stack[-1].members"))),
            f"len(state.stack) > 1 AND state.stack[-1].label = {label}",
        ),
        ("token LIKE '<%/>'", _put("state.stack", label, let("a", _attributes(), _value("a"))), "TRUE"),
        (
            "token LIKE '<%'",
            f"list_append(state.stack, {{'label': {label}, 'members': {_attributes()}}})",
            "TRUE",
        ),
        ("trim(token, ' \t\r\n') = ''", "state.stack", "TRUE"),
        ("TRUE", _put("state.stack", "'#text'", _json(_unescaped("token"))), "len(state.stack) > 1"),
    )
    branches = " ".join(
        f"WHEN {test} THEN {{'stack': {stack}, 'is_valid': state.is_valid AND {valid}}}"
        for test, stack, valid in cases
    )
    return f"CASE WHEN NOT state.is_valid THEN state {branches} END"


def _document() -> str:
    """SQL: the bag of the text $1."""
    start = f"{{'stack': CAST([{{'label': '', 'members': []}}] AS {_STACK}), 'is_valid': TRUE}}"
    folded = f"list_reduce(tokens, lambda state, token: {_step()}, {start})"
    roots = "len(list_filter(done.stack[1].members, lambda m: m.k <> '?xml')) = 1"
    valid = f"done.is_valid AND len(done.stack) = 1 AND {roots}"
    result = let("done", folded, f"CASE WHEN {valid} THEN {_value('done.stack[1].members')} END")
    whole = "array_to_string(tokens, '') = $1"
    return let("tokens", f"regexp_extract_all($1, '{_TOKEN}')", f"CASE WHEN {whole} THEN {result} END")


_XML = _document()


@FAMILY.function(
    "parse_xml(text: any): dynamic",
    "An XML document as a bag: attributes as @name, text as #text; null for what is none.",
)
def _parse_xml(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return apply(f"CASE WHEN $1 LIKE '%<%' THEN {_XML} END", (to_string(arguments[0]),), DYNAMIC)
