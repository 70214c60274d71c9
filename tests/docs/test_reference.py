"""docs/reference is what the code says of itself, and the code says something of everything."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("commands.md", "settings.md", "http.md", "kql.md", "metrics.md", "errors.md", "tables.md")


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that are described in every way there is. ``queue_bytes_max``: what may
    wait. ``wait_s``, ``pause_s``: how long.
    """

    queue_bytes_max: int = 2048
    wait_s: float
    pause_s: float = 1.0
    #: on its own line,
    #: and on a second
    mode: str = "quick"
    level: int = 1  #: behind it
    count: int = 0


@pytest.fixture(scope="module")
def generate() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        yield importlib.import_module("generate")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(generate: ModuleType, name: str) -> None:
    written = (DOCS / "reference" / name).read_text("utf-8")
    assert written == generate.PAGES[name](), f"docs/reference/{name} differs from the code: run make docs"


def test_every_page_is_compared_and_no_other_is_there(generate: ModuleType) -> None:
    assert set(generate.PAGES) == set(PAGES) == {path.name for path in (DOCS / "reference").iterdir()}


def test_every_command_and_option_has_a_description(generate: ModuleType) -> None:
    commands = importlib.import_module("generator.commands").commands()
    names = importlib.import_module("gapless.cli.main").COMMANDS
    assert list(dict.fromkeys(command.name.split()[1] for command in commands)) == list(names)
    # Words to choose from can say enough by themselves.
    bare = [f"{c.name} {o.name}" for c in commands for o in c.options if not (o.text or "`" in o.values)]
    assert [c.name for c in commands if not c.text] + bare == []


def test_every_setting_has_a_description(generate: ModuleType) -> None:
    settings = importlib.import_module("generator.settings")
    sections = [*settings.agent_sections(), *settings.fixed_sections()]
    assert [f"{x.title} {s.name}" for x in sections for s in x.settings if not s.text] == []


def test_every_metric_has_a_description(generate: ModuleType) -> None:
    metrics = importlib.import_module("generator.metrics").metrics()
    assert metrics and [metric.name for metric in metrics if not metric.text] == []


def test_every_request_has_a_description(generate: ModuleType) -> None:
    paths = importlib.import_module("generator.platform").served().openapi["paths"]
    bare = [f"{m} {p}" for p, item in paths.items() for m, said in item.items() if not said.get("summary")]
    assert paths and bare == []


def test_every_code_of_an_error_says_what_to_do(generate: ModuleType) -> None:
    errors = importlib.import_module("generator.errors")
    assert [code for code, _ in errors.codes() if code not in errors.ADVICE] == []
    assert sorted(errors.ADVICE.keys() - {code for code, _ in errors.codes()}) == []


def test_descriptions_are_found_where_settings_have_them(generate: ModuleType) -> None:
    descriptions = importlib.import_module("generator.descriptions")
    found = {s.name: s for s in descriptions.settings_of(Described)}
    assert found["queue_bytes_max"].text == "What may wait."
    assert found["wait_s"].text == found["pause_s"].text == "How long."
    assert found["mode"].text == "On its own line, and on a second."
    assert (found["level"].text, found["count"].text) == ("Behind it.", "")
    assert (found["queue_bytes_max"].unit, found["wait_s"].unit, found["count"].unit) == (
        "bytes",
        "seconds",
        "",
    )
    assert (found["queue_bytes_max"].default, found["wait_s"].default) == ("`2048` (2 KiB)", "")
