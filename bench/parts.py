"""The parts under measurement, each started as its users start it, in directories of their own."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.inputs import Input
from bench.processes import command
from gapless.agent.config import load_config
from gapless.agent.layout import status_path
from gapless.agent.status import AgentStatus, Running, agent_status
from gapless.cli.client import connect
from gapless.platform.queries import QueryAnswer, QueryBody

TENANT = "contoso"
START_S_MAX = 60.0
_STOP_S_MAX = 20.0
_GAPLESS = (sys.executable, "-c", "from gapless.cli.main import main; main()")


class Failed(Exception):
    """A part did not do what is to be measured."""


class NewToken(msgspec.Struct):
    token: str


@contextmanager
def process(arguments: Sequence[str], log: str, **more: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block; what it says on standard error goes to ``log``."""
    with open(log, "ab") as errors:
        running: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            arguments, stdout=subprocess.PIPE, stderr=errors, start_new_session=True, **more
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        for pipe in (running.stdout, running.stdin):
            if pipe is not None:
                pipe.close()


def line_of(running: subprocess.Popen[bytes], timeout_s: float = START_S_MAX) -> str:
    """The next line that a program prints. Raises Failed if none comes."""
    assert running.stdout is not None
    if not select.select([running.stdout], [], [], timeout_s)[0]:
        raise Failed(f"{running.args!r} said nothing for {timeout_s:g} s")
    line = running.stdout.readline()
    if not line:
        raise Failed(f"{running.args!r} ended")
    return line.decode().strip()


def wait_until(reached: Callable[[], bool], timeout_s: float, what: str, every_s: float = 0.05) -> None:
    """Raises Failed if it takes longer."""
    by_s = time.monotonic() + timeout_s
    while not reached():
        if time.monotonic() > by_s:
            raise Failed(f"{what}: not within {timeout_s:g} s")
        time.sleep(every_s)


class Agent:
    """An agent that follows ``work/in/*/*.log``."""

    def __init__(self, work: str, running: subprocess.Popen[bytes], config: str) -> None:
        self.pid = running.pid
        self.inbox = f"{work}/in"
        self._config = load_config(config)

    def label(self, pid: int) -> str:
        """collector, uploader, claims, or agent (their supervisor); empty for other processes."""
        if pid == self.pid:
            return "agent"
        data = Path(status_path(self._config.agent.data_dir)).read_bytes()
        children = msgspec.json.decode(data, type=Running).children
        return next((name for name, child in children.items() if child.pid == pid), "")

    def read(self) -> int:
        """Records durable in the spool, so far."""
        return sum(stream.next for stream in self._status().streams)

    def receipts(self) -> int:
        """Records that have a durable receipt."""
        return sum(stream.next - stream.unsent_records for stream in self._status().streams)

    def runs(self) -> bool:
        """Whether all of its processes have begun their work."""
        running = self._status().running
        return running is not None and all(
            child.report is not None and child.report.progress > 0 for child in running.children.values()
        )

    def _status(self) -> AgentStatus:
        return agent_status(self._config, time.time_ns() // 1000)


@contextmanager
def agent(work: str, kind: Input, url: str, token: str = "none") -> Iterator[Agent]:
    """An agent in a new directory ``work``, its settings those of a user who gives none."""
    os.makedirs(f"{work}/in")
    Path(f"{work}/token").write_text(token)
    Path(f"{work}/agent.toml").write_text(
        f"""[agent]
name = "bench"
data_dir = "{work}/agent"
[gateway]
urls = ["{url}"]
token_file = "{work}/token"
[[source]]
type = "file"
paths = ["{work}/in/*/*.log"]
tenant = "{TENANT}"
table = "{kind.table}"
"""
    )
    with process(
        (*_GAPLESS, "agent", "run", "--config", f"{work}/agent.toml"), f"{work}/agent.err"
    ) as running:
        line_of(running)
        started = Agent(work, running, f"{work}/agent.toml")
        wait_until(started.runs, START_S_MAX, "the agent's processes report")
        yield started


@contextmanager
def receiver(work: str) -> Iterator[str]:
    """The gateway that only answers; gives its URL."""
    with process((sys.executable, "-m", "bench.receiver"), f"{work}/receiver.err") as running:
        yield f"http://127.0.0.1:{line_of(running)}"


class Platform:
    """A platform, or its gateway alone."""

    def __init__(self, directory: str, pid: int, url: str) -> None:
        self.directory, self.pid, self.url = directory, pid, url

    def new_token(self, scope: str) -> str:
        """For the tenant of the benchmark."""
        with connect(self.directory, self.url, None) as client:
            return client.post("/v1/tokens", {"tenant": TENANT, "scope": scope, "tables": []}, NewToken).token

    def ask(self, text: str) -> int:
        """The one number that a query gives; 0 for none."""
        with connect(self.directory, self.url, None) as client:
            answer = client.post("/v1/query", QueryBody(tenant=TENANT, text=text), QueryAnswer)
        [[value]] = msgspec.json.decode(answer.rows)
        return value or 0

    @staticmethod
    def label(pid: int) -> str:
        """gateway, lake, ledger, query (its workers), or up (their supervisor)."""
        line = command(pid)
        for name in ("gateway", "lake", "ledger"):
            if f"gapless.platform.{name}_process" in line:
                return name
        return "up" if " up " in line else "query"


@contextmanager
def platform(work: str) -> Iterator[Platform]:
    """``gapless up`` over a new directory."""
    directory = f"{work}/platform"
    arguments = (*_GAPLESS, "up", "--data", directory, "--listen", "127.0.0.1:0")
    with process(arguments, f"{work}/platform.err") as running:
        yield Platform(directory, running.pid, line_of(running).split()[-1])


@contextmanager
def gateway(work: str) -> Iterator[Platform]:
    """The platform's gateway process over a new directory, without those that read its journal."""
    directory = f"{work}/platform"
    os.makedirs(directory)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        descriptor = listener.fileno()
        module = "gapless.platform.gateway_process"
        arguments = (sys.executable, "-m", module, str(os.getpid()), directory, str(descriptor))
        with process(arguments, f"{work}/platform.err", pass_fds=(descriptor,)) as running:
            line_of(running)
            yield Platform(directory, running.pid, f"http://127.0.0.1:{listener.getsockname()[1]}")
