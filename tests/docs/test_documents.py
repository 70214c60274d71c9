"""What the written pages name exists: modules, files, links, commands, states, invariants."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import get_args

import pytest

from gapless.ledger.states import State
from gapless.model.finding import LASTING, FindingKind

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(ROOT)) for path in (*DOCS.glob("*.md"), *DOCS.glob("internals/*.md")))

_PACKAGES = "|".join(sorted(path.parent.name for path in (ROOT / "src/gapless").glob("*/__init__.py")))
_MODULE = re.compile(rf"`(?:gapless\.(\w+(?:\.\w+)*)|((?:{_PACKAGES})\.\w+(?:\.\w+)*))`")
_FILES = ("toml", "key", "token", "pem")  # `agent.toml` is no module
_PATH = re.compile(r"`((?:src|tests|docs|bench)/[\w./-]*)`")
_LINK = re.compile(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)")
_COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*gapless ([a-z](?:(?!  ).)*)", re.MULTILINE)


def exists(name: str) -> bool:
    """Whether ``gapless.<name>`` is a module, or something in one."""
    try:
        pkgutil.resolve_name(f"gapless.{name}")
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("page", PAGES)
def test_modules_and_files_that_a_page_names_exist(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    modules = [whole or short for whole, short in _MODULE.findall(text) if not short.endswith(_FILES)]
    assert [name for name in modules if not exists(name)] == []
    assert [path for path in _PATH.findall(text) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = _LINK.findall((ROOT / page).read_text("utf-8"))
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_commands_that_a_page_shows_exist_with_their_options(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    known = {
        command.name.removeprefix("gapless "): {option.name for option in command.options}
        for command in importlib.import_module("generator.commands").commands()
    }
    for shown in _COMMAND.findall((ROOT / page).read_text("utf-8")):
        words = re.sub(r"'[^']*'|\"[^\"]*\"", "", shown).split()
        name = words[0] if words[0] in known else " ".join(words[:2])
        assert name in known, f"{page} shows `gapless {shown}`"
        unknown = {word for word in words if word.startswith("--")} - known[name] - {"--help"}
        assert not unknown, f"{page} shows `gapless {shown}`"


def test_concepts_say_every_state_finding_and_invariant() -> None:
    text = (DOCS / "concepts.md").read_text("utf-8")
    said = dict(re.findall(r"^\| `(\w+)` \| (yes|once) \|", text, re.MULTILINE))
    assert said == {kind: "yes" if kind in LASTING else "once" for kind in get_args(FindingKind)}
    assert [state for state in get_args(State) if f"`{state}`" not in text] == []
    assert re.findall(r"^\| (I\d+) ", text, re.MULTILINE) == [f"I{n}" for n in range(1, 15)]


def test_every_failpoint_is_explained() -> None:
    page = (DOCS / "internals/crashes.md").read_text("utf-8")
    explained = {
        where
        for line in page.splitlines()
        if line.startswith("| `")
        for where in re.findall(r"`[\w.]+:(\w+)`", line)
    }
    reached = re.compile(r'reached\([\w.]+, "(\w+)"|reached\("\w+", "(\w+)"')
    sources = [path.read_text("utf-8") for path in (ROOT / "src/gapless").rglob("*.py")]
    found = {named or own for source in sources for named, own in reached.findall(source)}
    assert len(found) > 15 and found == explained
