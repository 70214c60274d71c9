"""Work that is done one piece ahead of who takes its results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

_P = TypeVar("_P")
_R = TypeVar("_R")

#: With one piece in the works and one that waits, the thread never stands still for want of a piece.
_PIECES_MAX = 2


class OneAhead:
    """A thread that works on the next piece while the result of this one is made use of.

    The thread is started when there is work. Safe to use from one thread at a time.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    def close(self) -> None:
        """End the thread, once it has done what it does."""
        self._pool.shutdown()

    def map(self, work: Callable[[_P], _R], pieces: Iterable[_P]) -> Generator[_R, None, None]:
        """``work(piece)`` for each of the pieces, in their order; what it raises is raised here.

        The pieces are made in the caller's thread. At most two of them are held besides the result that the
        caller has. Close the generator: then no work goes on that nobody takes.
        """
        begun: deque[Future[_R]] = deque()
        try:
            for piece in pieces:
                begun.append(self._pool.submit(work, piece))
                if len(begun) == _PIECES_MAX:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
            wait(begun)
