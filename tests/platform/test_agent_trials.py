"""An agent that is changed, stopped, misconfigured and cut off: what other collectors lost or hung on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from agent_rig import Host
from platform_rig import COMMAND, environment, until, up

CHANGES = 100
SMALL = "[spool]\nsegment_bytes_max = 65536\n[upload]\nrequest_batches_max = 4\n"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _other_source(host: Host) -> str:
    paths = f'["{host.directory}/more/*.log"]'
    return f'[[source]]\ntype = "file"\npaths = {paths}\ntenant = "contoso"\ntable = "Other_CL"\n'


@pytest.mark.case("T5", "T12", "T54", "T58")
@pytest.mark.system
def test_a_hundred_changes_of_configuration_in_quick_succession_lose_nothing(tmp_path: Path) -> None:
    """Under load, with the platform away for half of them; a source comes and goes, and the last one wins."""
    data, port = tmp_path / "data", _free_port()
    with up(data, port) as running:
        host = Host(tmp_path / "host-5", data, running.url)
    good = host.config.read_text() + SMALL
    other = _other_source(host)
    (host.directory / "more").mkdir()
    with host.runs() as process:
        for change in range(CHANGES):
            _configure(host, good + (other if change % 2 else "") + f"# {change}\n")
            if change % 3 == 0:
                process.send_signal(signal.SIGHUP)
            host.write(change * 20, 20)
        written = CHANGES * 20
        until(lambda: host.status()["unsent_records"] == written)
        with up(data, port):
            for change in range(CHANGES):
                _configure(host, good + (other if change % 2 else "") + f"# again {change}\n")
                host.write(written + change * 20, 20)
            written *= 2
            until(lambda: host.stored() == list(range(written)))
            (host.directory / "more" / "b.log").write_bytes(b'{"n":1}\n' * 5)
            until(lambda: host.audit()["totals"]["stored"] == written + 5)
            until(lambda: host.audit()["verdict"] == "complete")
            assert (host.directory / "agent" / "config.toml").read_text() == host.config.read_text()
        # The platform is away again, and there is a backlog: neither a change nor the end waits for it.
        host.write(written, 20)
        until(lambda: host.status()["unsent_records"] == 20)
        _configure(host, good + "# the last\n")
        agent_config = host.directory / "agent" / "config.toml"
        until(lambda: agent_config.read_text().endswith("# the last\n"))
        process.terminate()
        assert process.wait(timeout=20) == 0


@pytest.mark.case("T7", "T20", "T27", "T29", "T46")
@pytest.mark.system
def test_a_backlog_outlives_restarts_a_stuck_sender_and_a_configuration_that_cannot_be(
    tmp_path: Path,
) -> None:
    data, port = tmp_path / "data", _free_port()
    with up(data, port) as running:
        host = Host(tmp_path / "host-6", data, running.url)
    good = host.config.read_text() + SMALL
    _configure(host, good)
    for restart in range(3):
        _spooled_and_stopped(host, restart * 10_000)
    written = 30_000
    _configure(host, good.replace("[spool]", "[sopol]"))
    refused = subprocess.run(
        [*COMMAND, "agent", "run", "--config", str(host.config)],
        capture_output=True, env=environment(data), timeout=60,
    )  # fmt: skip
    assert refused.returncode == 2 and b"[sopol] is not known" in refused.stderr
    _configure(host, good)
    with host.runs(), up(data, port):
        until(lambda: host.stored() == list(range(written)))
        until(lambda: host.status()["unsent_records"] == 0)
        assert all(child["restarts"] == 0 for child in host.status()["running"]["children"].values())


def _spooled_and_stopped(host: Host, written: int) -> None:
    """Run the agent for 10,000 more records, and stop it while its uploader is stuck."""
    with host.runs() as process:
        host.write(written, 10_000)
        until(lambda: host.status()["unsent_records"] == written + 10_000)
        uploader = host.status()["running"]["children"]["uploader"]["pid"]
        os.kill(uploader, signal.SIGSTOP)
        process.terminate()
        assert process.wait(timeout=20) == 0
        until(lambda: not Path(f"/proc/{uploader}").exists())


def _configure(host: Host, text: str) -> None:
    prepared = host.config.with_suffix(".prepared")
    prepared.write_text(text)
    prepared.rename(host.config)
