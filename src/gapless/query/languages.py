"""The languages a query may be written in: the one place where a text becomes SQL."""

from __future__ import annotations

from gapless.model.errors import Refused
from gapless.query.request import Language


def to_sql(text: str, language: Language) -> str:
    """The SQL for ``text``. Raises Refused for a language that is not there."""
    if language == "sql":
        return text
    raise Refused("KQL is not there yet: use --language sql")
