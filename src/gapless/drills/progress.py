"""What a drill is doing, while it does it: a picture on a terminal, lines elsewhere; on standard error."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text


class _Workload(Protocol):
    @property
    def emitted(self) -> int: ...


class Shown(Protocol):
    """What is shown of an act."""

    @property
    def workload(self) -> _Workload: ...
    @property
    def stored(self) -> int: ...


class Progress:
    """A context manager. Events scroll by above a line for each act."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun_s = time.monotonic()
        self._acts: dict[str, Shown] = {}
        self._last: dict[str, str] = {}
        self._live = Live(console=console, get_renderable=self._picture, refresh_per_second=4, transient=True)

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, name: str, act: Shown) -> None:
        """Show an act from now on."""
        self._acts[name] = act
        self._last[name] = ""

    def say(self, name: str, text: str) -> None:
        """Something happened in an act."""
        self._last[name] = text
        line = Text(f"{time.monotonic() - self._begun_s:5.1f} s  ")
        line.append(f"{name:<12}", style="bold")
        self._console.print(line.append(text), soft_wrap=True)

    def _picture(self) -> Table:
        drawn = Table(box=None, pad_edge=False)
        for name in ("ACT", "EMITTED", "STORED", ""):
            drawn.add_column(name, justify="right" if name in ("EMITTED", "STORED") else "left")
        for name, act in self._acts.items():
            drawn.add_row(name, f"{act.workload.emitted:,}", f"{act.stored:,}", Text(self._last[name]))
        return drawn
