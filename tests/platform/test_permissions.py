"""Directories and files that may not be used: it is said which, and what to do; it goes on once they may."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from platform_rig import COMMAND, environment, until

from gapless.agent.follow import SpoolView
from gapless.log.disk import OsDisk

#: Root may use everything: so it gives up the right to.
POWERLESS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(POWERLESS) and shutil.which("setpriv") is None, reason="root, without setpriv"),
]


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A directory in which nothing can be made."""
    directory = tmp_path / "closed"
    directory.mkdir(mode=0o500)
    yield directory
    directory.chmod(0o700)


def configured(tmp_path: Path, data_dir: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(
        f'[agent]\nname = "host-7"\ndata_dir = "{data_dir}"\n'
        f'[gateway]\nurls = ["http://127.0.0.1:1"]\ntoken_file = "{tmp_path}/token"\n'
        f'[[source]]\ntype = "file"\npaths = ["{tmp_path}/logs/*.log"]\n'
        'tenant = "contoso"\ntable = "App_CL"\n'
    )
    return path


def test_a_platform_says_which_directory_it_may_not_use(closed: Path) -> None:
    command = [*POWERLESS, *COMMAND, "up", "--listen", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, env=environment(closed / "data"), timeout=60)
    assert done.returncode == 2
    assert f"{closed}/data: Permission denied: name one that can be used" in done.stderr.decode()


def test_an_agent_says_which_directory_it_may_not_use(tmp_path: Path, closed: Path) -> None:
    config = configured(tmp_path, closed / "agent")
    command = [*POWERLESS, *COMMAND, "agent", "run", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, env=environment(tmp_path), timeout=60)
    assert done.returncode == 3
    assert "cannot be used (Permission denied): name another agent.data_dir" in done.stderr.decode()


@contextmanager
def running(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """An agent; yields what tells all that it says."""
    command = [
        *POWERLESS,
        *COMMAND,
        "agent",
        "run",
        "--config",
        str(configured(tmp_path, tmp_path / "agent")),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment(tmp_path))

    def says() -> str:
        try:
            return json.dumps(json.loads((tmp_path / "agent" / "status.json").read_bytes())["children"])
        except FileNotFoundError:
            return ""

    try:
        yield says
    finally:
        process.terminate()
        process.wait(20)


def test_a_spool_and_a_source_that_may_not_be_used_are_named_and_gone_on_with_when_they_may(
    tmp_path: Path,
) -> None:
    spool, source = tmp_path / "agent" / "spool", tmp_path / "logs" / "a.log"
    spool.mkdir(parents=True)
    source.parent.mkdir()
    source.write_text("one\n")
    source.chmod(0)
    spool.chmod(0o500)
    with running(tmp_path) as says:
        until(lambda: f"the disk refuses the log in {spool} (Permission denied)" in says())
        spool.chmod(0o700)
        until(lambda: f"{source}: " in says())
        source.chmod(0o600)
        until(lambda: "Permission denied" not in says() and spooled(spool) == 1)


def spooled(spool: Path) -> int:
    """How many records are in it."""
    view = SpoolView(OsDisk(), str(spool))
    view.follow_all()
    view.close()
    return sum(batch.records for batch in view.batches)
