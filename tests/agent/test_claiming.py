"""The process of the claims: whose answer counts, and where the next statement goes."""

from __future__ import annotations

from itertools import count
from random import Random

import msgspec
import pytest

from gapless.agent.acks import Acks
from gapless.agent.channel import Report
from gapless.agent.claim import Claiming, Response, Statement
from gapless.agent.config import AgentConfig, parse_config
from gapless.agent.layout import spool_directory
from gapless.agent.machine import Machine
from gapless.agent.sources import OsHost
from gapless.agent.spool import Spool
from gapless.agent.spool_settings import SpoolSettings
from gapless.testing.disk import SimDisk

CONFIG = """
[agent]
name = "host-7"
data_dir = "/agent"
[gateway]
urls = ["http://one", "http://two"]
token_file = "/token"
[[source]]
type = "file"
paths = ["/nowhere/*.log"]
tenant = "contoso"
table = "SigninLogs"
"""
ACCEPTED = {"status": "accepted", "losses": [], "fenced": []}


class Listener:
    """A supervisor that remembers what it was told."""

    def __init__(self) -> None:
        self.config: AgentConfig = parse_config(CONFIG)
        self.said = Report()

    def report(self, report: Report) -> None:
        self.said = report


@pytest.mark.parametrize(
    "answer", [{}, {"results": []}, {"losses": [], "fenced": []}, ACCEPTED | {"status": "ok"}, [], "fine"]
)
def test_who_answers_anything_with_200_is_not_taken_for_the_platform(answer: object) -> None:
    disk, listener, mints = SimDisk(Random(1)), Listener(), count(1)
    machine = Machine(
        disk, OsHost(), lambda: 7, lambda: 0.0, lambda: f"{next(mints):032x}", lambda: b"1" * 32
    )
    spool = Spool(
        disk, spool_directory("/agent"), SpoolSettings(), now_us=machine.now_us, mint=machine.mint,
        place=lambda _: "here",
    )  # fmt: skip
    spool.start(listener.config.streams(), Acks())
    claiming = Claiming(listener, machine)

    def sent_to(answered: object) -> str:
        statement = claiming.next()
        assert isinstance(statement, Statement)
        claiming.finished(Response(200, msgspec.json.encode(answered)))
        return statement.url

    assert sent_to(answer) == "http://one"
    assert "is not Gapless" in listener.said.error
    assert [sent_to(ACCEPTED) for _ in range(2)] == ["http://two"] * 2
    assert listener.said.error == ""
