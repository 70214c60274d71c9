"""A real platform in processes of its own, and the command line that talks to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from waiting import until

COMMAND = (sys.executable, "-c", "from gapless.cli.main import main; main()")


#: A query in SQL: what must hold is counted without our own language.
SQL = ("query", "--language", "sql")


def cli(*arguments: str, data: Path, token: str | None = None, stdin: bytes = b"") -> tuple[int, bytes, str]:
    """Run ``gapless``; return its exit code, what it printed, and what it said."""
    done = subprocess.run(
        [*COMMAND, *arguments], input=stdin, capture_output=True, env=environment(data, token), timeout=60
    )
    return done.returncode, done.stdout, done.stderr.decode()


def environment(data: Path, token: str | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GAPLESS_")}
    more = {"GAPLESS_DATA": str(data), "COLUMNS": "200"}
    return kept | more | ({} if token is None else {"GAPLESS_TOKEN": token})


class Process:
    """A process that is started again, with the same command, when it was killed."""

    def __init__(
        self, arguments: list[str], data: Path, words: Path, more: Mapping[str, str] | None = None
    ) -> None:
        self._arguments = arguments
        self._data = data
        self._words = words
        self._more = dict(more or {})
        self._lock = threading.Lock()  # of starting and killing, by test and killer
        self.start()

    def start(self) -> None:
        with self._words.open("ab") as words:
            self.process = subprocess.Popen(
                [*COMMAND, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                env=environment(self._data) | self._more,
            )

    def revive(self) -> None:
        """Start it again if it ended."""
        with self._lock:
            if self.process.poll() is not None:
                self.start()

    def kill(self) -> None:
        """SIGKILL to who leads it; the kernel ends its children."""
        self.process.kill()
        self.process.wait()

    def family(self) -> list[int]:
        """Its pid, and those of its children."""
        pid = self.process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return []
        return [pid, *(int(child) for child in children)]

    def kill_child(self) -> None:
        """SIGKILL to its first child, if there is one."""
        for pid in self.family()[1:2]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_one(self, random: Random) -> str:
        """SIGKILL one of the family; who led it is started again."""
        with self._lock:
            family = self.family()
            if not family:
                return "nobody"
            victim = random.choice(family)
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            if victim == self.process.pid:
                self.process.wait()
                self.start()
                return "the supervisor"
            return "a child"


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Up:
    """A running ``gapless up``."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url

    def child(self, name: str) -> int:
        """The pid of the child that runs ``gapless.platform.<name>_process``; 0 while there is none."""
        for pid in self.children():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except FileNotFoundError:
                continue
            if f"gapless.platform.{name}_process".encode() in command.split(b"\0"):
                return pid
        return 0

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill_child(self, name: str) -> None:
        """SIGKILL, and wait until another has taken its place."""
        pid = self.child(name)
        assert pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.child(name) not in (0, pid))


@contextmanager
def up(
    data: Path, port: int = 0, options: Sequence[str] = (), more: Mapping[str, str] | None = None
) -> Iterator[Up]:
    """The platform over ``data``, on ``port`` or a free one, with ``more`` in its environment; killed at the
    end if it still runs."""
    words = data.with_suffix(".stderr").open("ab")
    process = subprocess.Popen(
        [*COMMAND, "up", "--listen", f"127.0.0.1:{port}", *options],
        stdout=subprocess.PIPE,
        stderr=words,
        env=environment(data) | dict(more or {}),
    )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline().decode().split()
        assert len(ready) == 2 and ready[0] == "ready", data.with_suffix(".stderr").read_text()
        yield Up(process, ready[1])
    finally:
        process.kill()
        process.communicate()
        words.close()
