"""kql.md: what of KQL there is."""

from __future__ import annotations

from gapless.query.kql.binding.operator_forms import DIFFERENCES
from gapless.query.kql.reference import Entry, reference
from generator.markdown import page, table


def kql_page() -> str:
    chapters = reference()
    known = sum(len(entries) for entries in chapters.values())
    return page(
        "KQL",
        f"The {known} operators, functions, aggregates and plugins that a query may use. Names in brackets "
        "mean the same. What is not here is refused, with its position and its name.",
        *(_chapter(title, entries) for title, entries in chapters.items()),
        "## Known differences\n\n" + "\n".join(f"* {difference}" for difference in DIFFERENCES),
    )


def _chapter(title: str, entries: list[Entry]) -> str:
    rows = [(_named(entry), f"`{entry.form}`", entry.summary) for entry in entries]
    return f"## {title}\n\n" + table(("name", "form", "what it gives"), rows)


def _named(entry: Entry) -> str:
    others = f" ({', '.join(f'`{each}`' for each in sorted(entry.aliases))})" if entry.aliases else ""
    return f"`{entry.name}`{others}"
