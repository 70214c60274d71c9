"""A changed configuration comes into force if it is good; a bad or blank one never does."""

from __future__ import annotations

from pathlib import Path

import pytest
from spool_rig import CONFIG

from gapless.agent.config import AgentConfig, load_config
from gapless.agent.reload import ConfigFile
from gapless.log.disk import OsDisk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def present(path: Path) -> AgentConfig:
    return load_config(str(path))


def test_an_unchanged_file_changes_nothing(path: Path, present: AgentConfig) -> None:
    file = ConfigFile(OsDisk(), str(path))
    assert file.changed(present, forced=False) is None
    assert file.changed(present, forced=True) is None


def test_a_good_change_comes_into_force_once(path: Path, present: AgentConfig) -> None:
    file = ConfigFile(OsDisk(), str(path))
    path.write_text(CONFIG.replace("http://one", "http://three"))
    new = file.changed(present, forced=False)
    assert new is not None
    assert new.gateway.urls == ("http://three", "http://two")
    assert file.changed(new, forced=False) is None
    file.look_again()
    assert file.changed(present, forced=False) == new


@pytest.mark.case("T60")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "[agent",
        CONFIG.replace("contoso", "no/name"),
        CONFIG.replace("host-7", "host-8"),
        CONFIG.split("[[")[0],
    ],
)
def test_a_bad_change_is_refused_and_a_good_one_after_it_is_not(
    path: Path, present: AgentConfig, text: str
) -> None:
    file = ConfigFile(OsDisk(), str(path))
    path.write_text(text)
    assert file.changed(present, forced=False) is None
    assert file.faults
    path.write_text(CONFIG + "# better\n")
    assert file.changed(present, forced=False) is not None
    assert not file.faults


def test_a_file_that_is_gone_changes_nothing(path: Path, present: AgentConfig) -> None:
    file = ConfigFile(OsDisk(), str(path))
    path.unlink()
    assert file.changed(present, forced=False) is None
    assert file.faults
