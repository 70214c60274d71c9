"""Epochs that the platform told the agent to leave: written by the claims, heeded by the collector."""

from __future__ import annotations

import msgspec

from gapless.agent.layout import fenced_path
from gapless.log.disk import Disk, read_small
from gapless.model.errors import UNDECODABLE


class FencedEpoch(msgspec.Struct, frozen=True, order=True):
    """An epoch that must not go on."""

    stream: str
    epoch: str


def read_fenced(disk: Disk, data_dir: str) -> tuple[FencedEpoch, ...]:
    """Those known; none if the file cannot be read: the platform says them again with each answer."""
    try:
        data = read_small(disk, fenced_path(data_dir))
        return () if data is None else msgspec.json.decode(data, type=tuple[FencedEpoch, ...])
    except (OSError, *UNDECODABLE):
        return ()
