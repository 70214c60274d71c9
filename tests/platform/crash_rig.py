"""A platform and an agent that end where a test says: at named points, exactly there, again and again."""

from __future__ import annotations

import json
import os
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from platform_rig import Process, free_port

from gapless.agent.follow import SpoolView
from gapless.failpoint import VARIABLE
from gapless.log.disk import OsDisk

#: Set by ``make crash``: everything, however long it takes.
ALL = "GAPLESS_CRASH_ALL" in os.environ
TENANT, TABLE = "contoso", "Crash_CL"
_LOOK_S = 0.02
#: For what hangs only: after some kills a platform takes a minute to start on a busy machine.
_HANGS_S = 180


class Points:
    """The failpoints of the processes that were started with ``environment``."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self.environment = {VARIABLE: str(directory)}

    def arm(self, names: Iterable[str], order: str) -> None:
        for name in names:
            (self._directory / f"{name}.struck").unlink(missing_ok=True)
            prepared = self._directory / f"{name}.prepared"
            prepared.write_text(order)
            prepared.rename(self._directory / name)

    def waiting(self) -> list[str]:
        """Those that are armed, and that nobody came by."""
        return sorted(path.name for path in self._directory.iterdir() if path.suffix != ".struck")


class Site:
    """The two, over ``directory``. The agent follows ``sources`` files, each for a stream."""

    def __init__(
        self, directory: Path, ended: ExitStack, *, sources: int, options: tuple[str, ...] = ()
    ) -> None:
        self.directory, self.sources = directory, sources
        self.data = directory / "data"
        self.platform_points, self.agent_points = Points(directory / "of-up"), Points(directory / "of-agent")
        self.written = 0
        self._config, self._settings = directory / "agent.toml", ""
        self._ended, self._port, self._options = ended, free_port(), options
        self.url = f"http://127.0.0.1:{self._port}"
        self.http = ended.enter_context(httpx.Client(base_url=self.url, timeout=30))
        self.processes: list[Process] = []
        (directory / "logs").mkdir()

    def start_platform(self) -> None:
        self._start(["up", "--listen", f"127.0.0.1:{self._port}", *self._options], "up", self.platform_points)

    def start_agent(self, settings: str = "") -> None:
        """With ``settings``: more sections of its configuration."""
        self._settings = settings
        self.configure()
        self._start(["agent", "run", "--config", str(self._config)], "agent", self.agent_points)

    def configure(self, comment: str = "") -> None:
        """Another configuration, which says the same."""
        sources = "".join(
            f'[[source]]\ntype = "file"\npaths = ["{self.directory}/logs/{at}.log"]\n'
            f'tenant = "{TENANT}"\ntable = "{TABLE}"\nname = "source-{at}"\n'
            for at in range(self.sources)
        )
        prepared = self.directory / "agent.toml.prepared"
        prepared.write_text(
            f'[gateway]\nurls = ["{self.url}"]\ntoken_file = "{self.data}/admin.token"\n{self._settings}'
            f'[agent]\nname = "host-7"\ndata_dir = "{self.directory}/agent"\ncommit_interval_s = 0.05\n'
            f"claim_interval_s = 0.5\nstalled_s = 5\n{sources}{comment}"
        )
        prepared.rename(self._config)

    def _start(self, arguments: list[str], name: str, points: Points) -> None:
        process = Process(arguments, self.data, self.directory / f"{name}.log", points.environment)
        self._ended.callback(process.kill)
        self.processes.append(process)

    def stop(self) -> None:
        """SIGKILL to both."""
        for process in self.processes:
            process.kill()
        self.processes.clear()

    def until(
        self, condition: Callable[[], object], timeout_s: float = _HANGS_S, *, reviving: bool = True
    ) -> None:
        """Wait for ``condition``; who was ended as a whole is started again meanwhile, if ``reviving``."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            for process in self.processes if reviving else ():
                process.revive()
            assert time.monotonic() < deadline_s, self._state()
            time.sleep(_LOOK_S)

    def _state(self) -> str:
        waiting = (self.platform_points.waiting(), self.agent_points.waiting())
        audit = self.audit()
        heard = (waiting, self.written, self.stored(), audit.get("verdict"), audit.get("reasons"))
        words = [self.said(name)[-3000:] for name in ("agent", "up")]
        return "\n".join([*words, *map(str, heard)])

    def said(self, name: str) -> str:
        """What it has printed; nothing if it was never started."""
        path = self.directory / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def told_by(self, child: str) -> str:
        """What a process of the agent says is in its way."""
        try:
            status = json.loads((self.directory / "agent" / "status.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return ""
        return str((status["children"][child]["report"] or {}).get("error", ""))

    def read_bytes(self) -> int:
        """How far the sources were read, durably."""
        view = SpoolView(OsDisk(), str(self.directory / "agent" / "spool"))
        view.follow_all()
        view.close()
        return sum(cursor.offset for state in view.state.snapshot().streams for cursor in state.cursors)

    def write(self, count: int, pad_bytes: int = 0) -> None:
        """``count`` more records into each source, each with so much that hardly compresses."""
        for at in range(self.sources):
            with (self.directory / "logs" / f"{at}.log").open("ab") as file:
                file.write(
                    b"".join(
                        b'{"s":%d,"n":%d,"pad":"%s"}\n'
                        % (at, self.written + n, b64encode(os.urandom(pad_bytes * 3 // 4)))
                        for n in range(count)
                    )
                )
        self.written += count

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """An operator's request; None while the platform does not answer it."""
        try:
            token = (self.data / "admin.token").read_text().strip()
            answer = self.http.request(method, path, headers={"Authorization": f"Bearer {token}"}, **more)
            return answer.json() if answer.status_code < 300 else None
        except (FileNotFoundError, httpx.TransportError):
            return None

    def stored(self) -> Any:
        """Of each source: its number, how many records are stored, how many differ, the first, the last."""
        text = (
            "select (Data->>'$.s')::int s, count(*), count(distinct Data->>'$.n'), "
            f"min((Data->>'$.n')::int), max((Data->>'$.n')::int) from {TABLE} group by 1 order by 1"
        )
        answer = self.ask("POST", "/v1/query", json={"tenant": TENANT, "text": text, "language": "sql"})
        return None if answer is None else answer["rows"]

    def audit(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/v1/audit", params={"tenant": TENANT}) or {}
        return found

    def settle(self, timeout_s: float = _HANGS_S) -> None:
        """Until every record that was written is stored, exactly once."""
        n = self.written
        wanted = [[at, n, n, 0, n - 1] for at in range(self.sources)]
        self.until(lambda: self.stored() == wanted, timeout_s)

    def complete(self, timeout_s: float = _HANGS_S) -> dict[str, Any]:
        """Until the audit says that nothing is missing, and counts all that was written: a verdict is of some
        seconds ago, the totals are of now. The audit."""
        found: dict[str, Any] = {}

        def counted() -> bool:
            found.clear()
            found.update(self.audit())
            totals = found.get("totals", {})
            accounts = tuple(totals.get(name) for name in ("stored", "missing", "lost"))
            return found.get("verdict") == "complete" and accounts == (self.written * self.sources, 0, 0)

        self.until(counted, timeout_s)
        return found


@contextmanager
def site(directory: Path, *, sources: int, options: tuple[str, ...] = ()) -> Iterator[Site]:
    with ExitStack() as ended:
        yield Site(directory, ended, sources=sources, options=options)
