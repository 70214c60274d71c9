"""Why a query is refused, told apart by what its author should change."""

from __future__ import annotations

from gapless.model.errors import Refused


class BadSyntax(Refused):
    """The text cannot be read."""

    code = "query_syntax"


class BadMeaning(Refused):
    """The text can be read, and asks for what is not there or is not supported."""

    code = "query_semantics"


class OutOfTime(Refused):
    """It took longer than its limit."""

    code = "query_timeout"


class OutOfMemory(Refused):
    """It needs more memory than its limit."""

    code = "query_memory"
