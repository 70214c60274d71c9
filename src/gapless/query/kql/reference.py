"""What the engine has, as data: for the documentation, and for whoever wants to look."""

from __future__ import annotations

from dataclasses import dataclass

from gapless.query.kql.aggregates.registry import AGGREGATES
from gapless.query.kql.binding.bind_evaluate import PLUGINS
from gapless.query.kql.binding.operator_forms import FORMS
from gapless.query.kql.binding.windows import WINDOWS
from gapless.query.kql.functions.registry import FAMILIES


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that a query may use: its form, a sentence about it, and its other names."""

    name: str
    form: str
    summary: str
    aliases: tuple[str, ...] = ()


def reference() -> dict[str, list[Entry]]:
    """All entries by the title of their chapter, each chapter in the order of names."""
    chapters = {"Operators": [Entry(name, *known) for name, known in FORMS.items()]}
    chapters |= {
        family.title: [Entry(f.name, f.signature, f.summary, f.aliases) for f in family.functions]
        for family in FAMILIES
    }
    chapters["Aggregates"] = _aggregates()
    chapters["Window functions"] = [Entry(name, known.form, known.summary) for name, known in WINDOWS.items()]
    chapters["Plugins"] = [Entry(name, known.form, known.summary) for name, known in PLUGINS.items()]
    return {title: sorted(entries, key=lambda each: each.name) for title, entries in chapters.items()}


def _aggregates() -> list[Entry]:
    aliases: dict[str, list[str]] = {}
    for name, known in AGGREGATES.items():
        aliases.setdefault(known.name, []).extend([name] if name != known.name else [])
    found = {known.name: known for known in AGGREGATES.values()}
    return [Entry(k.name, k.form, k.summary, tuple(aliases[k.name])) for k in found.values()]
