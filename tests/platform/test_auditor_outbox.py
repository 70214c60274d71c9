"""What the auditor tells reaches the journal once: whatever crashes, and whoever else tells it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from auditor_rig import EPOCH, SECOND, STREAM, FakeLake, Platform, messages

from gapless.gateway import bounds
from gapless.log.disk import OsDisk
from gapless.log.reader import LogReader
from gapless.model.claim import Loss
from gapless.model.entry import Kind
from gapless.model.errors import Unavailable
from gapless.model.finding import Finding
from gapless.platform.auditor_poster import Poster
from gapless.platform.auditor_reader import BooksReader, KnownFinding
from gapless.platform.auditor_store import FILE, LedgerStore, Step
from gapless.platform.books import Bookkeeper
from waiting import until

SERVER = Path(__file__).parents[1] / "gateway" / "server.py"
START = 1_000 * SECOND


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path)


def drain(keeper: Bookkeeper, now_us: int) -> None:
    while keeper.step(now_us):
        pass


def listed(platform: Platform, *, open_only: bool = False) -> list[KnownFinding]:
    reader = BooksReader(platform.directory)
    found, _ = reader.findings(None, open_only=open_only, limit=1000)
    reader.close()
    return [each for each in found if each.finding.kind != "agent_silent"]


def waits(platform: Platform) -> list[Finding]:
    """What waits to be posted. That the agent makes no claims is not what these tests are about."""
    return [finding for finding in platform.outbox() if finding.kind != "agent_silent"]


def gap_at(platform: Platform, keeper: Bookkeeper) -> int:
    """Make a gap of ten records and look until it is told; return the time."""
    platform.journaled(0, 10)
    platform.journaled(20, 30)
    drain(keeper, START)
    drain(keeper, START + 6 * SECOND)
    return START + 6 * SECOND


def test_a_gap_is_told_when_it_opens_and_when_it_closes(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    now_us = gap_at(platform, keeper)
    (opened,) = waits(platform)
    assert (opened.kind, opened.count, opened.state) == ("gap", 10, "opened")
    assert [each.closed_us for each in listed(platform, open_only=True)] == [None]
    platform.journaled(10, 20)
    drain(keeper, now_us + SECOND)
    assert [(f.id, f.state) for f in waits(platform)] == [(opened.id, "opened"), (opened.id, "closed")]
    assert listed(platform, open_only=True) == []
    assert [each.closed_us for each in listed(platform)] == [now_us + SECOND]


def test_what_the_journal_has_does_not_wait_any_more(platform: Platform) -> None:
    """Also after a crash between posting and removing from the outbox: this is what the next start finds."""
    keeper = platform.bookkeeper()
    now_us = gap_at(platform, keeper)
    (opened,) = waits(platform)
    platform.append(Kind.FINDING, opened)
    drain(keeper, now_us)
    assert waits(platform) == []
    platform.journaled(10, 20)
    drain(keeper, now_us + SECOND)
    (closed,) = waits(platform)
    assert (closed.id, closed.state) == (opened.id, "closed")
    platform.append(Kind.FINDING, closed)
    drain(keeper, now_us + 2 * SECOND)
    assert waits(platform) == [] and len(listed(platform)) == 1


@pytest.mark.parametrize("filled", [False, True])
def test_books_made_anew_go_on_with_what_the_journal_says_is_open(platform: Platform, filled: bool) -> None:
    keeper = platform.bookkeeper()
    now_us = gap_at(platform, keeper)
    (opened,) = waits(platform)
    platform.append(Kind.FINDING, opened)
    if filled:
        platform.journaled(10, 20)
    keeper.close()
    Path(platform.directory, FILE).unlink()
    again = platform.bookkeeper()
    drain(again, now_us + SECOND)
    drain(again, now_us + 7 * SECOND)
    (found,) = listed(platform)
    assert found.finding.id == opened.id
    assert found.finding.at_us == opened.at_us
    assert [(f.id, f.state) for f in waits(platform)] == ([(opened.id, "closed")] if filled else [])


def test_what_the_gateway_tells_is_known_and_not_told_again(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    platform.claimed(10, START)
    drain(keeper, START)
    platform.claimed(5, START + SECOND)  # the ledger finds the same as the gateway, under the same id
    rollback = Finding(
        id=f"rollback/{STREAM.id}/{EPOCH}", kind="rollback", at_us=START, state="opened", text="x: back"
    )
    fork = Finding(id=f"fork/{STREAM.id}/{EPOCH}", kind="fork", at_us=START, state="opened", text="x: fork")
    for each in (rollback, fork, fork):
        platform.append(Kind.FINDING, each)
    drain(keeper, START + SECOND)
    assert waits(platform) == []
    assert {each.finding.kind for each in listed(platform, open_only=True)} == {"rollback", "fork"}
    platform.append(Kind.FINDING, msgspec.structs.replace(fork, state="closed", at_us=START + 9))
    drain(keeper, START + SECOND)
    assert {each.finding.kind for each in listed(platform, open_only=True)} == {"rollback"}


def test_ids_stay_apart_when_the_clock_is_set_back_over_a_restart(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    now_us = gap_at(platform, keeper)
    platform.journaled(10, 20)
    drain(keeper, now_us + SECOND)
    platform.journaled(40, 50)
    keeper.close()
    again = platform.bookkeeper()
    drain(again, now_us - 6 * SECOND)
    drain(again, now_us)
    ids = [finding.id for finding in waits(platform) if finding.state == "opened"]
    assert len(ids) == len(set(ids)) == 2


def test_a_listing_is_of_one_tenant_newest_first_and_bounded(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    for at in range(5):
        platform.append(
            Kind.FINDING,
            Finding(
                id=f"x/{at}",
                kind="fork",
                at_us=START + at,
                state="opened",
                text="x",
                tenant="contoso" if at % 2 else "fabrikam",
                table="SigninLogs" if at < 3 else "",
            ),
        )
    drain(keeper, START)
    reader = BooksReader(platform.directory)

    def ids(tenant: str | None, table: str | None = None, limit: int = 9) -> list[str]:
        found, audited_us = reader.findings(tenant, table, open_only=True, limit=limit)
        assert audited_us == START
        return [each.finding.id for each in found]

    assert ids(None) == ["x/4", "x/3", "x/2", "x/1", "x/0"]
    assert ids(None, limit=2) == ["x/4", "x/3"]
    assert ids("fabrikam") == ["x/4", "x/2", "x/0"]
    assert ids("fabrikam", "SigninLogs") == ["x/4", "x/2", "x/0"], "also what concerns all of its tables"
    assert ids("fabrikam", "AuditLogs") == ["x/4"]
    reader.close()


# -- over HTTP, to a gateway in a process of its own ---------------------------------------------------------


class Gateway:
    """A gateway over the platform's directory, and what the ledger's process has."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = "http://127.0.0.1:1"  # nobody's
        self.process: subprocess.Popen[bytes] | None = None
        self.reader = LogReader(OsDisk(), str(root / "journal"))
        self.keeper = Bookkeeper(LedgerStore(str(root / "ledger")), self.reader, FakeLake([]))

    def start(self) -> None:
        port = self.root / "port"
        port.unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, str(SERVER), str(self.root), str(port)])
        until(port.exists)
        self.url = f"http://127.0.0.1:{port.read_text()}"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def journaled(self) -> list[Finding]:
        frames, position = [], 0
        while more := self.reader.read(position, bytes_max=1 << 20):
            frames += more
            position = more[-1].next_position
        return [msgspec.json.decode(f.meta, type=Finding) for f in frames if f.kind == Kind.FINDING]


@contextmanager
def gateway(root: Path) -> Iterator[Gateway]:
    running = Gateway(root)
    try:
        yield running
    finally:
        running.kill()
        running.keeper.close()


def waiting(running: Gateway) -> list[str]:
    found = messages(str(running.root / "ledger"), "finding")
    return [msgspec.json.decode(each, type=Finding).id for each in found]


def tell(running: Gateway, *ids: str) -> None:
    """Have the ledger tell findings, as if it had found them."""
    told = [Finding(id=id_, kind="fork", at_us=START, state="opened", text="x: y") for id_ in ids]
    running.keeper._store.commit(running.keeper.ledger, Step(cursors={}, told=told))


@pytest.mark.system
def test_findings_wait_for_the_gateway_and_arrive_once_in_order(tmp_path: Path) -> None:
    with gateway(tmp_path) as running:
        tell(running, *(f"told/{n:03}" for n in range(25)))
        poster = Poster(str(tmp_path), running.url, rows_max=10)
        assert poster.post_some() == 0, "the ledger has not caught up yet"
        poster.posting.caught_up(float("inf"))
        with pytest.raises(Unavailable):
            poster.post_some()
        assert len(waiting(running)) == 25
        poster.stop()
        running.start()
        poster = Poster(str(tmp_path), running.url, rows_max=10)
        poster.posting.caught_up(float("inf"))
        assert [poster.post_some() for _ in range(4)] == [10, 10, 5, 0]
        assert [finding.id for finding in running.journaled()] == [f"told/{n:03}" for n in range(25)]
        assert waiting(running) == []
        drain(running.keeper, START)
        poster.stop()


@pytest.mark.system
@pytest.mark.parametrize("crash", ["reply lost", "before it is removed"])
def test_what_the_gateway_took_is_not_posted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash: str
) -> None:
    with gateway(tmp_path) as running:
        running.start()
        tell(running, "told/1", "told/2")
        poster = Poster(str(tmp_path), running.url)
        poster.posting.caught_up(float("inf"))
        request = poster._request

        def cut(path: str, body: bytes) -> None:
            request(path, body)
            raise Unavailable("nobody knows") if crash == "reply lost" else KeyboardInterrupt

        monkeypatch.setattr(poster, "_request", cut)
        with pytest.raises((Unavailable, KeyboardInterrupt)):
            poster.post_some()
        assert len(waiting(running)) == 2
        if crash == "reply lost":
            poster.posting.caught_up(0.0)  # a step that began before the failure
            again = poster
        else:
            again = Poster(str(tmp_path), running.url)
        assert again.post_some() == 0, "in doubt"
        drain(running.keeper, START)
        assert waiting(running) == []
        again.posting.caught_up(float("inf"))
        assert again.post_some() == 0
        assert [finding.id for finding in running.journaled()] == ["told/1", "told/2"]


@pytest.mark.system
def test_what_the_gateway_never_takes_does_not_stop_the_rest(tmp_path: Path) -> None:
    with gateway(tmp_path) as running:
        running.start()
        too_long = "x" * (bounds._ID_CHARACTERS_MAX + 1)
        tell(running, "told/1", "told/2", too_long, "told/3")
        poster = Poster(str(tmp_path), running.url)
        poster.posting.caught_up(float("inf"))
        poster.start()
        until(lambda: waiting(running) == [])
        poster.stop()
        assert [finding.id for finding in running.journaled()] == ["told/1", "told/2", "told/3"]


@pytest.mark.system
def test_a_loss_goes_the_same_way_and_comes_back_as_a_finding(tmp_path: Path) -> None:
    with gateway(tmp_path) as running:
        running.start()
        loss = Loss(
            id="journal_corrupt/77",
            stream=STREAM,
            epoch=EPOCH,
            cause="journal_corrupt",
            declared_us=START,
            not_before_us=0,
            not_after_us=0,
            ranges=((0, 10),),
        )
        tell(running, "told/1")
        running.keeper._store.commit(running.keeper.ledger, Step(cursors={}, losses=[loss]))
        tell(running, "told/2")
        poster = Poster(str(tmp_path), running.url)
        poster.posting.caught_up(float("inf"))
        assert [poster.post_some() for _ in range(4)] == [1, 1, 1, 0]
        drain(running.keeper, START)
        assert running.keeper.ledger.streams[STREAM.id].epochs[EPOCH].lost.total == 10
        (declared,) = waiting(running)
        assert declared.startswith("loss_declared/")
        poster.stop()
