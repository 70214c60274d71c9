"""The bounds within which the lake works."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gapless.model.errors import Misconfigured

_MIB = 1024**2


@dataclass(frozen=True)
class StepLimits:
    """Bounds of one step. A step's memory is a small multiple of ``chunk_bytes_max`` (one chunk is decoded
    while the one before it is written and the next one unpacked), plus the Parquet files of
    ``group_bytes_max`` of records, plus one batch (``raw_bytes_max``)."""

    group_bytes_max: int = 64 * _MIB  #: records of one step, exceeded by one batch at most
    entries_max: int = 10_000  #: journal entries of one step
    raw_bytes_max: int = 64 * _MIB  #: records of one batch; a larger one is quarantined as a whole
    chunk_bytes_max: int = 16 * _MIB  #: decoded in one go, exceeded by one batch at most
    chunk_records_max: int = 128 * 1024  #: decoded in one go
    days_max: int = 8  #: files that one step writes for one table, plus one for all other days
    quarantine_runs_max: int = 4096  #: separate bad runs in a piece; beyond, all of it is quarantined

    def check(self) -> StepLimits:
        """Return self if steps can keep to the limits. Raises Misconfigured with every fault."""
        _check(self, dict.fromkeys(asdict(self), 1))
        return self


@dataclass(frozen=True)
class CompactionLimits:
    """How compaction is done. Sizes are of Parquet files (a tenth to a twentieth of the raw records)."""

    fresh_files_max: int = 16  #: files of one size that a day may have before they are compacted
    input_bytes_max: int = 16 * _MIB  #: read for one new file; a file of half of it is full
    row_group_rows: int = 20_000  #: rows of one row group of a Parquet file
    memory_bytes_max: int = 512 * _MIB  #: beyond it sorting goes to disk
    settle_s: int = 3600  #: a day is settled when it got no file for so long
    look_s: int = 10  #: a day that got files is looked at so often

    def check(self) -> CompactionLimits:
        """Return self if compaction can keep to the limits. Raises Misconfigured with every fault."""
        least = {"fresh_files_max": 2, "input_bytes_max": 128 * 1024, "memory_bytes_max": 64 * _MIB}
        _check(self, {"row_group_rows": 1, "settle_s": 0, "look_s": 0, **least})
        return self


@dataclass(frozen=True)
class CheckLimits:
    """How the files of the tables are checked."""

    look_s: int = 10  #: how often it is looked whether a file is missing
    sweep_s: int = 3600  #: how often all files are read again, and compared with what was written
    bytes_per_s: int = 8 * _MIB  #: read by that, over time

    def check(self) -> CheckLimits:
        """Return self if checks can keep to the limits. Raises Misconfigured with every fault."""
        _check(self, {"look_s": 0, "sweep_s": 0, "bytes_per_s": 1})
        return self


def _check(limits: Any, least: dict[str, int]) -> None:
    faults = [
        f"{name} is {getattr(limits, name)}: make it at least {bound}"
        for name, bound in least.items()
        if getattr(limits, name) < bound
    ]
    if faults:
        raise Misconfigured(faults)
