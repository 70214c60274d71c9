"""parse, parse-where and parse-kv: columns out of a text."""

from __future__ import annotations

import re

from gapless.query.kql.binding.bind_operators import compute, with_column
from gapless.query.kql.binding.bind_scalar import bind
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.relation import (
    Extend,
    Filter,
    Rows,
)
from gapless.query.kql.relational.scalars import (
    BOOL,
    STRING,
    TYPES,
    Column,
    Constant,
    Ref,
    Scalar,
    Type,
)
from gapless.query.kql.syntax import operators
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.forms import certain_text
from gapless.query.kql.values.text_tests import checked_regex, re2_literal
from gapless.query.kql.values.to_text import to_string

_STRUCT = Type("struct")
_NUMBERS = {"int": r"[+-]?\d+", "long": r"[+-]?\d+", "real": r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"}


def parse(node: operators.Parse, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """Columns for the parts of a text that stand between known parts."""
    rows = rows.changed()
    value = bind(node.value, scope.over(rows), tabular)
    if value.type.name not in ("string", "dynamic"):
        raise KqlError(f"parse needs a string, not {value.type.name}: use tostring()", node.at)
    text = certain_text(to_string(value))
    pattern = Constant(_pattern(node), STRING)
    checked_regex(pattern, node.at)
    rows, text_id = compute(rows, text, tabular)
    text = Ref(text_id, STRING)
    if node.only_matching:
        rows = rows.changed(Filter(rows.relation, apply("regexp_matches($1, $2)", (text, pattern), BOOL)))
    named = [part for part in node.parts if part.name is not None]
    if not named:
        return rows
    labels = ", ".join(f"'g{index}'" for index in range(len(named)))
    found = apply(f"regexp_extract($1, $2, [{labels}])", (text, pattern), _STRUCT)
    rows, struct_id = compute(rows, found, tabular)
    values: list[Scalar] = []
    for index, part in enumerate(named):
        text_of_part = apply(f"struct_extract($1, 'g{index}')", (Ref(struct_id, _STRUCT),), STRING)
        piece = as_type(text_of_part, TYPES[part.type])
        rows, id = compute(rows, piece, tabular)
        values.append(Ref(id, piece.type))
    if node.kind != "relaxed":
        rows, values = _all_or_none(node, rows, values, tabular)
    for part, value in zip(named, values, strict=True):
        id = tabular.context.new_id()
        rows = rows.changed(Extend(rows.relation, [(id, value)]))
        rows = with_column(rows, Column(part.name or "", id, value.type))
    return rows


def _all_or_none(
    node: operators.Parse, rows: Rows, values: list[Scalar], tabular: Tabular
) -> tuple[Rows, list[Scalar]]:
    """The values, where all are of the types that are wanted; else none."""
    typed = [value for value in values if value.type.name not in ("string", "dynamic")]
    if not typed:
        return rows, values
    known = " AND ".join(f"${place} IS NOT NULL" for place in range(1, len(typed) + 1))
    rows, id = compute(rows, apply(known, typed, BOOL), tabular)
    fits = Ref(id, BOOL)
    if node.only_matching:
        return rows.changed(Filter(rows.relation, fits)), values
    kept: list[Scalar] = []
    for value in values:
        nothing = " ELSE ''" if value.type.name == "string" else ""
        kept.append(apply(f"CASE WHEN $1 THEN $2{nothing} END", (fits, value), value.type))
    return rows, kept


def _pattern(node: operators.Parse) -> str:
    """The pattern as a regular expression: columns are its groups."""
    is_regex = node.kind == "regex"
    flags = node.flags if is_regex else ""
    if set(flags) - set("iUsm"):
        raise unsupported(f"parse flags={flags}", node.at)
    pieces = []
    for index, part in enumerate(node.parts):
        is_last = index == len(node.parts) - 1
        if part.text is not None:
            if is_regex and "(" in part.text.replace("\\(", "").replace("(?", ""):
                raise unsupported("a group in a part of parse kind=regex", part.at)
            if is_regex and index and _matches_nothing(part.text):
                raise unsupported("a part of parse kind=regex that matches empty text", part.at)
            pieces.append(part.text if is_regex else re2_literal(part.text))
        elif part.name is None:
            pieces.append(".*" if is_last else ".*?")
        elif part.type in _NUMBERS:
            # Relaxed, what is no number may stand there, too.
            anything = "|.*?" if node.kind == "relaxed" else ""
            pieces.append(f"({_NUMBERS[part.type]}{anything})")
        else:
            pieces.append("(.*)" if is_last else "(.*?)")
        if not is_last and part.text is None and node.parts[index + 1].text is None:
            follows = node.parts[index + 1]
            if part.type == "string" and follows.name is not None and follows.type == "string":
                raise unsupported("parse of two columns with nothing between them", follows.at)
    anchored = "".join(pieces)
    return (
        f"(?s{'i' if 'i' in flags else ''})^{anchored}$"
        if not is_regex
        else (f"(?{'i' if 'i' in flags else ''}{'U' if 'U' in flags else ''}s)^{anchored}")
    )


def _matches_nothing(pattern: str) -> bool:
    try:
        return re.fullmatch(pattern, "") is not None
    except re.error:
        return True


def parse_kv(node: operators.ParseKv, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """Columns for the values of named keys in a text such as a=1, b=2: of several values for a key the
    first."""
    rows = rows.changed()
    value = bind(node.value, scope.over(rows), tabular)
    rows, text_id = compute(rows, certain_text(to_string(value)), tabular)
    for name, kind in node.columns:
        made = as_type(_value_of_key(node, Ref(text_id, STRING), name), TYPES[kind])
        rows, id = compute(rows, made, tabular)
        rows = with_column(rows, Column(name, id, made.type))
    return rows


def _value_of_key(node: operators.ParseKv, text: Scalar, name: str) -> Scalar:
    known = {"pair_delimiter", "kv_delimiter", "quote"}
    if set(node.options) == {"regex"}:
        pattern = Constant(node.options["regex"], STRING)
        checked_regex(pattern, node.at)
        sql = "coalesce(regexp_extract_all($1, $2, 2)[list_position(regexp_extract_all($1, $2, 1), $3)], '')"
        return apply(sql, (text, pattern, Constant(name, STRING)), STRING)
    if unknown := set(node.options) - known:
        raise unsupported(f"parse-kv with {', '.join(sorted(unknown))}", node.at)
    if not node.options.get("pair_delimiter") or not node.options.get("kv_delimiter", "="):
        raise unsupported("parse-kv without pair_delimiter", node.at)
    pair = re2_literal(node.options["pair_delimiter"])
    between = re2_literal(node.options.get("kv_delimiter", "="))
    quote = node.options.get("quote", "")
    if not quote:
        key = f"(?:^|{pair})\\s*{re2_literal(name)}\\s*{between}"
        pattern = Constant(f"(?s){key}\\s*(.*?)\\s*(?:{pair}|$)", STRING)
        return apply("regexp_extract($1, $2, 1)", (text, pattern), STRING)
    if len(quote) != 1:
        raise unsupported("parse-kv with quote of several characters", node.at)
    mark, other = re2_literal(quote), f"[^{re2_literal(quote)}]"
    # What stands before the key is read as whole quoted texts, so that none of these is taken for a key.
    before = f"^(?:(?:{mark}{other}*{mark}|{other})*?{pair})?\\s*"
    key = f"{mark}?{re2_literal(name)}{mark}?\\s*{between}\\s*"
    pattern = Constant(f"(?s){before}{key}(?:{mark}({other}*){mark}|(.*?))\\s*(?:{pair}|$)", STRING)
    found = apply("regexp_extract($1, $2, ['quoted', 'bare'])", (text, pattern), _STRUCT)
    sql = "concat(struct_extract($1, 'quoted'), struct_extract($1, 'bare'))"
    return apply(sql, (found,), STRING)
