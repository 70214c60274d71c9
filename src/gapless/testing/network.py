"""A network that delays, reorders, doubles and drops, and peers that never answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal, NamedTuple, Protocol

from gapless.testing.clock import Loop


class HttpAnswer(NamedTuple):
    """What a server says; ``headers`` by their names as they are usually written."""

    status: int
    data: bytes
    headers: Mapping[str, str] = {}


Outcome = HttpAnswer | Literal["unreachable", "no answer"]


class Server(Protocol):
    """Who listens at a URL."""

    def listening(self) -> bool:
        """False: connections are refused."""

    def handle(self, path: str, body: bytes, answer: Callable[[HttpAnswer], None]) -> None:
        """Answer now, later or never."""


@dataclass
class Conditions:
    """What happens between one client and one URL. Rates are chances for each request.

    ``delay_us``: one way, at least and at most. ``partitioned``: nothing gets through, at once.
    ``swallows``: it is accepted, and never answered. ``says``: what answers in the server's place.
    """

    delay_us: tuple[int, int] = (200, 2_000)
    drop_request: float = 0.0
    drop_reply: float = 0.0
    duplicate: float = 0.0
    partitioned: bool = False
    swallows: bool = False
    says: Callable[[str, bytes], HttpAnswer] | None = None


@dataclass
class Network:
    """Carries requests and answers. ``struck`` counts what it did to them, by kind; ``tap`` sees each
    answer that a server gives, whether it arrives or not."""

    loop: Loop
    random: Random
    servers: dict[str, Server] = field(default_factory=dict)
    between: dict[tuple[str, str], Conditions] = field(default_factory=dict)
    struck: dict[str, int] = field(default_factory=dict)
    tap: Callable[[str, HttpAnswer], None] = lambda path, answer: None

    def conditions(self, client: str, url: str) -> Conditions:
        """What holds between the two; to be changed at will."""
        return self.between.setdefault((client, url), Conditions())

    def request(
        self,
        client: str,
        url: str,
        path: str,
        body: bytes,
        timeout_s: float,
        done: Callable[[Outcome], None],
    ) -> None:
        """Send; ``done`` is called exactly once, within ``timeout_s``."""
        now, server = self.conditions(client, url), self.servers.get(url)
        pending = [done]

        def finish(outcome: Outcome) -> None:
            if pending:
                pending.pop()(outcome)

        if now.partitioned or server is None or not server.listening():
            self._count("partition" if now.partitioned else "refused")
            self.loop.after(self._delay_us(now), lambda: finish("unreachable"))
            return
        self.loop.after(int(timeout_s * 1e6), lambda: finish("no answer"))
        if now.swallows:
            self._count("swallow")
            return
        if now.says is not None:
            self._count("impostor")
            said = now.says(path, body)
            self.loop.after(2 * self._delay_us(now), lambda: finish(said))
            return
        copies = 1
        if self._chance(now.drop_request):
            self._count("drop_request")
            copies = 0
        if self._chance(now.duplicate):
            self._count("duplicate")
            copies += 1
        for _ in range(copies):
            self.loop.after(self._delay_us(now), lambda: self._arrive(now, server, path, body, finish))

    def _arrive(
        self, now: Conditions, server: Server, path: str, body: bytes, finish: Callable[[Outcome], None]
    ) -> None:
        def answer(said: HttpAnswer) -> None:
            self.tap(path, said)
            if now.partitioned or self._chance(now.drop_reply):
                self._count("drop_reply")
                return
            self.loop.after(self._delay_us(now), lambda: finish(said))

        if server.listening():
            server.handle(path, body, answer)

    def _delay_us(self, now: Conditions) -> int:
        return self.random.randint(*now.delay_us)

    def _chance(self, rate: float) -> bool:
        return rate > 0 and self.random.random() < rate

    def _count(self, kind: str) -> None:
        self.struck[kind] = self.struck.get(kind, 0) + 1
