"""The uploader against gateways that misbehave: in the end every batch has one receipt, and none is freed
without."""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from upload_rig import (
    OTHER,
    QUICK,
    SIGNER,
    Behaviour,
    Gateway,
    LooseChannel,
    Rig,
    answer,
    answers,
    broken_off,
    dripping,
    gateway,
    good,
    hung_up,
    result,
    says,
    silent,
    slow_reader,
)

from gapless.agent.acks import AckWriter, Outcome
from gapless.agent.channel import Stopped
from gapless.agent.dispatch import Answer, UploadSettings
from gapless.agent.follow import SpoolView
from gapless.agent.layout import receipt_key_path, spool_directory
from gapless.agent.target import Target, Targets
from gapless.agent.transport import HttpTransport, Reply
from gapless.agent.upload import upload
from gapless.agent.uploader import Uploader
from gapless.log.layout import segment_bases, segment_path
from gapless.log.reader import LogReader
from gapless.model.errors import Unavailable
from gapless.testing.disk import SimDisk
from gapless.testing.faults import Fault, faults
from waiting import until


@pytest.fixture
def server() -> Iterator[Gateway]:
    with gateway() as made:
        yield made


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.spool.close()


@contextmanager
def uploading(config: Any, new_transport: Any = HttpTransport) -> Iterator[LooseChannel]:
    """The uploader's main in a thread, until the block ends."""
    channel = LooseChannel(config)
    ended: list[BaseException] = []

    def main() -> None:
        try:
            upload(channel, new_transport)  # type: ignore[arg-type]
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    try:
        yield channel
    finally:
        channel.stopped = True
        thread.join(10)
        assert [type(error) for error in ended] == [Stopped]


def one_receipt_each(rig: Rig, server: Gateway) -> None:
    """The end of every story: each batch was journaled, and has exactly one outcome, its receipt."""
    batches, outcomes = rig.batches(), rig.outcomes()
    assert Counter(outcome.position for outcome in outcomes) == {batch.position: 1 for batch in batches}
    acks = rig.acks()
    for batch in batches:
        outcome = acks.of(batch)
        assert outcome is not None
        assert outcome.what == "receipt"
        assert batch.digest in server.journaled


def test_small_batches_share_a_request(rig: Rig, server: Gateway) -> None:
    rig.add(100)
    with uploading(rig.config(server.url)) as channel:
        until(rig.settled)
        assert server.requests == 2
        rig.add(1)
        until(rig.settled)
        until(lambda: channel.last.waiting == 0)
        assert (channel.last.url, channel.last.error) == (server.url, "")
    one_receipt_each(rig, server)
    assert max(server.journaled.values()) == 1


def shuffled(headers: list[Any]) -> list[dict[str, Any]]:
    return [result(header) for header in reversed(headers)]


def too_few(headers: list[Any]) -> list[dict[str, Any]]:
    return [result(header) for header in headers[1:]]


def wrong_digest(headers: list[Any]) -> list[dict[str, Any]]:
    return [result(header, digest="0" * 64) for header in headers]


def other_key(headers: list[Any]) -> list[dict[str, Any]]:
    return [result(header, OTHER) for header in headers]


def others_batch(headers: list[Any]) -> list[dict[str, Any]]:
    return [answer("receipt", h) | {"receipt": result(headers[0])["receipt"]} for h in headers]


def held_back(headers: list[Any]) -> list[dict[str, Any]]:
    return [answer("busy", header, code="busy", text="later") for header in headers]


MISBEHAVIOURS: dict[str, list[Behaviour]] = {
    "accepts and never answers": [silent] * 2,
    "answers a byte now and then": [dripping],
    "closes in the middle": [broken_off] * 3,
    "closes at once": [hung_up] * 3,
    "401, 403, 404": [says(401), says(403), says(404)],
    "413 and 400": [says(413), says(400)],
    "429": [says(429, Retry_After="0"), says(429)],
    "500 and 503": [says(500), says(503)] * 2,
    "no answers": [says(200, b"<html>"), says(200, b'{"results": []}')],
    "answers in another order": [answers(shuffled)],
    "too few answers": [answers(too_few)] * 3,
    "wrong digest": [answers(wrong_digest)] * 3,
    "another key": [answers(other_key)] * 3,
    "another batch's receipt": [answers(others_batch)] * 3,
    "each held back": [answers(held_back)] * 3,
    "slow reading": [slow_reader] * 4,
}


@pytest.mark.case("T9", "T43")
@pytest.mark.parametrize("plan", MISBEHAVIOURS.values(), ids=MISBEHAVIOURS.keys())
def test_one_receipt_each_whatever_the_gateway_does(rig: Rig, server: Gateway, plan: list[Behaviour]) -> None:
    rig.add(20)
    server.plan += plan
    settings = msgspec.structs.replace(QUICK, request_batches_max=5, attempt_s_max=0.5)
    with uploading(rig.config(server.url, upload=settings)) as channel:
        until(rig.settled)
        until(lambda: channel.last.waiting == 0 and not channel.last.error)
        assert not server.plan
    batches, outcomes = rig.batches(), rig.outcomes()
    assert Counter(outcome.position for outcome in outcomes) == {batch.position: 1 for batch in batches}
    assert all(outcome.what == "receipt" for outcome in outcomes)


@pytest.mark.case("T49")
def test_a_connection_that_breaks_after_every_request_loses_and_doubles_nothing(
    rig: Rig, server: Gateway
) -> None:
    rig.add(300)
    server.plan += [good, hung_up] * 300
    settings = msgspec.structs.replace(QUICK, request_batches_max=1)
    with uploading(rig.config(server.url, upload=settings)):
        until(rig.settled)
    assert server.connections >= 300
    outcomes = Counter(outcome.position for outcome in rig.outcomes())
    assert outcomes == {batch.position: 1 for batch in rig.batches()}


@pytest.mark.case("T15")
def test_the_least_of_every_bound_still_gets_on(rig: Rig, server: Gateway) -> None:
    rig.add(20)
    least = msgspec.structs.replace(QUICK, in_flight_max=1, request_batches_max=1, request_bytes_max=1)
    assert not least.faults()
    with uploading(rig.config(server.url, upload=least)):
        until(rig.settled)


@pytest.mark.parametrize("lie", [wrong_digest, other_key, too_few])
def test_nothing_is_freed_while_receipts_do_not_hold(
    rig: Rig, server: Gateway, lie: Callable[[list[Any]], list[dict[str, Any]]]
) -> None:
    rig.add(2)
    server.usual = answers(lie)
    with uploading(rig.config(server.url)) as channel:
        until(lambda: server.requests >= 6 and channel.last.error)
        settled = {o.position for o in rig.outcomes()}
    # Where one answer of two is right, that one counts.
    assert len(settled) == (1 if lie is too_few else 0)


def test_the_endpoints_change_ten_times_a_second_while_uploads_are_under_way(rig: Rig) -> None:
    random = Random(7)
    with gateway() as first, gateway() as second, gateway() as third:
        servers = [first, second, third]
        for server in servers:
            server.plan += [silent, slow_reader, broken_off, slow_reader, hung_up, slow_reader] * 2
        urls = [*(server.url for server in servers), "http://127.0.0.1:1"]
        done = threading.Event()
        with uploading(rig.config(*urls)) as channel:

            def change() -> None:
                while not done.wait(0.1):
                    channel.config = rig.config(*random.sample(urls, random.randint(1, 4)))
                channel.config = rig.config(*urls)

            changer = threading.Thread(target=change)
            changer.start()
            for _ in range(20):
                rig.add(5, 20_000)
                done.wait(0.1)
            done.set()
            changer.join()
            until(rig.settled)
        journaled = {digest for server in servers for digest in server.journaled}
        batches, outcomes = rig.batches(), rig.outcomes()
        assert len(batches) == 100
        assert Counter(o.position for o in outcomes) == {batch.position: 1 for batch in batches}
        assert all(o.what == "receipt" and o.digest in journaled for o in outcomes)


@pytest.mark.case("T11")
def test_a_stuck_endpoint_is_left_for_the_next_and_gone_back_to(rig: Rig, server: Gateway) -> None:
    with gateway() as other:
        server.usual = silent
        rig.add(5)
        with uploading(rig.config(server.url, other.url)) as channel:
            until(rig.settled)
            until(lambda: channel.last.url == other.url)
            server.usual = good

            def back() -> bool:
                rig.add(1)
                until(rig.settled)
                return channel.last.url == server.url

            until(back)


@pytest.mark.case("T57")
def test_a_rotated_token_is_picked_up(rig: Rig, server: Gateway) -> None:
    server.token = "new"
    rig.add(3)
    slow = msgspec.structs.replace(QUICK, retry_max_s=1000.0)
    with uploading(rig.config(server.url, upload=slow)) as channel:
        until(lambda: "401" in channel.last.error)
        assert channel.last.error_since_us > 0
        assert not rig.outcomes()
        rig.token_file.write_text("new\n")
        until(rig.settled)
        until(lambda: not channel.last.error)
    one_receipt_each(rig, server)


def test_a_blank_token_file_is_said_and_the_old_token_stays(rig: Rig, server: Gateway) -> None:
    with uploading(rig.config(server.url)) as channel:
        rig.add(1)
        until(rig.settled)
        rig.token_file.write_text("")
        until(lambda: "token file" in channel.last.error)
        rig.add(1)
        until(rig.settled)
    one_receipt_each(rig, server)


def test_the_key_of_first_contact_is_pinned_and_no_other_counts_later(rig: Rig, server: Gateway) -> None:
    config = rig.config(server.url, receipt_key="")
    server.plan.append(says(500))
    with uploading(config):
        rig.add(2)
        until(rig.settled)
        assert server.asked_key == 1
    assert Path(receipt_key_path(rig.directory)).read_text().strip() == SIGNER.public_key
    server.signer = OTHER
    rig.add(1)
    with uploading(config) as channel:
        until(lambda: SIGNER.public_key[:16] in channel.last.error)
        assert not rig.settled()
        assert server.asked_key == 1
        channel.config = rig.config(server.url, receipt_key=OTHER.public_key)
        until(rig.settled)


def test_a_damaged_pin_is_never_replaced(rig: Rig, server: Gateway) -> None:
    path = Path(receipt_key_path(rig.directory))
    path.write_text("torn")
    rig.add(1)
    with uploading(rig.config(server.url, receipt_key="")) as channel:
        until(lambda: "receipt.key" in channel.last.error and server.asked_key)
        assert (path.read_text(), server.requests) == ("torn", 0)
        path.write_text(SIGNER.public_key)
        until(rig.settled)


@pytest.mark.case("T51")
def test_what_is_refused_is_kept_and_holds_up_no_other(rig: Rig, server: Gateway) -> None:
    rig.add(3)
    bad = rig.batches()[1].first

    def refuse(headers: list[Any]) -> list[dict[str, Any]]:
        return [result(h) if h.first != bad else answer("fork", h, code="fork", text="no") for h in headers]

    server.usual = answers(refuse)
    with uploading(rig.config(server.url)) as channel:
        until(lambda: channel.last.url and rig.settled())
        channel.config = rig.config(server.url + "/")
        rig.add(1)
        until(rig.settled)
    said = {outcome.first: outcome.what for outcome in rig.outcomes()}
    assert said == {batch.first: "refused" if batch.first == bad else "receipt" for batch in rig.batches()}
    assert server.requests <= 3  # another URL is a reason to try again at once
    assert not rig.acks().settles(rig.batches()[1])


@pytest.mark.case("T51")
def test_what_is_refused_is_tried_again_and_all_sent_once_one_is_taken(rig: Rig, server: Gateway) -> None:
    """A gateway with a defect refuses everything for a while."""
    rig.add(20)
    usual = server.usual
    server.usual = answers(lambda headers: [answer("refused", h, code="x", text="no") for h in headers])
    quick = msgspec.structs.replace(QUICK, refused_retry_s=0.2)
    with uploading(rig.config(server.url, upload=quick)):
        until(lambda: len(rig.outcomes()) >= 23)
        assert not any(rig.acks().settles(batch) for batch in rig.batches())
    tried = [outcome.position for outcome in rig.outcomes()[20:]]
    assert tried[:3] == [batch.position for batch in rig.batches()[:3]]
    server.usual = usual
    with uploading(rig.config(server.url, upload=quick)):
        until(lambda: all(rig.acks().settles(batch) for batch in rig.batches()))
    assert [outcome.what for outcome in rig.outcomes()].count("receipt") == 20


@pytest.mark.case("T51")
def test_one_poisoned_batch_holds_up_no_other(rig: Rig, server: Gateway) -> None:
    rig.add(30)
    poison = rig.batches()[0].first

    def usual(handler: Any) -> None:
        headers = handler.headers_of_body()
        if any(header.first == poison for header in headers):
            handler.reply(500, b"")
        else:
            handler.reply(200, {"results": [result(header) for header in headers]})

    server.usual = usual
    with uploading(rig.config(server.url)) as channel:
        until(lambda: len(rig.outcomes()) == 29)
        until(lambda: channel.last.waiting == 1 and "500" in channel.last.error)
        server.usual = good
        until(rig.settled)


def test_a_batch_that_the_spool_cannot_read_is_a_loss_with_its_range(rig: Rig, server: Gateway) -> None:
    rig.add(3)
    directory = spool_directory(rig.directory)
    victim = rig.batches()[1]
    path = Path(segment_path(directory, segment_bases(rig.disk, directory)[0]))
    data = bytearray(path.read_bytes())
    data[victim.next_position - 1] ^= 1
    path.write_bytes(data)
    with uploading(rig.config(server.url)):
        until(rig.settled)
    outcomes = {outcome.position: outcome for outcome in rig.outcomes()}
    assert Counter(outcome.what for outcome in outcomes.values()) == {"receipt": 2, "damaged": 1}
    loss = outcomes[victim.position].loss
    assert loss is not None
    assert loss.id == f"spool_corrupt/{victim.stream.id}/{victim.epoch}/{victim.first}"
    assert (loss.cause, loss.ranges) == ("spool_corrupt", ((victim.first, victim.next),))
    assert (loss.not_before_us, loss.not_after_us) == (3, 4)


def test_progress_goes_on_while_idle_and_while_attempts_fail_but_not_while_all_are_stuck(
    rig: Rig, server: Gateway
) -> None:
    class Stuck:
        """Deadlocked: it never comes back."""

        sent_bytes = 0

        def __init__(self, settings: UploadSettings) -> None: ...

        def post(self, *arguments: Any) -> Reply:
            stuck.append(1)
            server.closing.wait()
            return Reply(met="unreachable", error="ended")

        def close(self) -> None: ...

    stuck: list[int] = []

    def grows(channel: LooseChannel) -> bool:
        before = channel.last.progress
        until(lambda: channel.last.progress > before)
        return True

    with uploading(rig.config("http://127.0.0.1:1")) as channel:
        assert grows(channel)
        rig.add(1)
        until(lambda: "cannot be reached" in channel.last.error)
        assert grows(channel)
    rig.add(200)
    with uploading(rig.config(server.url), Stuck) as channel:
        until(lambda: len(stuck) == QUICK.in_flight_max)
        until(lambda: channel.last.waiting == 201)
        reports: list[int] = []
        channel.report = lambda report: reports.append(report.progress)  # type: ignore[method-assign]
        until(lambda: len(reports) >= 3)
        assert len(set(reports[1:])) == 1


# The core, on a disk that refuses.


def core(disk: SimDisk, settings: UploadSettings = QUICK) -> Uploader:
    view = SpoolView(disk, "data/spool")
    acks = AckWriter(disk, "data/acks", spool_first=view.first)
    uploader = Uploader(view, acks, settings, Random(1), pin=lambda key: None)
    uploader.aim(Target(("http://a",), "secret", SIGNER.public_key), settings, 0.0)
    return uploader


def spool_on(disk: SimDisk, batches: int) -> None:
    Rig(Path("data"), disk).add(batches)


def replied(uploader: Uploader, now_s: float) -> int:
    """Carry out every attempt that begins, with the answers of a good gateway; return how many."""
    attempts = 0
    while (attempt := uploader.begin(now_s, 5)) is not None:
        attempts += 1
        results = tuple(msgspec.convert(result(batch), Answer) for batch in attempt.batches)
        uploader.finished(attempt, Reply(met="answers", status=200, answers=results), now_s, 5)
    return attempts


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_outcomes_that_the_disk_refuses_are_kept_and_nothing_new_begins(error: int) -> None:
    disk = SimDisk(Random(1))
    spool_on(disk, 3)
    uploader = core(disk, msgspec.structs.replace(QUICK, request_batches_max=1))
    uploader.follow(5)
    disk.before_effect = faults(Fault("sync", error, times=2))
    assert replied(uploader, 0.0) == 1
    uploader.write(0.0, 5)
    trouble = uploader.troubles.oldest()
    assert trouble is not None
    assert trouble.since_us == 5
    assert (uploader.backlog, replied(uploader, 1.0)) == (3, 0)
    for second in range(2, 20):
        uploader.write(float(second), 5)
        replied(uploader, float(second))
    assert (uploader.backlog, uploader.troubles.oldest()) == (0, None)


@pytest.mark.case("T43", "T48")
def test_a_day_of_outage_discards_nothing_and_ends_oldest_first() -> None:
    disk = SimDisk(Random(1))
    spool_on(disk, 10)
    settings = UploadSettings(request_batches_max=1, in_flight_max=4)
    uploader = core(disk, settings)
    uploader.follow(5)
    attempts, now_s = 0, 0.0
    while now_s < 72 * 3600:
        now_s += 10
        while (attempt := uploader.begin(now_s, 5)) is not None:
            attempts += 1
            uploader.finished(attempt, Reply(met="unreachable", error="down"), now_s, 5)
    assert uploader.backlog == 10
    assert 72 * 3600 / 30 < attempts <= 72 * 360
    first = uploader.begin(now_s + 30, 5)
    assert first is not None
    assert first.batches[0].first == 0


def one_by_one(batches: int) -> tuple[SimDisk, Uploader]:
    disk = SimDisk(Random(1))
    spool_on(disk, batches)
    uploader = core(disk, UploadSettings(request_batches_max=1, in_flight_max=4))
    uploader.follow(5)
    return disk, uploader


def test_an_attempt_is_judged_by_what_it_began_with() -> None:
    _, uploader = one_by_one(1)
    attempt = uploader.begin(0.0, 5)
    assert attempt is not None
    uploader.aim(Target(("http://b",), "other", OTHER.public_key), UploadSettings(), 1.0)
    results = tuple(msgspec.convert(result(batch), Answer) for batch in attempt.batches)
    uploader.finished(attempt, Reply(met="answers", status=200, answers=results), 2.0, 5)
    uploader.write(2.0, 5)
    assert uploader.backlog == 0


def test_what_an_attempt_at_a_former_target_met_is_no_trouble_now() -> None:
    _, uploader = one_by_one(1)
    attempt = uploader.begin(0.0, 5)
    assert attempt is not None
    uploader.aim(Target(("http://b",), "secret", SIGNER.public_key), UploadSettings(), 1.0)
    uploader.finished(attempt, Reply(met="denied", status=401, error="old"), 2.0, 5)
    assert uploader.troubles.oldest() is None
    again = uploader.begin(2.0, 5)
    assert again is not None
    assert (again.url, again.batches) == ("http://b", attempt.batches)


@pytest.mark.case("T13")
def test_another_target_makes_everything_due() -> None:
    _, uploader = one_by_one(1)
    attempt = uploader.begin(0.0, 5)
    assert attempt is not None
    uploader.finished(attempt, Reply(met="failed", status=403, error="not with this token"), 0.0, 5)
    assert uploader.begin(0.0, 5) is None
    uploader.aim(Target(("http://a",), "better", SIGNER.public_key), UploadSettings(), 0.0)
    again = uploader.begin(0.0, 5)
    assert again is not None
    assert again.target.token == "better"


def test_what_the_spool_gave_up_is_no_loss_of_ours_and_what_it_withdrew_is_not_sent() -> None:
    _, uploader = one_by_one(3)
    view = uploader._view
    first, second, third = view.batches
    view.withdrawn.append(second.position)
    uploader.follow(5)
    view.read = lambda batch: None if batch == first else SpoolView.read(view, batch)  # type: ignore[method-assign]
    view.first = lambda: second.position  # type: ignore[method-assign]
    attempt = uploader.begin(0.0, 5)
    assert attempt is not None
    assert attempt.batches == (third,)
    assert uploader.begin(0.0, 5) is None
    assert uploader.backlog == 1


def test_an_attempt_that_never_came_back_is_overdue() -> None:
    _, uploader = one_by_one(1)
    uploader.begin(0.0, 5)
    assert [uploader.overdue(59.0), uploader.overdue(91.0)] == [False, True]


def test_a_pin_is_kept_and_a_file_that_is_no_key_is_not_written_over(rig: Rig) -> None:
    config = rig.config("http://a", receipt_key="")
    targets = Targets(rig.disk, rig.directory)
    path = Path(receipt_key_path(rig.directory))
    path.write_text("torn")
    assert targets.read(config).receipt_key == ""
    with pytest.raises(Unavailable):
        targets.pin(SIGNER.public_key)
    path.unlink()
    targets.pin(SIGNER.public_key)
    targets.pin(OTHER.public_key)
    assert targets.read(config).receipt_key == path.read_text().strip() == SIGNER.public_key


def test_a_key_file_that_is_restored_needs_no_restart(rig: Rig) -> None:
    config = rig.config("http://a", receipt_key="")
    path = Path(receipt_key_path(rig.directory))
    path.write_text(OTHER.public_key)  # a bit of it turned
    targets = Targets(rig.disk, rig.directory)
    assert targets.read(config).receipt_key == OTHER.public_key
    path.write_text("torn")
    assert targets.read(config).receipt_key == OTHER.public_key
    assert "does not hold a key" in targets.error
    path.write_text(SIGNER.public_key)
    assert targets.read(config).receipt_key == SIGNER.public_key
    assert not targets.error
    path.unlink()
    assert targets.read(config).receipt_key == ""


@pytest.mark.case("T57")
def test_a_token_file_that_looks_the_same_is_read_again(rig: Rig) -> None:
    config = rig.config("http://a")
    targets = Targets(rig.disk, rig.directory)
    targets.read(config)
    stat = rig.token_file.stat()
    rig.token_file.write_text("SECRET\n")
    os.utime(rig.token_file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert targets.read(config).token == "SECRET"


def test_readers_that_were_not_told_of_the_last_outcome_hear_of_it_though_none_follows() -> None:
    """The disk took an outcome, and refused the little file that says so."""
    disk = SimDisk(Random(1))
    acks = AckWriter(disk, "acks", spool_first=lambda: 0)
    disk.before_effect = faults(Fault("write", errno.EIO, path_end="durable"))
    outcome = Outcome(what="refused", position=0, stream="s", epoch="e", first=0, next=1, digest="d", at_us=1)
    acks.write([outcome])
    reader = LogReader(disk, "acks")
    before = reader.durable()
    acks.mend()
    assert reader.durable() > before
