"""The languages a query may be written in: the one place where a text becomes SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import msgspec

from gapless.model.tables import TableSchema
from gapless.query.failures import BadMeaning, BadSyntax
from gapless.query.kql.errors import KqlError
from gapless.query.request import Language, ResultColumn
from gapless.query.sandbox import text_literal


class Statement(msgspec.Struct, frozen=True):
    """A query as SQL. ``columns`` are those of its answer, where the language knows better than the engine
    what they are called and what they mean; ``columns_read`` are those that it reads of each table, where the
    language knows; ``drawn_as`` is as in ``QueryResult``."""

    sql: str
    columns: tuple[ResultColumn, ...] | None = None
    columns_read: Mapping[str, Set[str]] | None = None
    drawn_as: str = ""


class Question(msgspec.Struct, frozen=True):
    """What has to be asked before a text becomes SQL: the rows of ``sql``, which reads some of ``tables``, as
    the text itself does."""

    sql: str
    tables: tuple[str, ...]


def to_sql(
    text: str,
    language: Language,
    tables: Iterable[TableSchema] = (),
    *,
    now_us: int,
    facts: Sequence[Sequence[Sequence[Any]]] = (),
    explain: bool = False,
) -> Statement | Question:
    """The SQL for ``text`` over ``tables`` at ``now_us``; with ``explain`` an SQL that answers how it would
    be computed, in rows of ``form`` and ``text``. Where the columns of the answer depend on the data, a
    question: its rows are to be the next of ``facts``. Raises Refused, with line and column, where there is
    none."""
    if language == "sql":
        return _explanation([("sql", text)]) if explain else Statement(text)
    # Not at the top: who asks in SQL alone, or only waits for an answer, need not load a SQL generator.
    from gapless.query.kql import translate
    from gapless.query.kql.relational.explain import explained

    try:
        translation = translate.translate_knowing(facts, text, tables, now_us)
    except KqlError as error:
        # The code is what tells another process which of the two it is.
        error.code = (BadMeaning if _is_kql(text) else BadSyntax).code
        raise
    if isinstance(translation, translate.Question):
        return Question(translation.sql, translation.tables)
    if explain:
        pretty = translation.select.sql("duckdb", pretty=True)
        return _explanation([("relational", explained(translation.rows)), ("sql", pretty)])
    return Statement(translation.sql, translation.columns, translation.columns_read, translation.drawn_as)


def _is_kql(text: str) -> bool:
    """Whether ``text`` can be read, whatever it asks for."""
    from gapless.query.kql.syntax.parse import parse

    try:
        parse(text)
    except (KqlError, RecursionError):
        return False
    return True


def _explanation(forms: list[tuple[str, str]]) -> Statement:
    rows = ", ".join(f"({text_literal(name)}, {text_literal(text)})" for name, text in forms)
    return Statement(f"SELECT form, text FROM (VALUES {rows}) AS forms(form, text)")


def prepare() -> None:
    """Load what the first translation would, so that processes that are forked later have it."""
    import gapless.query.computed.registry  # noqa: F401
    from gapless.query.kql.prepare import prepare_templates

    prepare_templates()
