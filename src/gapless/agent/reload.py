"""The configuration file while the agent runs: a change that is good comes into force, a bad one does not."""

from __future__ import annotations

import os

import structlog

from gapless.agent.config import AgentConfig, load_config
from gapless.model.errors import Misconfigured

_log = structlog.get_logger("gapless.agent")


class ConfigFile:
    """Watches one file. ``faults`` are those of its present content; empty when that is in force."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen = _mark(path)
        self.faults: list[str] = []

    def changed(self, present: AgentConfig, *, forced: bool) -> AgentConfig | None:
        """Another configuration than ``present``, if the file holds a good one. ``forced``: look at it even
        if it seems unchanged."""
        mark = _mark(self._path)
        if mark == self._seen and not forced:
            return None
        self._seen = mark
        try:
            new = load_config(self._path)
            if (new.agent.name, new.agent.data_dir) != (present.agent.name, present.agent.data_dir):
                raise Misconfigured(
                    ["agent.name and agent.data_dir cannot change while the agent runs: restart it for that"]
                )
        except Misconfigured as error:
            self.faults = error.faults
            _log.error("configuration_refused", faults=error.faults, in_force="the last good one")
            return None
        self.faults = []
        return None if new.text == present.text else new

    def look_again(self) -> None:
        """What ``changed`` returned could not be used: return it again next time."""
        self._seen = None


def _mark(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
