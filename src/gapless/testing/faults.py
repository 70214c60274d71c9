"""Faults that strike at a chosen effect: what a simulated part refuses, and where its process ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass


class SimCrash(BaseException):
    """The process ends here: no ``except Exception`` survives it, and no ``finally`` reaches the disk."""


@dataclass
class Fault:
    """Fails ``times`` effects, after ``skip`` others of this name (any, if empty) on a path that ends so.

    ``error`` is an errno, or None to crash there instead.
    """

    effect: str
    error: int | None
    skip: int = 0
    times: int = 1
    path_end: str = ""

    def strike(self, effect: str, path: str) -> None:
        if self.effect not in ("", effect) or not path.endswith(self.path_end) or not self.times:
            return
        if self.skip:
            self.skip -= 1
            return
        self.times -= 1
        if self.error is None:
            raise SimCrash(f"before {effect} of {path}")
        raise OSError(self.error, os.strerror(self.error), path)


def faults(*plan: Fault) -> Callable[[str, str], None]:
    """A ``before_effect`` hook that carries out a plan."""

    def strike(effect: str, path: str) -> None:
        for fault in plan:
            fault.strike(effect, path)

    return strike
