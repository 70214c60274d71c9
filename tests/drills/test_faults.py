"""The faults are what they say: threads that really wait for each other, a cache that says nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from random import Random

import pytest

from gapless.agent.acks import Acks
from gapless.agent.follow import SpoolView
from gapless.agent.spool import Spool, Times
from gapless.agent.spool_settings import SpoolSettings
from gapless.agent.transport import Reply
from gapless.drills.faults import LockedTransport, OverwritingSpool, Router, stuck_since_ns
from gapless.log.disk import Buffer
from gapless.model.stream import StreamKey
from gapless.testing.disk import SimDisk

OLD, NEW = "http://127.0.0.1:1", "http://localhost:1"
STREAM = StreamKey("contoso", "SigninLogs", "host-7", "files")


class Line:
    """A transport whose uploads last until they are let go."""

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def post(self, url: str, token: str, frames: Sequence[Buffer], ca_file: str = "") -> Reply:
        self.begun.set()
        assert self.go_on.wait(30)
        return Reply(met="answers", status=200)

    def receipt_key(self, url: str, ca_file: str = "") -> Reply:
        raise NotImplementedError

    def close(self) -> None: ...


class Sender:
    """A dispatch thread that makes one upload."""

    def __init__(self, router: Router, url: str) -> None:
        self.line = Line()
        transport = LockedTransport(self.line, router)
        self.thread = threading.Thread(target=transport.post, args=(url, "t", ()), daemon=True)
        self.thread.start()

    def ends(self, timeout_s: float = 30) -> bool:
        self.thread.join(timeout_s)
        return not self.thread.is_alive()


def router(tmp_path: Path) -> Router:
    return Router(tmp_path / "stuck", upload_s=0.0, stuck_s=0.05)


@pytest.mark.case("microsoft-2024-09")
def test_a_change_of_the_endpoint_during_an_upload_stops_every_dispatch_thread(tmp_path: Path) -> None:
    routes = router(tmp_path)
    spare = LockedTransport(Line(), routes)
    uploading = Sender(routes, OLD)
    assert uploading.line.begun.wait(30)
    changing = Sender(routes, NEW)
    while stuck_since_ns(tmp_path / "stuck") is None:  # it waits for the upload to be over
        assert not changing.ends(0.01)
    uploading.line.go_on.set()
    assert not uploading.ends(0.2)  # it is over, and yet
    assert not changing.ends(0.2)
    assert not changing.line.begun.is_set()
    another = threading.Thread(target=spare.post, args=(NEW, "t", ()), daemon=True)
    another.start()
    another.join(0.2)
    assert another.is_alive()


def test_without_a_change_nothing_is_stuck_and_a_change_between_uploads_does_no_harm(tmp_path: Path) -> None:
    routes = router(tmp_path)
    for url in (OLD, OLD, NEW, OLD):
        sender = Sender(routes, url)
        sender.line.go_on.set()
        assert sender.ends()
    side_by_side = [Sender(routes, OLD), Sender(routes, OLD)]
    for sender in side_by_side:
        sender.line.go_on.set()
    assert all(sender.ends() for sender in side_by_side)
    assert stuck_since_ns(tmp_path / "stuck") is None


@pytest.mark.parametrize(("kind", "declares"), [(OverwritingSpool, False), (Spool, True)])
def test_the_cache_of_then_overwrites_and_says_nothing(kind: type[Spool], declares: bool) -> None:
    disk, mints = SimDisk(Random(0)), count(1)
    settings = SpoolSettings(
        size_bytes_max=200_000, segment_bytes_max=20_000, free_bytes_min=0, when_full="declare"
    )
    spool = kind(
        disk,
        "spool",
        settings,
        now_us=lambda: 7,
        mint=lambda: f"{next(mints):032x}",
        place=lambda _: "here",
    )
    spool.start([STREAM], Acks())
    for _ in range(40):
        spool.add_batch(
            STREAM,
            bytes(10_000),
            raw_bytes=10_000,
            count=1,
            parts=(),
            marks=(),
            cursors=(),
            times=Times(0, 0),
        )
        spool.commit()
        spool.room.make_room(10_000, Acks())
    view = SpoolView(disk, "spool")
    view.follow_all()
    kept = {batch.first for batch in view.batches}
    gone = set(range(40)) - kept
    assert gone and max(gone) < min(kept)
    declared = {
        seq
        for loss in view.state.losses.values()
        for first, next_ in loss.ranges
        for seq in range(first, next_)
    }
    assert declared == (gone if declares else set())
