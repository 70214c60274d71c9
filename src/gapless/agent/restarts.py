"""The children that had to be replaced: written by the supervisor, told by the claims."""

from __future__ import annotations

import msgspec

from gapless.agent.layout import restarts_path
from gapless.log.disk import Disk, read_small, write_atomically
from gapless.model.claim import Restart
from gapless.model.errors import UNDECODABLE

#: The newest are kept; the claims name each until the platform has heard of it.
RESTARTS_MAX = 100


def read_restarts(disk: Disk, data_dir: str) -> tuple[Restart, ...]:
    """What was written last; nothing if that cannot be read: it is of no use but to be told."""
    try:
        data = read_small(disk, restarts_path(data_dir))
        return () if data is None else msgspec.json.decode(data, type=tuple[Restart, ...])
    except (OSError, *UNDECODABLE):
        return ()


def write_restarts(disk: Disk, data_dir: str, restarts: tuple[Restart, ...]) -> None:
    """Durable on return. Raises OSError."""
    write_atomically(disk, restarts_path(data_dir), msgspec.json.encode(restarts[-RESTARTS_MAX:]))
