"""The agent as its users meet it: real processes, real files, a real platform that comes and goes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_rig import TABLE, Host
from platform_rig import COMMAND, SQL, Up, cli, up

from gapless.cli.output import utc
from waiting import until


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, Path]]:
    data = tmp_path_factory.mktemp("platform") / "data"
    with up(data) as running:
        yield running, data


@pytest.mark.system
def test_from_a_file_to_a_verdict_and_a_silent_agent_is_named(
    tmp_path: Path, platform: tuple[Up, Path]
) -> None:
    running, data = platform
    host = Host(tmp_path / "host-7", data, running.url)
    host.write(0, 1_000)
    with host.runs() as process:
        until(lambda: host.stored() == list(range(1_000)))
        until(lambda: host.audit()["verdict"] == "complete")
        assert {stream["coverage"] for stream in host.audit()["streams"]} == {"from-source"}
        uploader = host.status()["running"]["children"]["uploader"]["pid"]
        os.kill(uploader, signal.SIGSTOP)
        host.write(1_000, 500)
        until(lambda: "upload stalled" in {stream["state"] for stream in host.audit()["streams"]})
        until(lambda: host.stored() == list(range(1_500)))  # the watchdog has replaced it
        status = host.status()
        assert status["running"]["children"]["uploader"]["restarts"] == 1
        assert status["unsent_records"] == 0
        process.kill()
        process.wait()
    until(lambda: any("host-7" in why and "agent silent" in why for why in host.audit()["reasons"]))
    assert host.audit()["verdict"] == "unknown"
    until(lambda: host.status()["running"] is None)


@pytest.mark.system
def test_a_token_that_is_revoked_stops_an_agent_and_loses_nothing(
    tmp_path: Path, platform: tuple[Up, Path]
) -> None:
    running, data = platform
    host = Host(tmp_path / "host-6", data, running.url)
    with host.runs():
        until(lambda: "host-6" in {stream["agent"] for stream in host.audit()["streams"]})
        _, out, _ = cli("token", "list", "--format", "json", data=data)
        made = json.loads(out)[-1]
        assert (made["tenant"], made["scope"], made["revoked_us"]) == ("contoso", "ingest", None)
        code, _, words = cli("token", "revoke", made["id"], data=data)
        assert (code, words) == (0, f"token {made['id']} is revoked\n")
        host.write(0, 50)
        until(lambda: "revoked" in json.dumps(host.status()["running"]["children"]["uploader"]))
        until(lambda: any("host-6" in why and "agent silent" in why for why in host.audit()["reasons"]))
        assert host.status()["unsent_records"] == 50
        _, out, _ = cli("token", "create", "--tenant", "contoso", "--scope", "ingest", data=data)
        (host.directory / "token").write_bytes(out)
        until(lambda: host.status()["unsent_records"] == 0)
        until(lambda: not any("host-6" in why for why in host.audit()["reasons"]))
    [row] = [line for line in cli("token", "list", data=data)[1].decode().splitlines() if made["id"] in line]
    _, out, _ = cli("token", "list", "--format", "json", data=data)
    [revoked_us] = [each["revoked_us"] for each in json.loads(out) if each["id"] == made["id"]]
    assert row.endswith(utc(revoked_us))
    assert cli("token", "revoke", "none", data=data)[0] == 2


@pytest.mark.system
def test_while_the_platform_is_down_the_agent_keeps_and_says_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with up(data, port) as running:
        host = Host(tmp_path / "host-8", data, running.url)
    with host.runs():
        host.write(0, 2_000)
        until(lambda: host.status()["unsent_records"] == 2_000)
        until(lambda: host.status()["running"]["children"]["uploader"]["report"].get("error"))
        code, out, _ = cli("agent", "status", "--config", str(host.config), data=data)
        assert code == 0
        assert b"2000 records" in out and b"none yet" in out
        token, good = host.directory / "token", (host.directory / "token").read_text()
        token.write_text("wrong")
        with up(data, port):
            until(lambda: "token" in str(host.status()["running"]["children"]["uploader"]["report"]))
            assert host.status()["unsent_records"] == 2_000
            token.write_text(good)
            until(lambda: host.status()["unsent_records"] == 0)
            until(lambda: host.stored() == list(range(2_000)))


@pytest.mark.system
def test_what_is_piped_in_is_a_source(tmp_path: Path, platform: tuple[Up, Path]) -> None:
    running, data = platform
    host = Host(tmp_path / "host-9", data, running.url)
    host.config.write_text(
        host.config.read_text().split("[[source]]")[0]
        + '[[source]]\ntype = "stdin"\ntenant = "contoso"\ntable = "Piped_CL"\n'
    )
    command = [*COMMAND, "agent", "run", "--config", str(host.config)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        process.stdin.write(b"".join(b'{"n":%d}\n' % n for n in range(3_000)))
        process.stdin.flush()

        def stored() -> list[list[int]]:
            _, out, _ = cli(
                *SQL, "--tenant", "contoso", "--format", "json",
                "select count(*), count(distinct Data->>'$.n') from Piped_CL", data=data,
            )  # fmt: skip
            rows: list[list[int]] = json.loads(out)["rows"] if out else []
            return rows

        until(lambda: stored() == [[3_000, 3_000]])
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.system
def test_a_configuration_with_faults_is_refused_with_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('[agent]\nname = "a b"\ndata_dir = "relative"\n')
    code, out, words = cli("agent", "run", "--config", str(path), data=tmp_path)
    assert (code, out) == (2, b"")
    for word in ("agent.name", "agent.data_dir", "[gateway]", "[[source]]"):
        assert word in words


@pytest.mark.system
def test_a_disk_set_back_is_noticed_and_nothing_is_lost(tmp_path: Path, platform: tuple[Up, Path]) -> None:
    running, data = platform
    host = Host(tmp_path / "host-10", data, running.url)
    host.config.write_text(host.config.read_text().replace(TABLE, "SetBack_CL"))
    agent = tmp_path / "host-10" / "agent"

    def stored() -> set[int]:
        code, out, _ = cli(
            *SQL, "--tenant", "contoso", "--format", "json",
            "select distinct (Data->>'$.n')::int n from SetBack_CL", data=data,
        )  # fmt: skip
        return {row[0] for row in json.loads(out)["rows"]} if code == 0 else set()

    host.write(0, 500)
    with host.runs():
        until(lambda: stored() == set(range(500)))
    kept = {path: path.read_bytes() for path in agent.rglob("*") if path.is_file()}
    host.write(500, 500)
    with host.runs():
        until(lambda: stored() == set(range(1_000)))
    # As a machine's snapshot does it: every file as it was, in the same places.
    for path in [path for path in agent.rglob("*") if path.is_file()]:
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)
    host.write(1_000, 500)
    with host.runs():
        until(lambda: stored() == set(range(1_500)))
        until(lambda: host.status()["unsent_records"] == 0)
    epochs = [s for s in host.audit()["streams"] if s["agent"] == "host-10"]
    assert len(epochs) == 2
    assert not any(stream["missing"] for stream in epochs)
