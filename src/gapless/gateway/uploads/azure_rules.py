"""Data collection rules as Azure writes them: the JSON of a template, of the portal, or of ``az``.

Read are ``streamDeclarations`` and ``dataFlows``, of ``properties`` where there are any. What Azure collects
by itself (``dataSources``) and where it puts it (``destinations``) says nothing here: records arrive by
upload, and go to the tenant's own tables.
"""

from __future__ import annotations

import msgspec

from gapless.model.errors import UNDECODABLE, Refused
from gapless.model.rule import IDENTITY, RuleStream
from gapless.model.tables import Column

#: Types that Azure has in rules, and the tables under another name.
_TYPES = {"boolean": "bool", "dateTime": "datetime"}


class _Declared(msgspec.Struct):
    name: str
    type: str


class _Declaration(msgspec.Struct):
    columns: tuple[_Declared, ...] = ()


class _Flow(msgspec.Struct, rename="camel"):
    streams: tuple[str, ...]
    transform_kql: str = IDENTITY
    output_stream: str = ""


class _Properties(msgspec.Struct, rename="camel"):
    data_flows: tuple[_Flow, ...] = ()
    stream_declarations: dict[str, _Declaration] = {}


class _Document(_Properties):
    properties: _Properties | None = None


def streams_of(data: bytes) -> tuple[RuleStream, ...]:
    """The streams of a rule that Azure wrote, as JSON. Raises Refused where it cannot be read as one."""
    try:
        document = msgspec.json.decode(data, type=_Document)
    except UNDECODABLE as error:
        raise Refused(f"this is not a data collection rule as Azure writes it: {error}") from error
    rule: _Properties = document.properties or document
    streams = [
        RuleStream(
            name=name,
            table=(flow.output_stream or name).partition("-")[2],
            columns=_columns(rule.stream_declarations.get(name, _Declaration())),
            transform=flow.transform_kql,
        )
        for flow in rule.data_flows
        for name in flow.streams
    ]
    if not streams:
        raise Refused("the rule has no dataFlows: give one that names its streams")
    return tuple(streams)


def _columns(declaration: _Declaration) -> tuple[Column, ...]:
    columns = [
        {"name": column.name, "type": _TYPES.get(column.type, column.type)} for column in declaration.columns
    ]
    try:
        return msgspec.convert(columns, tuple[Column, ...])
    except msgspec.ValidationError as error:
        raise Refused(f"a column of the rule has a type that Kusto does not have: {error}") from error
