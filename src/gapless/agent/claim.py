"""The claims' process: says every ``claim_interval_s`` what is in the streams, over a connection of its own.

It reads the two logs and the sources' directories itself: what a stuck collector or uploader would say of
itself is not asked.

Commit points: the number and digest of a statement are durable before it is sent, so no number is ever
used for two statements; a crash in between leaves a number that the platform never sees, which its chain
allows. What the platform answered is kept after the answer: a crash before that has it asked again.
"""

from __future__ import annotations

import http.client
import time
from pathlib import Path

import msgspec

from gapless import clock
from gapless.agent.acks import AckReader
from gapless.agent.channel import Channel, Report
from gapless.agent.claims import Claimant, Filling, Witnessed, read_chain
from gapless.agent.config import AgentConfig, FileSection
from gapless.agent.dispatch import UploadSettings
from gapless.agent.fenced import FencedEpoch, read_fenced
from gapless.agent.follow import SpoolView
from gapless.agent.layout import (
    acks_directory,
    agent_key_path,
    chain_path,
    fenced_path,
    spool_directory,
)
from gapless.agent.restarts import read_restarts
from gapless.agent.sources import FileCursor, OsHost, observe
from gapless.agent.wire import Deadline, Unreachable, connection_to, reason_of
from gapless.failpoint import reached
from gapless.log.disk import OsDisk, read_small, write_atomically
from gapless.model.errors import GaplessError, Misconfigured, Unavailable
from gapless.model.signing import Signed, Signer
from gapless.model.stream import StreamKey

_ANSWER_BYTES_MAX = 1 << 20
_ANSWER_S_MIN = 2.0
_FENCED_MAX = 1000
_RETRY_S = 1.0


class _Answer(msgspec.Struct):
    """See ``POST /v1/claims``."""

    losses: tuple[str, ...] = ()
    fenced: tuple[FencedEpoch, ...] = ()
    not_allowed: tuple[StreamKey, ...] = ()


def claim(channel: Channel) -> None:
    """The main of the claims' process."""
    process = _Claiming(channel)
    while True:
        try:
            process.run()
        except (GaplessError, OSError) as error:
            process.say(str(error))
            channel.wait(_RETRY_S)


class _Claiming:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._disk = OsDisk()
        self._at = 0  # which of the URLs is in use
        self._progress = 0
        self._error_since_us = 0
        self._filling = Filling()
        self._fills_in_s: float | None = None

    def run(self) -> None:
        """Open what is read, and claim until Stopped. Raises what the disk says, at the start alone."""
        agent = self._channel.config.agent
        directory = agent.data_dir
        view = SpoolView(self._disk, spool_directory(directory))
        acks = AckReader(self._disk, acks_directory(directory))
        # A key signs one chain: whose chain is lost begins another with another key.
        signer = self._signer(directory, new=read_chain(self._disk, chain_path(directory)) is None)
        claimant = Claimant(self._disk, chain_path(directory), agent.name, signer)
        try:
            due_s = time.monotonic()
            while True:
                self._once(claimant, view, acks)
                due_s = max(due_s + self._channel.config.agent.claim_interval_s, time.monotonic())
                while (left_s := due_s - time.monotonic()) > 0:
                    self._channel.wait(left_s)
        finally:
            view.close()
            acks.close()

    def say(self, error: str) -> None:
        self._progress += 1
        self._error_since_us = (self._error_since_us or clock.now_us()) if error else 0
        self._channel.report(
            Report(
                progress=self._progress,
                url=self._url(self._channel.config),
                error=error,
                error_since_us=self._error_since_us,
                fills_in_s=self._fills_in_s,
            )
        )

    def _once(self, claimant: Claimant, view: SpoolView, acks: AckReader) -> None:
        config = self._channel.config
        claimant.interval_s = config.agent.claim_interval_s
        try:
            signed = claimant.state(clock.now_us(), view, acks, self._witnessed(config, view, acks))
            answer = self._send(config, signed)
            reached("claims", "answered", Unavailable)
            self._fence(config, answer.fenced)
            claimant.accepted(answer.losses)
        except GaplessError as error:
            self.say(str(error))
        except (Unreachable, OSError, ValueError, http.client.HTTPException) as error:
            self.say(
                f"claims are not answered ({reason_of(error)}): they are said again, and records are sent on"
            )
        else:
            self.say(_not_allowed(answer.not_allowed))

    def _witnessed(self, config: AgentConfig, view: SpoolView, acks: AckReader) -> Witnessed:
        view.follow_all()
        view.withdrawn.clear()
        settles = acks.follow().settles
        unsent = sum(b.next_position - b.position for b in view.batches if not settles(b))
        used = view.durable() - view.first()
        limit = config.spool.size_bytes_max
        self._fills_in_s = self._filling.full_in_s(clock.now_us(), unsent, limit - used)
        return Witnessed(
            unread_bytes={
                stream: observe(source, _cursors(view, stream), OsHost())[1]
                for stream, source in config.streams().items()
                if isinstance(source, FileSection)
            },
            restarts=read_restarts(self._disk, config.agent.data_dir),
            spool_limit_bytes=limit,
            fills_in_s=self._fills_in_s,
        )

    def _send(self, config: AgentConfig, signed: Signed) -> _Answer:
        """Raises Misconfigured without a token; else GaplessError, Unreachable, OSError, ValueError or
        HTTPException, and the next one goes to the next URL then."""
        # Shorter than three intervals, or a gateway that never answers would make us silent elsewhere, too.
        limit_s = max(_ANSWER_S_MIN, config.agent.claim_interval_s)
        deadline = Deadline(
            UploadSettings(connect_timeout_s=limit_s, io_timeout_s=limit_s, attempt_s_max=2 * limit_s)
        )
        token = _token(config.gateway.token_file)
        url = self._url(config)
        try:
            return _exchange(url, config.gateway.ca_file, token, signed, deadline)
        except (GaplessError, Unreachable, OSError, ValueError, http.client.HTTPException):
            self._at += 1
            raise

    def _url(self, config: AgentConfig) -> str:
        return config.gateway.urls[self._at % len(config.gateway.urls)]

    def _fence(self, config: AgentConfig, fenced: tuple[FencedEpoch, ...]) -> None:
        """Tell the collector, durably, before the answer counts as taken."""
        path = fenced_path(config.agent.data_dir)
        known = read_fenced(self._disk, config.agent.data_dir)
        if new := [each for each in fenced if each not in known]:
            write_atomically(self._disk, path, msgspec.json.encode((*known, *new)[-_FENCED_MAX:]))

    def _signer(self, directory: str, *, new: bool) -> Signer:
        path = agent_key_path(directory)
        key = None if new else read_small(self._disk, path)
        if key is None or len(key) != 32:
            key = Signer.new_private_key()
            write_atomically(self._disk, path, key)
        return Signer(key)


def _exchange(url: str, ca_file: str, token: str, signed: Signed, deadline: Deadline) -> _Answer:
    """One statement over a connection of its own: resolved anew, and never one that somebody closed."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection = connection_to(url, ca_file)
    try:
        connection.arm(deadline)
        connection.connect()
        connection.request("POST", "/v1/claims", msgspec.json.encode(signed), headers)
        response = connection.getresponse()
        data = response.read(_ANSWER_BYTES_MAX)
    finally:
        connection.close()
    if response.status != 200:
        raise Unavailable(f"claims: HTTP {response.status} {_text(data)}")
    try:
        return msgspec.json.decode(data, type=_Answer)
    except msgspec.MsgspecError as error:
        raise Unavailable(f"claims: what {url} answers is not Gapless ({error})") from error


def _not_allowed(streams: tuple[StreamKey, ...]) -> str:
    if not streams:
        return ""
    tables = ", ".join(sorted({f"{stream.tenant}/{stream.table}" for stream in streams}))
    return f"the token is not for {tables}: nobody hears of these streams until it is"


def _token(path: str) -> str:
    try:
        return Path(path).read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise Misconfigured([f"{path} cannot be read ({error}): name another gateway.token_file"]) from error


def _cursors(view: SpoolView, stream: StreamKey) -> tuple[FileCursor, ...]:
    state = view.state.get(stream)
    return () if state is None else state.cursors


def _text(data: bytes) -> str:
    return data[:300].decode(errors="replace")
