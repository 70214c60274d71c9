"""kql.md: what of KQL there is."""

from __future__ import annotations

from gapless.query.kql.binding.operator_forms import DIFFERENCES
from gapless.query.kql.reference import Entry, reference
from gapless.query.spark.refused import FUNCTIONS, OPERATORS
from generator.markdown import page, table


def kql_page() -> str:
    chapters = reference()
    known = sum(len(entries) for entries in chapters.values())
    return page(
        "KQL",
        f"The {known} operators, functions, aggregates and plugins that a query may use. Names in brackets "
        "mean the same. What is not here is refused, with its position and its name.",
        *(_chapter(title, entries) for title, entries in chapters.items()),
        _on_spark(),
        "## Known differences\n\n" + "\n".join(f"* {difference}" for difference in DIFFERENCES),
    )


def _on_spark() -> str:
    lacking = {**OPERATORS, **{f"{name}()": why for name, why in FUNCTIONS.items()}}
    rows = [(f"`{name}`", why) for name, why in sorted(lacking.items())]
    return (
        "## On Spark\n\nAll of it, with the same answers, but for what is listed here, which is refused with "
        "its position. So are `serialize` of rows without an order, `in (table)` inside of another "
        "expression, a table inside of `mv-apply`, and a value in a `datatable` that has to be computed. Any "
        "row that would do (`take`, `take_any`, ties) may be another one than on DuckDB.\n\n"
        + table(("not on Spark", "why"), rows)
    )


def _chapter(title: str, entries: list[Entry]) -> str:
    rows = [(_named(entry), f"`{entry.form}`", entry.summary) for entry in entries]
    return f"## {title}\n\n" + table(("name", "form", "what it gives"), rows)


def _named(entry: Entry) -> str:
    others = f" ({', '.join(f'`{each}`' for each in sorted(entry.aliases))})" if entry.aliases else ""
    return f"`{entry.name}`{others}"
