"""The drills there are, by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from gapless.drills import microsoft_2024_09
from gapless.drills.outcome import DrillOutcome
from gapless.drills.progress import Progress
from gapless.model.errors import Refused


class Drill(NamedTuple):
    """A named incident. ``run`` plays it with all its files in a directory."""

    name: str
    title: str
    run: Callable[[Path, Progress], Awaitable[DrillOutcome]]


DRILLS = (Drill(microsoft_2024_09.NAME, microsoft_2024_09.TITLE, microsoft_2024_09.run),)


def drill(name: str) -> Drill:
    """The drill called ``name``. Raises Refused when there is none."""
    for candidate in DRILLS:
        if candidate.name == name:
            return candidate
    raise Refused(f"there is no drill {name!r}: use {' or '.join(each.name for each in DRILLS)}")
