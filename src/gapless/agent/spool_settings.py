"""What the spool may take, and what it does when that is used up."""

from __future__ import annotations

from typing import Literal

import msgspec

SIZE_BYTES_MIN = 1 << 20


class SpoolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``size_bytes_max``: what the spool may take on disk. ``when_full``: "block" stops reading the
    sources; "declare" gives up the oldest segment, and says exactly what was in it.
    ``free_bytes_min``: what is left free on the disk whatever the spool's size.
    ``segment_bytes_max``: one file; what is freed or given up at a time."""

    size_bytes_max: int = 10 << 30
    when_full: Literal["block", "declare"] = "block"
    free_bytes_min: int = 256 << 20
    segment_bytes_max: int = 64 << 20

    def faults(self) -> list[str]:
        """Everything that is wrong, each named by its field."""
        faults = []
        if self.segment_bytes_max < 1:
            faults.append("segment_bytes_max must be more than 0")
        if self.free_bytes_min < 0:
            faults.append("free_bytes_min must be at least 0")
        if self.size_bytes_max < SIZE_BYTES_MIN:
            faults.append(f"size_bytes_max must be at least {SIZE_BYTES_MIN}")
        if self.size_bytes_max < 2 * self.segment_bytes_max:
            faults.append("size_bytes_max must hold two segments at least: lower segment_bytes_max, too")
        return faults
