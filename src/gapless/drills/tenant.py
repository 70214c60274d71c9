"""A tenant of an act: its agent, as a process on real files, and what was seen of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from gapless import clock
from gapless.agent.config import load_config
from gapless.agent.status import AgentStatus, agent_status
from gapless.drills.faults import stuck_since_ns
from gapless.drills.outcome import Times
from gapless.drills.platform_client import StoredRow
from gapless.drills.processes import Process
from gapless.drills.workload import LogKey

_START_S_MAX = 60.0


class AgentPlan(NamedTuple):
    """How an act's agents are set up. ``age`` is "then" (as in 2024) or "now" (the product); the rest goes
    into the configuration: section [spool], and how soon the watchdog replaces what is stuck."""

    age: str
    spool: dict[str, object]
    stalled_s: float


class Tenant:
    """One tenant with one agent, which follows all its logs. Times are of the wall clock, None until then."""

    def __init__(self, name: str, directory: Path, logs: Mapping[LogKey, Path], plan: AgentPlan) -> None:
        self.name = name
        self.rows: list[StoredRow] = []  # as of the last look
        self.noticed_at_s: float | None = None
        self.repaired_at_s: float | None = None
        self._plan = plan
        self._urls: Iterator[str] = iter(())
        self._logs = dict(logs)
        self._directory = directory
        self._config = directory / "agent.toml"
        self._mark = directory / "stuck"
        self.agent = Process(
            f"the agent of {name}",
            "gapless.drills.agent_process",
            *(str(self._config), str(self._mark), plan.age),
            log=directory / "agent.log",
        )

    @property
    def tables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(log.table for log in self._logs))

    @property
    def stuck_at_s(self) -> float | None:
        """When the first dispatch thread of its agent got stuck."""
        since_ns = stuck_since_ns(self._mark)
        return None if since_ns is None else since_ns / 1e9

    @property
    def times(self) -> Times:
        return Times(self._after_s(self.noticed_at_s), self._after_s(self.repaired_at_s))

    async def start(self, port: int, token: str) -> None:
        """Start the agent, with the platform on ``port`` of this machine."""
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "token").write_text(token)
        # Two names of the same place: another endpoint, the same platform.
        self._urls = cycle((f"http://127.0.0.1:{port}", f"http://localhost:{port}"))
        self._write_config()
        await self.agent.start(_START_S_MAX)

    async def restart(self) -> None:
        """What the provider did by hand, two weeks later."""
        await self.agent.stop()
        await self.agent.start(_START_S_MAX)

    def change_endpoint(self) -> None:
        """Have the agent send to the other name from now on."""
        self._write_config()
        self.agent.hang_up()

    def status(self) -> AgentStatus:
        """What its spool holds. Raises Unavailable if the disk refuses."""
        return agent_status(load_config(str(self._config)), clock.now_us())

    def _after_s(self, at_s: float | None) -> float | None:
        stuck_at_s = self.stuck_at_s
        return None if at_s is None or stuck_at_s is None else round(at_s - stuck_at_s, 1)

    def _write_config(self) -> None:
        new = self._config.with_suffix(".new")
        new.write_text(self._toml(next(self._urls)))
        os.rename(new, self._config)  # whole at any time

    def _toml(self, url: str) -> str:
        plan, directory = self._plan, self._directory
        sections: list[tuple[str, dict[str, object]]] = [
            ("[agent]", {"name": "drill", "data_dir": f"{directory}/data", "stalled_s": plan.stalled_s}),
            ("[gateway]", {"urls": [url], "token_file": f"{directory}/token"}),
            ("[spool]", plan.spool),
        ]
        for log, path in self._logs.items():
            source = {"type": "file", "paths": [f"{path}*"]}  # the rotated ones, too
            stream = {"tenant": log.tenant, "table": log.table, "name": log.service}
            sections.append(("[[source]]", {**source, **stream}))
        # What JSON writes for texts, numbers and lists of texts is TOML as well.
        return "".join(
            "\n".join([head, *(f"{name} = {json.dumps(value)}" for name, value in values.items()), ""])
            for head, values in sections
        )
