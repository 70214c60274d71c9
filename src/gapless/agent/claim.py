"""The claims' process: says every ``claim_interval_s`` what is in the streams, over a connection of its own.

It reads the two logs and the sources' directories itself: what a stuck collector or uploader would say of
itself is not asked.

Commit points: the number and digest of a statement are durable before it is sent, so no number is ever
used for two statements; a crash in between leaves a number that the platform never sees, which its chain
allows. What the platform answered is kept after the answer: a crash before that has it asked again.
"""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

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
from gapless.agent.machine import Machine, Supervised, this_machine
from gapless.agent.restarts import read_restarts
from gapless.agent.sources import Attention, FileCursor, Observed, observe
from gapless.agent.wire import Deadline, Unreachable, connection_to, reason_of
from gapless.failpoint import reached
from gapless.log.disk import read_small, write_atomically
from gapless.model.claim import CLAIMS_LATE_MAX
from gapless.model.errors import GaplessError, Misconfigured, Unavailable
from gapless.model.signing import Signed, Signer
from gapless.model.stream import StreamKey

_ANSWER_BYTES_MAX = 1 << 20
_ANSWER_S_MIN = 2.0
_FENCED_MAX = 1000
_RETRY_S = 1.0
#: What somebody on the way answers, who may have handed it on.
_HELD = (502, 503, 504)
#: So many statements in a row without an answer may all be held somewhere, and arrive in any order: then the
#: last one is said again, until it is answered, so that none ever comes later than the platform allows.
_UNANSWERED_MAX = CLAIMS_LATE_MAX // 2


class _Answer(msgspec.Struct):
    """See ``POST /v1/claims``. What lacks any of it, ``{}`` for one, is the answer of something else."""

    status: Literal["accepted"]
    losses: tuple[str, ...]
    fenced: tuple[FencedEpoch, ...]
    not_allowed: tuple[StreamKey, ...] = ()


class Statement(NamedTuple):
    """A statement that may be sent: its number and digest are durable. ``limit_s``: how long to wait for the
    answer, shorter than three intervals, or a gateway that never answers would make us silent elsewhere."""

    url: str
    signed: Signed
    limit_s: float


class Response(NamedTuple):
    """What was answered, by whomever."""

    status: int
    data: bytes


def claim(channel: Channel) -> None:
    """The main of the claims' process, until Stopped."""
    process = Claiming(channel, this_machine(channel.goes_on))
    while True:
        statement = process.next()
        if statement is not None:
            process.finished(_exchange(statement, channel.config))
        while (left_s := process.wait_s()) > 0:
            channel.wait(left_s)


class _Opened(NamedTuple):
    view: SpoolView
    acks: AckReader
    claimant: Claimant


class Claiming:
    """The state of one process: ``next``, send it, ``finished``, wait for ``wait_s``, and again."""

    def __init__(self, supervised: Supervised, machine: Machine) -> None:
        self._supervised = supervised
        self._machine = machine
        self._opened: _Opened | None = None
        self._due_s = machine.monotonic_s()
        self._at = 0  # which of the URLs is in use
        self._progress = 0
        self._error_since_us = 0
        self._filling = Filling()
        self._attention: dict[StreamKey, Attention] = {}
        self._fills_in_s: float | None = None
        self._last: Signed | None = None

    def next(self) -> Statement | None:
        """The next statement; None if the disk refuses, which is reported."""
        config = self._supervised.config
        try:
            if self._opened is None:
                self._opened = self._open(config)
        except (GaplessError, OSError) as error:
            self._due_s = self._machine.monotonic_s() + _RETRY_S
            self._say(str(error))
            return None
        limit_s = 2 * max(_ANSWER_S_MIN, config.agent.claim_interval_s)
        view, acks, claimant = self._opened
        if claimant.unanswered >= _UNANSWERED_MAX and self._last is not None:
            return Statement(self._url(config), self._last, limit_s)
        claimant.interval_s = config.agent.claim_interval_s
        try:
            witnessed = self._witnessed(config, view, acks)
            self._last = claimant.state(self._machine.now_us(), view, acks, witnessed)
        except (GaplessError, OSError) as error:
            self._done(str(error))
            return None
        return Statement(self._url(config), self._last, limit_s)

    def finished(self, outcome: Response | str) -> None:
        """The last statement was answered, or was not: then why. The next one goes to the next URL then."""
        assert self._opened is not None
        if not isinstance(outcome, str) and outcome.status not in _HELD:
            self._opened.claimant.heard()
        try:
            answer = _answer(self._url(self._supervised.config), outcome)
        except Unavailable as error:
            self._at += 1
            self._done(str(error))
            return
        try:
            reached("claims", "answered", Unavailable)
            self._fence(answer.fenced)
            self._opened.claimant.accepted(answer.losses)
        except (GaplessError, OSError) as error:
            self._done(str(error))
        else:
            self._done(_not_allowed(answer.not_allowed))

    def wait_s(self) -> float:
        """The seconds until the next statement is due; 0 or less: it is."""
        return self._due_s - self._machine.monotonic_s()

    def _open(self, config: AgentConfig) -> _Opened:
        disk, directory = self._machine.disk, config.agent.data_dir
        # A key signs one chain: whose chain is lost begins another with another key.
        signer = self._signer(directory, new=read_chain(disk, chain_path(directory)) is None)
        claimant = Claimant(disk, chain_path(directory), config.agent.name, signer)
        view = SpoolView(disk, spool_directory(directory))
        return _Opened(view, AckReader(disk, acks_directory(directory)), claimant)

    def _done(self, error: str) -> None:
        interval_s = self._supervised.config.agent.claim_interval_s
        self._due_s = max(self._due_s + interval_s, self._machine.monotonic_s())
        self._say(error)

    def _say(self, error: str) -> None:
        self._progress += 1
        self._error_since_us = (self._error_since_us or self._machine.now_us()) if error else 0
        self._supervised.report(
            Report(
                progress=self._progress,
                url=self._url(self._supervised.config),
                error=error,
                error_since_us=self._error_since_us,
                fills_in_s=self._fills_in_s,
            )
        )

    def _witnessed(self, config: AgentConfig, view: SpoolView, acks: AckReader) -> Witnessed:
        view.follow_all()
        view.withdrawn.clear()
        settles = acks.follow().settles
        unsent = sum(b.next_position - b.position for b in view.batches if not settles(b))
        used = view.durable() - view.first()
        limit = config.spool.size_bytes_max
        self._fills_in_s = self._filling.full_in_s(self._machine.now_us(), unsent, limit - used)
        observed = {
            stream: observe(source, _cursors(view, stream), self._machine.files)
            for stream, source in config.streams().items()
            if isinstance(source, FileSection)
        }
        return Witnessed(
            unread_bytes={stream: each.unread_bytes for stream, each in observed.items()},
            left_us=self._left_us(config, observed),
            coverage={
                stream: "from-source" if isinstance(source, FileSection) else "from-spool"
                for stream, source in config.streams().items()
            },
            restarts=read_restarts(self._machine.disk, config.agent.data_dir),
            spool_limit_bytes=limit,
            fills_in_s=self._fills_in_s,
        )

    def _left_us(self, config: AgentConfig, observed: dict[StreamKey, Observed]) -> dict[StreamKey, int]:
        now_s = self._machine.monotonic_s()
        self._attention = {stream: self._attention.get(stream, Attention()) for stream in observed}
        return {
            stream: int(1e6 * self._attention[stream].left_s(source, observed[stream], now_s))
            for stream, source in config.streams().items()
            if isinstance(source, FileSection)
        }

    def _url(self, config: AgentConfig) -> str:
        return config.gateway.urls[self._at % len(config.gateway.urls)]

    def _fence(self, fenced: tuple[FencedEpoch, ...]) -> None:
        """Tell the collector, durably, before the answer counts as taken."""
        directory, disk = self._supervised.config.agent.data_dir, self._machine.disk
        known = read_fenced(disk, directory)
        if new := [each for each in fenced if each not in known]:
            kept = msgspec.json.encode((*known, *new)[-_FENCED_MAX:])
            write_atomically(disk, fenced_path(directory), kept)

    def _signer(self, directory: str, *, new: bool) -> Signer:
        path = agent_key_path(directory)
        key = None if new else read_small(self._machine.disk, path)
        if key is None or len(key) != 32:
            key = self._machine.new_key()
            write_atomically(self._machine.disk, path, key)
        return Signer(key)


def _exchange(statement: Statement, config: AgentConfig) -> Response | str:
    """One statement over a connection of its own: resolved anew, and never one that somebody closed. A text
    says why there is no answer."""
    limit_s = statement.limit_s / 2
    deadline = Deadline(
        UploadSettings(connect_timeout_s=limit_s, io_timeout_s=limit_s, attempt_s_max=statement.limit_s)
    )
    try:
        token = _token(config.gateway.token_file)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection = connection_to(statement.url, config.gateway.ca_file)
        try:
            connection.arm(deadline)
            connection.connect()
            connection.request("POST", "/v1/claims", msgspec.json.encode(statement.signed), headers)
            response = connection.getresponse()
            return Response(response.status, response.read(_ANSWER_BYTES_MAX))
        finally:
            connection.close()
    except GaplessError as error:
        return str(error)
    except (Unreachable, OSError, ValueError, http.client.HTTPException) as error:
        return f"claims are not answered ({reason_of(error)}): they are said again, and records are sent on"


def _answer(url: str, response: Response | str) -> _Answer:
    """Raises Unavailable for what is no answer."""
    if isinstance(response, str):
        raise Unavailable(response)
    if response.status != 200:
        raise Unavailable(f"claims: HTTP {response.status} {_text(response.data)}")
    try:
        return msgspec.json.decode(response.data, type=_Answer)
    except (msgspec.MsgspecError, ValueError) as error:
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
