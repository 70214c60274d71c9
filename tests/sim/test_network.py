"""The simulated network: one answer for each request, whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from gapless.testing.clock import START_US, Loop
from gapless.testing.network import HttpAnswer, Network, Outcome

URL = "http://one.test"
TIMEOUT_S = 10.0


class Echo:
    """Answers with what it was sent, and counts."""

    def __init__(self) -> None:
        self.handled: list[bytes] = []
        self.up = True

    def listening(self) -> bool:
        return self.up

    def handle(self, path: str, body: bytes, answer: Callable[[HttpAnswer], None]) -> None:
        self.handled.append(body)
        answer(HttpAnswer(200, body))


def network(seed: int = 0) -> tuple[Network, Echo]:
    made, echo = Network(Loop(Random(seed)), Random(seed)), Echo()
    made.servers[URL] = echo
    return made, echo


def outcomes(made: Network, requests: int = 1) -> list[Outcome]:
    """Send, and wait for longer than a request may take."""
    got: list[Outcome] = []
    for number in range(requests):
        made.request("a", URL, "/", str(number).encode(), TIMEOUT_S, got.append)
    made.loop.run_until(made.loop.now_us + int(2 * TIMEOUT_S * 1e6))
    return got


def test_a_request_is_answered() -> None:
    made, echo = network()
    assert outcomes(made) == [HttpAnswer(200, b"0")]
    assert echo.handled == [b"0"]


def test_nobody_listens_or_a_partition_is_unreachable() -> None:
    made, echo = network()
    echo.up = False
    assert outcomes(made) == ["unreachable"]
    echo.up = True
    made.conditions("a", URL).partitioned = True
    assert outcomes(made) == ["unreachable"]
    assert made.conditions("b", URL).partitioned is False
    assert echo.handled == []


@pytest.mark.case("T11")
def test_what_is_accepted_and_never_answered_ends_in_time() -> None:
    made, echo = network()
    made.conditions("a", URL).swallows = True
    assert outcomes(made) == ["no answer"]
    assert echo.handled == []


def test_a_lost_reply_was_handled_and_is_no_answer() -> None:
    made, echo = network()
    made.conditions("a", URL).drop_reply = 1.0
    assert outcomes(made) == ["no answer"]
    assert echo.handled == [b"0"]


def test_a_doubled_request_is_handled_twice_and_answered_once() -> None:
    made, echo = network()
    made.conditions("a", URL).duplicate = 1.0
    assert outcomes(made) == [HttpAnswer(200, b"0")]
    assert echo.handled == [b"0", b"0"]


def test_requests_overtake_each_other() -> None:
    made, echo = network(3)
    made.conditions("a", URL).delay_us = (1, 1_000_000)
    assert len(outcomes(made, 20)) == 20
    assert echo.handled != sorted(echo.handled, key=int)
    assert sorted(echo.handled, key=int) == [str(n).encode() for n in range(20)]


def test_an_impostor_answers_in_the_servers_place_and_the_tap_hears_only_servers() -> None:
    made, echo = network()
    heard: list[HttpAnswer] = []
    made.tap = lambda path, answer: heard.append(answer)
    made.conditions("a", URL).says = lambda path, body: HttpAnswer(404, b"")
    assert outcomes(made) == [HttpAnswer(404, b"")]
    assert (echo.handled, heard) == ([], [])
    made.conditions("a", URL).says = None
    outcomes(made)
    assert heard == [HttpAnswer(200, b"0")]
    assert made.loop.now_us > START_US
