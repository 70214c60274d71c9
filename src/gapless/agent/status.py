"""What an agent is doing, for whoever asks on its host, also while the platform is down.

The supervisor says every second what its children say; what the spool holds is read from the logs, whether
the agent runs or not.
"""

from __future__ import annotations

import os
from contextlib import suppress

import msgspec

from gapless.agent.acks import AckReader, Acks
from gapless.agent.channel import Report
from gapless.agent.claims import Chain, read_chain
from gapless.agent.config import AgentConfig, FileSection
from gapless.agent.follow import Spooled, SpoolView
from gapless.agent.layout import acks_directory, chain_path, spool_directory, status_path
from gapless.agent.sources import OsHost, observe
from gapless.log.disk import OsDisk, read_small
from gapless.model.claim import Restart
from gapless.model.errors import UNDECODABLE

#: A status older than this is of an agent that does not run, or whose supervisor is stuck.
FRESH_S = 5.0


class ChildStatus(msgspec.Struct, frozen=True):
    """A process of the agent: its pid while it runs, and how often it had to be replaced since the agent
    started."""

    pid: int | None
    restarts: int
    report: Report | None


class Running(msgspec.Struct, frozen=True):
    """What the supervisor says as of ``at_us``. ``config_faults``: why the configuration file's present
    content is not in force."""

    pid: int
    started_us: int
    at_us: int
    children: dict[str, ChildStatus]
    last_restarts: tuple[Restart, ...]
    config_faults: tuple[str, ...] = ()

    @property
    def fills_in_s(self) -> float | None:
        """What the claims' process reckons."""
        claims = self.children.get("claims")
        return None if claims is None or claims.report is None else claims.report.fills_in_s


class StreamStatus(msgspec.Struct, frozen=True):
    """A stream: where its counter stands, and how far its reader is from the end of its source."""

    tenant: str
    table: str
    source: str
    stream: str
    epoch: str
    next: int
    unsent_records: int
    files: int
    unread_bytes: int | None


class AgentStatus(msgspec.Struct, frozen=True):
    """``unsent``: what is in the spool without a receipt, ``refused`` the part of it that the gateway will
    not take. ``fills_in_s``: None while the spool is not filling. ``losses_untold``: declared, and not yet
    answered by the platform."""

    agent: str
    running: Running | None
    spool_used_bytes: int
    spool_limit_bytes: int
    fills_in_s: float | None
    unsent_batches: int
    unsent_records: int
    unsent_bytes: int
    refused_batches: int
    refused_text: str
    oldest_unsent_us: int | None
    last_receipt_us: int | None
    losses_untold: int
    streams: tuple[StreamStatus, ...]


def write_status(path: str, running: Running) -> None:
    """Replace the file. Not synced: it is of no use after a crash. Errors are ignored: the next second
    brings another."""
    temporary = path + ".new"
    with suppress(OSError):
        with open(temporary, "wb") as file:
            file.write(msgspec.json.encode(running))
        os.rename(temporary, path)


def read_running(path: str, now_us: int) -> Running | None:
    """What the supervisor said last, if that is fresh."""
    try:
        data = read_small(OsDisk(), path)
        running = None if data is None else msgspec.json.decode(data, type=Running)
    except (OSError, *UNDECODABLE):
        return None
    if running is None or abs(now_us - running.at_us) > FRESH_S * 1e6:
        return None
    return running


def agent_status(config: AgentConfig, now_us: int) -> AgentStatus:
    """Look at the data directory. Raises Unavailable if the disk refuses."""
    disk, directory = OsDisk(), config.agent.data_dir
    view = SpoolView(disk, spool_directory(directory))
    reader = AckReader(disk, acks_directory(directory))
    try:
        view.follow_all()
        acks = reader.follow()
        running = read_running(status_path(directory), now_us)
        unsent = [batch for batch in view.batches if not acks.settles(batch)]
        refused = [outcome for batch in unsent if (outcome := acks.of(batch)) is not None]
        return AgentStatus(
            agent=config.agent.name,
            running=running,
            spool_used_bytes=view.durable() - view.first(),
            spool_limit_bytes=config.spool.size_bytes_max,
            fills_in_s=None if running is None else running.fills_in_s,
            unsent_batches=len(unsent),
            unsent_records=sum(batch.records for batch in unsent),
            unsent_bytes=sum(batch.next_position - batch.position for batch in unsent),
            refused_batches=len(refused),
            refused_text=refused[-1].text if refused else "",
            oldest_unsent_us=min((batch.read_from_us for batch in unsent), default=None),
            last_receipt_us=acks.last_receipt_us,
            losses_untold=_untold(directory, view, acks),
            streams=_streams(config, view, unsent),
        )
    finally:
        view.close()
        reader.close()


def _untold(directory: str, view: SpoolView, acks: Acks) -> int:
    """Declared losses that the platform has not answered yet."""
    answered = (read_chain(OsDisk(), chain_path(directory)) or Chain()).answered
    return len({*view.state.losses, *(loss.id for loss in acks.losses())}.difference(answered))


def _streams(config: AgentConfig, view: SpoolView, unsent: list[Spooled]) -> tuple[StreamStatus, ...]:
    found = []
    for key, source in config.streams().items():
        state = view.state.get(key)
        cursors = () if state is None else state.cursors
        unread = observe(source, cursors, OsHost()).unread_bytes if isinstance(source, FileSection) else None
        found.append(
            StreamStatus(
                tenant=key.tenant,
                table=key.table,
                source=key.source,
                stream=key.id,
                epoch="" if state is None else state.opened.epoch,
                next=0 if state is None else state.next,
                unsent_records=sum(batch.records for batch in unsent if batch.stream == key),
                files=len(cursors),
                unread_bytes=unread,
            )
        )
    return tuple(found)
