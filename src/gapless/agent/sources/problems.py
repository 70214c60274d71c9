"""What is in the way of reading right now, for status: bounded, and cleared when it is over."""

from __future__ import annotations

from gapless.agent.sources.events import Problem, outward

PROBLEMS_MAX = 100


class Problems:
    """The latest problem of each path, at most PROBLEMS_MAX of them (further ones wait for a place)."""

    def __init__(self) -> None:
        self._by_path: dict[str, Problem] = {}
        self._fresh: set[str] = set()

    def add(self, path: str, error: str, now_us: int) -> None:
        path = outward(path)
        known = self._by_path.get(path)
        if known is None and len(self._by_path) >= PROBLEMS_MAX:
            return
        self._fresh.add(path)
        if known is None or known.error != error:
            self._by_path[path] = Problem(path, error, known.since_us if known else now_us)

    def settle(self) -> None:
        """A look at everything is over: forget what was not met since the one before."""
        self._by_path = {path: found for path, found in self._by_path.items() if path in self._fresh}
        self._fresh.clear()

    def list(self) -> list[Problem]:
        return list(self._by_path.values())


def words(error: OSError) -> str:
    """An OSError without numbers and paths, for a person."""
    return error.strerror or str(error) or type(error).__name__
