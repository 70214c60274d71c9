"""What the agent's processes have of the machine that they run on. A simulation gives them another."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol
from uuid import uuid4

from gapless import clock
from gapless.agent.channel import Report
from gapless.agent.config import AgentConfig
from gapless.agent.sources import OsHost
from gapless.agent.sources.port import SourceHost
from gapless.log.disk import Disk, OsDisk
from gapless.model.signing import Signer


class Machine(NamedTuple):
    """``now_us`` is the time of day; ``monotonic_s`` never steps. ``mint`` gives identities, 32 hex digits,
    that nobody else ever gets; ``new_key`` a private key for claims."""

    disk: Disk
    files: SourceHost
    now_us: Callable[[], int]
    monotonic_s: Callable[[], float]
    mint: Callable[[], str]
    new_key: Callable[[], bytes]


class Supervised(Protocol):
    """What a process of the agent has of its supervisor: see ``Channel``."""

    @property
    def config(self) -> AgentConfig: ...

    def report(self, report: Report) -> None: ...


def this_machine(goes_on: Callable[[], None] = lambda: None) -> Machine:
    """The one that this process runs on. ``goes_on``: see ``OsHost``."""
    return Machine(
        OsDisk(), OsHost(goes_on), clock.now_us, time.monotonic, lambda: uuid4().hex, Signer.new_private_key
    )
