"""Which field of the records a transform makes their TimeGenerated.

It is settled when a record is stored, and then read by the lake; so nothing but a field will do, or the time
of receipt.
"""

from __future__ import annotations

from collections.abc import Sequence

from gapless.model.batch import RECEIVED
from gapless.model.tables import TableSchema
from gapless.query.kql.errors import unsupported
from gapless.query.kql.syntax import operators, tree

TIME = "TimeGenerated"
_INSTEAD = f"{TIME} is a column of the stream here, todatetime(column) or now()"
#: Which types of columns a time can be read from, as they are and by todatetime().
_TIMES: tuple[str, ...] = ("datetime",)
_TEXTS: tuple[str, ...] = ("datetime", "string", "dynamic")


def time_of(steps: Sequence[tree.Operator], source: TableSchema) -> str:
    """The field, as in ``gapless.model.batch.Upload``. Raises KqlError for a time that is something else."""
    time, made = "", set[str]()
    for step in steps:
        assigned: list[tuple[str, tree.Expression | None, int]] = []
        match step:
            case operators.Extend(columns=columns) | operators.Project(columns=columns):
                assigned = [(name, each.value, each.at) for each in columns for name in each.names]
            case operators.Parse(parts=parts):
                assigned = [(part.name, None, part.at) for part in parts if part.name is not None]
            case operators.ParseKv(columns=columns):
                assigned = [(name, None, step.at) for name, _ in columns]
        for name, value, at in assigned:
            if name == TIME:
                if value is None:
                    raise unsupported(f"this {TIME}", at, _INSTEAD)
                time = _field(value, source, made, time)
        made |= {name for name, _, _ in assigned if name != TIME}
    return time


def _field(value: tree.Expression, source: TableSchema, made: set[str], before: str) -> str:
    types = _TIMES
    if isinstance(value, tree.Call) and value.name in ("now", "ingestion_time") and not value.arguments:
        return RECEIVED
    if isinstance(value, tree.Call) and value.name == "todatetime" and len(value.arguments) == 1:
        value, types = value.arguments[0].value, _TEXTS
    if not isinstance(value, tree.Name) or value.name in made:
        raise unsupported(f"this {TIME}", value.at, _INSTEAD)
    name: str = value.name
    if name == TIME:
        return before
    if all(column.name != name or column.type not in types for column in source.columns):
        raise unsupported(f"this {TIME}", value.at, f"{_INSTEAD}, of type {' or '.join(types)}")
    return name
