"""settings.md: every setting, from the classes that hold them."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

import gapless
from gapless.agent.config import AgentConfig
from generator.descriptions import Setting, introduction, settings_of
from generator.markdown import page, prose, table

_ENDINGS = ("Settings", "Limits", "Allowances", "Retention")

#: Described where they are given: as options of `gapless up`.
_ELSEWHERE = {"UpSettings"}


class Section(NamedTuple):
    """Settings that stand together, under a heading."""

    title: str
    kind: type

    @property
    def settings(self) -> list[Setting]:
        return settings_of(self.kind)


def agent_sections() -> list[Section]:
    """The sections of ``agent.toml``."""
    sections = []
    for name, kind in get_type_hints(AgentConfig).items():
        several = get_origin(kind) is tuple
        one = get_args(kind)[0] if several else kind
        title = f"[[{name.removesuffix('s')}]]" if several else f"[{name}]"
        for each in get_args(one) or (one,):
            if issubclass(each, msgspec.Struct):
                tag = each.__struct_config__.tag
                sections.append(Section(f'{title} with type = "{tag}"' if tag else title, each))
    return sections


def fixed_sections() -> list[Section]:
    """All other bounds in the code: they are parameters, and no file sets them."""
    known = {base for section in agent_sections() for base in section.kind.__mro__}
    found: dict[str, Any] = {}
    for module in pkgutil.walk_packages(gapless.__path__, "gapless."):
        for name, kind in vars(importlib.import_module(module.name)).items():
            ours = isinstance(kind, type) and kind.__module__ == module.name
            if ours and name.endswith(_ENDINGS) and not name.startswith("_") and name not in _ELSEWHERE:
                found[f"{module.name.split('.')[1]}: {name}"] = kind
    return [Section(title, kind) for title, kind in sorted(found.items()) if kind not in known]


def settings_page() -> str:
    return page(
        "Settings",
        "The agent has a configuration file, `agent.toml`. The platform has none: it is started with the "
        "options of [`gapless up`](commands.md#gapless-up).",
        "## agent.toml",
        "A file that is blank, is no TOML or has any fault is refused, with every fault at once. Sections "
        "and fields that are not listed here are faults.",
        *(_drawn(section) for section in agent_sections()),
        "## Fixed bounds",
        "These bounds are parameters in the code, named here by the class that holds them. No file and no "
        "option sets them: the values are those that every agent and platform runs with.",
        *(_drawn(section) for section in fixed_sections()),
    )


def _drawn(section: Section) -> str:
    fixed = not section.title.startswith("[")
    head = ("bound" if fixed else "field", "type", "unit", "value" if fixed else "default", "meaning")
    rows = [(f"`{s.name}`", s.type, s.unit, s.default or "required", s.text) for s in section.settings]
    shown = introduction(section.kind)
    return "\n\n".join(part for part in (f"### {section.title}", prose(shown), table(head, rows)) if part)
