"""The languages a query may be written in: the one place where a text becomes SQL."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gapless.model.tables import TableSchema
from gapless.query.request import Language, ResultColumn


class Statement(msgspec.Struct, frozen=True):
    """A query as SQL. ``columns`` are those of its answer, where the language knows better than the engine
    what they are called and what they mean."""

    sql: str
    columns: tuple[ResultColumn, ...] | None = None


def to_sql(text: str, language: Language, tables: Iterable[TableSchema] = ()) -> Statement:
    """The SQL for ``text`` over ``tables``. Raises Refused, with line and column, where there is none."""
    if language == "sql":
        return Statement(text)
    # Not at the top: who asks in SQL alone, or only waits for an answer, need not load a SQL generator.
    from gapless.query.kql.translate import translate

    translation = translate(text, tables)
    return Statement(translation.sql, translation.columns)


def prepare() -> None:
    """Load what the first translation would, so that processes that are forked later have it."""
    from gapless.query.kql.prepare import prepare_templates

    prepare_templates()
