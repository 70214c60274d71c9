"""What a query asks for, and what comes back: plain data that crosses process boundaries.

Who may read which files is decided before: a request holds exactly the files that its tenant may see, and
the engine sees nothing else. Times are microseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gapless.model.errors import Refused
from gapless.model.tables import TableSchema

Language = Literal["sql", "kql"]
ResultType = Literal[
    "string", "int", "long", "real", "decimal", "bool", "datetime", "timespan", "guid", "dynamic"
]

#: Characters that the engine would expand to other files' names.
_GLOB_CHARACTERS = frozenset("*?[]{}")


class QueryLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on one query. What goes over one that cuts nothing is refused.

    ``text_bytes_max``: the query's text.
    ``rows_max``: rows of the answer; beyond it the answer is cut and says so.
    ``result_bytes_max``: the rows as JSON; beyond it the answer is cut and says so.
    ``time_s_max``: counts from when a worker takes the query.
    ``memory_bytes_max``: what the engine allocates for it.
    ``threads_max``: threads of the engine.
    ``files_max``: data files of the tables that the text names.
    """

    text_bytes_max: int = 100_000
    rows_max: int = 100_000
    result_bytes_max: int = 64 << 20
    time_s_max: float = 30.0
    memory_bytes_max: int = 1 << 30
    threads_max: int = 2
    files_max: int = 20_000

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            if not getattr(self, field) > 0:
                raise Refused(f"the query limit {field} must be more than 0")


class TableFiles(msgspec.Struct, frozen=True):
    """A table and the Parquet files that hold its rows: absolute local paths, possibly none at all.

    A file may lack columns of the table (it was written when the table had fewer): they read as NULL.
    """

    table: TableSchema
    paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for path in self.paths:
            if not path.startswith("/") or "\0" in path or _GLOB_CHARACTERS.intersection(path):
                raise Refused(
                    f"cannot read {path!r}: data files need absolute paths without any of * ? [ ] {{ }}, "
                    "so move the data directory to such a path"
                )


class QueryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One query over some tables. With ``from_us`` or ``to_us``, every table shows only its rows with
    ``TimeGenerated`` in ``[from_us, to_us)``; with ``resource``, the id of a resource of Azure, only those
    whose ``_ResourceId`` is it or below it, in any case. With ``dynamic_as_text``, dynamic values are texts:
    strings as they are, others as JSON. With ``explain`` the answer is how it would be computed."""

    text: str
    language: Language
    explain: bool = False
    tables: tuple[TableFiles, ...] = ()
    from_us: int | None = None
    to_us: int | None = None
    resource: str = ""
    dynamic_as_text: bool = False
    limits: QueryLimits = QueryLimits()

    def __post_init__(self) -> None:
        if self.from_us is not None and self.to_us is not None and self.from_us >= self.to_us:
            raise Refused("the window is empty: give a --from that is before --to")


class ResultColumn(msgspec.Struct, frozen=True):
    """A column of an answer; its type has the name that Kusto gives it."""

    name: str
    type: ResultType


class QueryResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: names of ``columns`` are unique, and each row has one JSON value for each of them.

    ``rows_json`` is a JSON array of rows, each an array of values: who hands it on need not decode it.
    datetime: ``2024-09-01T00:00:00.000000Z``. decimal, guid, timespan: text. dynamic: any JSON value. real:
    a number, or "NaN", "Infinity", "-Infinity". long: an integer, which may be wider than 64 bits (SQL's sum
    is 128 bits wide). ``truncated`` says that a limit cut the rows. ``scanned_files`` counts the files of
    the ``tables`` that the text names. ``drawn_as`` is how the text asks for the rows to be drawn
    ("barchart"), "" if it does not.
    """

    columns: list[ResultColumn]
    rows_json: msgspec.Raw
    truncated: bool
    elapsed_us: int
    scanned_files: int
    tables: tuple[str, ...] = ()
    drawn_as: str = ""

    @property
    def rows(self) -> list[list[Any]]:
        """The rows, decoded (each time)."""
        rows: list[list[Any]] = msgspec.json.decode(self.rows_json)
        return rows
