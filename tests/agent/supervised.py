"""An agent whose children do what a test wants: ``python supervised.py CONFIG KIND``."""

from __future__ import annotations

import os
import sys
import time

from gapless.agent.channel import Channel, Report
from gapless.agent.supervisor import Parts, run
from gapless.model.errors import GaplessError, Misconfigured
from gapless.platform import logs


def busy(channel: Channel) -> None:
    """Gets on, and notes which configuration it has."""
    progress = 0
    while True:
        progress += 1
        channel.report(Report(progress=progress, url=channel.config.gateway.urls[0]))
        channel.wait(0.02)


def stuck(channel: Channel) -> None:
    """Finishes one step, and then never another."""
    channel.report(Report(progress=1))
    while True:
        time.sleep(60)


def long(channel: Channel) -> None:
    """Takes five times as long as it may stand still for one step, of many parts."""
    end_s = time.monotonic() + 5 * channel.config.agent.stalled_s
    while time.monotonic() < end_s:
        channel.goes_on()
        time.sleep(0.001)
    while True:
        channel.report(Report(progress=1, url="done"))
        channel.wait(0.02)


def failing(channel: Channel) -> None:
    """Ends by itself."""
    raise Misconfigured(["it cannot be done"])


def deaf(channel: Channel) -> None:
    """Gets on, and does not listen: it has to be killed."""
    progress = 0
    while True:
        progress += 1
        channel.report(Report(progress=progress))
        time.sleep(0.02)


PARTS = {
    "busy": Parts(busy, busy, busy),
    "stuck": Parts(stuck, busy, busy),
    "long": Parts(long, busy, busy),
    "unwatched": Parts(stuck, busy, None, watched=False),
    "failing": Parts(busy, failing, busy),
    "deaf": Parts(deaf, busy, busy),
}


if __name__ == "__main__":
    logs.configure()
    try:
        run(sys.argv[1], PARTS[sys.argv[2]], announce=lambda: os.write(1, b"ready\n") and None)
    except GaplessError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
