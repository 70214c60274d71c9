"""The process of the claims: whose answer counts, and where the next statement goes."""

from __future__ import annotations

from itertools import count
from random import Random

import msgspec
import pytest
from spool_rig import CONFIG, opened
from upload_rig import LooseChannel

from gapless.agent.claim import Claiming, Response, Statement
from gapless.agent.config import parse_config
from gapless.agent.layout import spool_directory
from gapless.agent.machine import Machine
from gapless.agent.sources import OsHost
from gapless.testing.disk import SimDisk

ACCEPTED = {"status": "accepted", "losses": [], "fenced": []}


@pytest.mark.parametrize(
    "answer", [{}, {"results": []}, {"losses": [], "fenced": []}, ACCEPTED | {"status": "ok"}, [], "fine"]
)
def test_who_answers_anything_with_200_is_not_taken_for_the_platform(answer: object) -> None:
    disk, channel, mints = SimDisk(Random(1)), LooseChannel(parse_config(CONFIG)), count(1)
    machine = Machine(
        disk, OsHost(), lambda: 7, lambda: 0.0, lambda: f"{next(mints):032x}", lambda: b"1" * 32
    )
    opened(disk, mints, directory=spool_directory("/agent"), streams=channel.config.streams())
    claiming = Claiming(channel, machine)

    def sent_to(answered: object) -> str:
        statement = claiming.next()
        assert isinstance(statement, Statement)
        claiming.finished(Response(200, msgspec.json.encode(answered)))
        return statement.url

    assert sent_to(answer) == "http://one"
    assert "is not Gapless" in channel.last.error
    assert [sent_to(ACCEPTED) for _ in range(2)] == ["http://two"] * 2
    assert channel.last.error == ""
