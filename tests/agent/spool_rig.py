"""A configuration, and the spool of its stream on a disk of the test's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gapless.agent.acks import Acks
from gapless.agent.spool import Spool
from gapless.agent.spool_settings import SpoolSettings
from gapless.log.disk import Disk
from gapless.model.stream import StreamKey

#: What it names is nowhere: a test that reads files brings its own.
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
STREAM = StreamKey("contoso", "SigninLogs", "host-7", "files")


def opened(
    disk: Disk,
    mints: Iterator[int],
    settings: SpoolSettings | None = None,
    *,
    directory: str = "spool",
    place: str = "here",
    streams: Iterable[StreamKey] = (STREAM,),
    acks: Acks | None = None,
) -> Spool:
    """The spool, with ``streams`` as its sources."""
    spool = Spool(
        disk,
        directory,
        settings or SpoolSettings(),
        now_us=lambda: 7,
        mint=lambda: f"{next(mints):032x}",
        place=lambda _: place,
    )
    spool.start(list(streams), acks or Acks())
    return spool
