"""The configuration file while the agent runs: a change that is good comes into force, a bad one does not."""

from __future__ import annotations

import structlog

from gapless.agent.config import AgentConfig, parse_config, read_config
from gapless.log.disk import Disk
from gapless.model.errors import Misconfigured

_log = structlog.get_logger("gapless.agent")


class ConfigFile:
    """Watches one file of a disk. ``faults`` are those of its present content; empty when that is in
    force."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._seen: str | None = None
        self.faults: list[str] = []

    def load(self) -> AgentConfig:
        """What it holds now. Raises Misconfigured with every fault at once."""
        self._seen = read_config(self._disk, self._path)
        return parse_config(self._seen)

    def changed(self, present: AgentConfig, *, forced: bool) -> AgentConfig | None:
        """Another configuration than ``present``, if the file holds a good one. ``forced``: tell of its
        faults again, though it is unchanged."""
        seen, self._seen = self._seen, None
        try:
            self._seen = text = read_config(self._disk, self._path)
            if text == seen and not forced:
                return None
            new = parse_config(text)
            if (new.agent.name, new.agent.data_dir) != (present.agent.name, present.agent.data_dir):
                raise Misconfigured(
                    ["agent.name and agent.data_dir cannot change while the agent runs: restart it for that"]
                )
        except Misconfigured as error:
            if error.faults != self.faults or forced:
                _log.error("configuration_refused", faults=error.faults, in_force="the last good one")
            self.faults = error.faults
            return None
        self.faults = []
        return None if new.text == present.text else new

    def look_again(self) -> None:
        """What ``changed`` returned could not be used: return it again next time."""
        self._seen = None
