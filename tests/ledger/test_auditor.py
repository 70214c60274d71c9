"""What the auditor sees, when it says so, and when it says that it is over."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from gapless.ledger.audit import Audit, audit
from gapless.ledger.auditor import Auditor
from gapless.ledger.chains import LATE_MAX
from gapless.ledger.findings import Findings
from gapless.ledger.ledger import Ledger
from gapless.ledger.states import Allowances
from gapless.model.batch import Part
from gapless.model.claim import Loss, Restart, SkippedBytes
from gapless.model.finding import Finding
from gapless.model.stream import EpochOpen, StreamKey

from .support import FIRST, SECOND, STREAM, Agent, header, says

OTHER = StreamKey("contoso", "SigninLogs", "host-7", "other")
START = 1_000 * SECOND


class Watched:
    """A ledger, and an auditor that looks at it every second; ``now`` are seconds since the start."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.auditor = Auditor(Allowances())
        self.agent = Agent()
        self.now = 0
        self.told: list[tuple[int, Finding]] = []
        self.lake: int | None = 10**6
        self.look()

    @property
    def now_us(self) -> int:
        return START + self.now * SECOND

    def report(self) -> Audit:
        return audit(self.ledger, self.now_us, allowed=Allowances())

    def run(self, until: int, every_second: Callable[[], object] = lambda: None) -> None:
        while self.now < until:
            self.now += 1
            every_second()
            self.look()

    def look(self) -> None:
        changes = self.auditor.look(self.ledger, self.now_us, journal=10**6, lake=self.lake)
        self.told += [(self.now, finding) for finding in changes.told]
        self.ledger.changed.clear()

    def batch(self, first: int, next_: int, **more: object) -> None:
        self.ledger.batch(header(first, next_, self.now_us, **more), self.now_us)  # type: ignore[arg-type]

    def claim(self, *claims: object, **more: object) -> list[Finding]:
        return self.agent.claim(self.ledger, self.now_us, *claims, **more)  # type: ignore[arg-type]

    def seen(self, kind: str) -> list[tuple[str, int]]:
        """When findings of a kind were opened and closed."""
        return [(finding.state, at) for at, finding in self.told if finding.kind == kind]

    def kinds(self) -> set[str]:
        return {finding.kind for _, finding in self.told}

    def only(self, kind: str) -> Finding:
        (finding,) = [
            finding for _, finding in self.told if finding.kind == kind and finding.state == "opened"
        ]
        return finding


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_an_uploader_that_freezes_is_told_of_within_ten_seconds_and_its_end_too(watched: Watched) -> None:
    def goes_on() -> None:
        watched.batch(10 * watched.now - 10, 10 * watched.now)
        if watched.now % 2 == 0:
            watched.claim(says(10 * watched.now + 5, held=((10 * watched.now, 10 * watched.now + 5),)))

    def frozen() -> None:
        if watched.now % 2 == 0:
            watched.claim(says(10 * watched.now, held=((200, 10 * watched.now),)))

    watched.run(20, goes_on)
    assert watched.told == []
    watched.run(40, frozen)
    ((state, at),) = watched.seen("upload_stalled")
    assert state == "opened" and 20 < at <= 30
    finding = watched.only("upload_stalled")
    assert finding.count == 10 * (at - at % 2) - 200
    assert finding.text.startswith("contoso/SigninLogs from host-7/entra: the spool holds ")
    assert watched.kinds() == {"upload_stalled"}

    watched.batch(200, 400)
    watched.claim(says(400))
    watched.run(42, lambda: watched.claim(says(400)))
    assert watched.seen("upload_stalled")[1:] == [("closed", 41)]
    closing = watched.told[-1][1]
    assert (closing.id, closing.count) == (finding.id, 200), "the most that it concerned"
    assert closing.text == f"contoso/SigninLogs from host-7/entra: the upload goes on, after {41 - at} s"


def test_a_dead_agent_is_one_finding_within_ten_seconds_whatever_it_did_last(watched: Watched) -> None:
    def works() -> None:
        watched.batch(watched.now - 1, watched.now)
        watched.batch(watched.now - 1, watched.now, stream=OTHER)
        if watched.now % 2 == 0:
            held = ((watched.now, watched.now + 3),)
            watched.claim(says(watched.now + 3, held=held), says(watched.now + 3, held=held, stream=OTHER))

    watched.run(21, works)
    watched.run(60)
    ((state, at),) = watched.seen("agent_silent")
    assert state == "opened" and 21 < at <= 31
    assert watched.kinds() == {"agent_silent"}, "no claims_down on the way, and no stalled upload behind it"
    assert "2 streams" in watched.only("agent_silent").text
    watched.claim(says(24), says(24, stream=OTHER))
    watched.look()
    assert watched.seen("agent_silent")[1:] == [("closed", 60)]


def test_a_stalled_upload_is_not_called_over_because_its_agent_falls_silent(watched: Watched) -> None:
    watched.run(20, lambda: watched.claim(says(50, held=((0, 50),))))
    watched.run(60)
    assert watched.seen("upload_stalled") == [("opened", 7)]
    assert watched.seen("agent_silent") == [("opened", 27)]


def test_one_stream_of_a_speaking_agent_dies(watched: Watched) -> None:
    watched.claim(says(0), says(0, stream=OTHER))
    watched.run(20, lambda: watched.claim(says(0)))
    assert watched.seen("stream_dead") == [("opened", 7)]
    assert watched.kinds() == {"stream_dead"} and watched.only("stream_dead").stream == OTHER.id


def test_claims_that_stop_while_records_arrive(watched: Watched) -> None:
    watched.claim(says(0))
    watched.run(20, lambda: watched.batch(watched.now, watched.now + 1))
    assert watched.seen("claims_down") == [("opened", 7)]
    assert watched.kinds() == {"claims_down", "gap"}, "seq 0 is nowhere"


def test_a_new_stream_has_time_for_its_first_claim(watched: Watched) -> None:
    watched.run(20)
    watched.run(25, lambda: watched.batch(watched.now - 21, watched.now - 20))
    watched.run(28, lambda: watched.claim(says(5)))
    assert watched.told == []


def test_a_reader_that_stands_still_and_goes_on(watched: Watched) -> None:
    watched.run(24, lambda: watched.claim(says(0, read_bytes=100, unread_bytes=10)))
    watched.run(26, lambda: watched.claim(says(0, read_bytes=110)))
    assert watched.seen("reader_stuck") == [("opened", 22), ("closed", 25)]


def test_a_part_of_a_source_that_nobody_can_read_is_told_until_it_can_be(watched: Watched) -> None:
    def claims() -> None:
        left_us = max(0, watched.now - 16) * SECOND
        watched.claim(says(0, read_bytes=100 * watched.now, left_us=left_us))

    watched.run(26, claims)
    assert "are left out for 6 s" in watched.only("reader_stuck").text
    watched.run(28, lambda: watched.claim(says(0, read_bytes=5000)))
    assert [state for state, _ in watched.seen("reader_stuck")] == ["opened", "closed"]


def test_a_gap_is_one_finding_with_its_ranges_until_nothing_is_missing(watched: Watched) -> None:
    watched.batch(0, 10)
    watched.batch(15, 20)
    watched.batch(30, 40)
    watched.run(10, lambda: watched.claim(says(40)))
    ((_, opened),) = watched.seen("gap")
    assert opened <= 7
    finding = watched.only("gap")
    assert (finding.count, finding.edge) == (15, "spool to journal")
    assert "15 records missing, [10, 15), [20, 30), spool to journal" in finding.text
    watched.batch(10, 15)
    watched.run(12, lambda: watched.claim(says(40)))
    assert len(watched.seen("gap")) == 1, "a part of it is still missing"
    watched.batch(20, 30)
    watched.run(14, lambda: watched.claim(says(40)))
    assert watched.seen("gap")[1:] == [("closed", 13)]
    assert watched.told[-1][1].count == 15


def test_what_the_gateway_refuses_is_said_and_is_no_stalled_upload(watched: Watched) -> None:
    refusing = says(20, held=((0, 20),), refused=((0, 20),))
    watched.run(20, lambda: watched.claim(refusing))
    assert watched.kinds() == {"refused_batches"} and watched.only("refused_batches").count == 20
    watched.batch(0, 20)
    watched.claim(says(20))
    watched.look()
    assert watched.seen("refused_batches")[-1] == ("closed", 20)


def test_what_was_refused_is_missing_once_its_agent_is_gone_and_refused_no_more(watched: Watched) -> None:
    watched.run(20, lambda: watched.claim(says(20, held=((0, 20),), refused=((0, 20),))))
    watched.ledger.decommission(STREAM.id, watched.now_us)
    watched.run(40)
    assert watched.seen("refused_batches")[-1][0] == "closed"
    assert "refused by the gateway" in watched.only("gap").text


def test_an_epoch_that_nobody_closed_until_its_successor_is_heard(watched: Watched) -> None:
    lost_spool = EpochOpen("3" * 32)
    watched.claim(says(10, held=((0, 10),)))
    watched.run(3, lambda: watched.claim(says(0, opened=lost_spool)))
    assert watched.seen("epoch_unclosed") == [("opened", 1)]
    watched.claim(says(0, opened=lost_spool), says(10, held=((0, 10),), closed=True))
    watched.look()
    assert watched.seen("epoch_unclosed")[1:] == [("closed", 3)]


def test_an_epoch_that_nobody_will_close_may_be_accepted_and_stays_a_loss(watched: Watched) -> None:
    watched.claim(says(10, held=((4, 10),)))
    watched.run(3, lambda: watched.claim(says(0, opened=EpochOpen("3" * 32))))
    (open_epoch,) = [each for each in watched.report().streams[0].epochs if each.open_end is not None]
    assert watched.report().verdict == "unknown"
    accepted = Loss(
        id="accepted",
        stream=STREAM,
        epoch=open_epoch.epoch,
        cause="operator",
        declared_us=watched.now_us,
        not_before_us=open_epoch.open_end[0] if open_epoch.open_end else 0,
        not_after_us=watched.now_us,
        ended_at=open_epoch.counts.claimed,
        evidence="the disk is gone",
    )
    watched.ledger.loss(accepted)
    watched.run(10, lambda: watched.claim(says(0, opened=EpochOpen("3" * 32))))
    assert watched.seen("epoch_unclosed")[-1][0] == "closed"
    assert watched.only("gap").count == 10, "what its spool held will not come"
    report = watched.report()
    assert all(each.open_end is None for each in report.streams[0].epochs)
    assert (report.verdict, report.streams[0].losses) == ("incomplete", (accepted,))
    assert any("some records declared lost (operator)" in reason for reason in report.reasons)


def test_each_jump_in_a_source_is_a_finding_of_its_own_until_it_is_explained(watched: Watched) -> None:
    for seq, (start, end) in enumerate([(0, 100), (150, 200), (260, 300)]):
        watched.batch(seq, seq + 1, parts=(Part("f", start, end, 1),))
    watched.run(1, lambda: watched.claim(says(3)))
    assert watched.seen("discontinuity") == [("opened", 1)] * 2
    loss = Loss(
        id="l",
        stream=STREAM,
        epoch=FIRST.epoch,
        cause="source_truncated",
        declared_us=watched.now_us,
        not_before_us=0,
        not_after_us=0,
        skipped=SkippedBytes("f", 100, 150),
        bytes_lost=50,
    )
    (declared,) = watched.ledger.loss(loss)
    assert "at least 0 records (nobody can say how many, 50 bytes)" in declared.text
    watched.run(2, lambda: watched.claim(says(3)))
    assert watched.seen("discontinuity")[2:] == [("closed", 2)]
    assert [jump for jump, _ in watched.ledger.streams[STREAM.id].epochs[FIRST.epoch].jumps.values()] == [
        SkippedBytes("f", 200, 260)
    ]


def test_a_spool_that_fills_while_nothing_arrives_is_said_once_of_the_agent(watched: Watched) -> None:
    both = (says(9), says(9, stream=OTHER))

    def arriving() -> None:
        watched.batch(0, 9)
        watched.claim(*both, fills_in_s=1200.0)

    watched.batch(0, 9)
    watched.batch(0, 9, stream=OTHER)
    watched.run(10, arriving)
    assert watched.kinds() == set(), "one of its streams gets something through"
    watched.run(20, lambda: watched.claim(*both, fills_in_s=1200.0))
    assert "700 of 1000 bytes and is full in 1200 s" in watched.only("spool_filling").text
    watched.run(22, lambda: watched.claim(*both))
    assert [state for state, _ in watched.seen("spool_filling")] == ["opened", "closed"]


def test_a_lake_that_stands_still_while_the_journal_goes_on(watched: Watched) -> None:
    watched.lake = 400
    watched.run(20)
    assert watched.seen("lake_stalled") == [("opened", 17)]
    assert "999600 bytes behind" in watched.only("lake_stalled").text
    watched.lake = 401
    watched.run(21)
    assert watched.seen("lake_stalled")[1:] == [("closed", 21)]


def test_a_stalled_lake_is_not_called_over_because_the_auditor_starts_again(watched: Watched) -> None:
    watched.lake = 400
    watched.run(20)
    auditor = Auditor(Allowances())
    auditor.start_from(watched.ledger, [watched.only("lake_stalled")])
    for later in range(3):
        now_us = watched.now_us + later * SECOND
        assert auditor.look(watched.ledger, now_us, journal=10**6, lake=400).told == []
    now_us = watched.now_us + 4 * SECOND
    (closing,) = auditor.look(watched.ledger, now_us, journal=10**6, lake=401).told
    assert closing.state == "closed"


def test_a_lake_that_never_came_up_is_stalled_too(watched: Watched) -> None:
    watched.lake = None
    watched.run(20)
    assert watched.seen("lake_stalled") == [("opened", 17)]


def test_books_that_do_not_add_up(watched: Watched) -> None:
    watched.batch(0, 10)
    watched.ledger.streams[STREAM.id].epochs[FIRST.epoch].received_records += 1
    watched.claim(says(10))
    watched.look()
    assert "received is not unique plus duplicates" in watched.only("books_unbalanced").text
    watched.ledger.streams[STREAM.id].epochs[FIRST.epoch].received_records -= 1
    watched.batch(10, 11)
    watched.look()
    assert [state for state, _ in watched.seen("books_unbalanced")] == ["opened", "closed"]


def test_after_a_break_everybody_gets_time_and_what_is_open_stays_open(watched: Watched) -> None:
    watched.claim(says(0), says(0, stream=OTHER))
    watched.run(10, lambda: watched.claim(says(0)))
    assert watched.seen("stream_dead") == [("opened", 7)]
    watched.now = 3600  # nothing could be heard meanwhile
    watched.look()
    watched.run(3606)
    assert watched.told[1:] == []
    watched.run(3607)
    assert [finding.kind for _, finding in watched.told[1:]] == ["agent_silent", "stream_dead"]
    assert watched.told[-1][1].state == "closed", "its whole agent is silent now"


@pytest.mark.parametrize("end", ["closed", "decommissioned"])
def test_a_stream_that_ended_may_be_silent(watched: Watched, end: str) -> None:
    watched.claim(says(0, closed=end == "closed"))
    if end == "decommissioned":
        watched.ledger.decommission(STREAM.id, watched.now_us)
    watched.run(100)
    assert watched.told == []


def test_a_restart_that_claims_repeat_is_told_once(watched: Watched) -> None:
    old, new = Restart("uploader", 5, "no receipt for 20 s"), Restart("uploader", 9, "no receipt for 20 s")
    first = watched.claim(says(0), restarts=(old,))
    assert [finding.kind for finding in first] == ["agent_restart"]
    assert "agent host-7 of contoso replaced its uploader: no receipt for 20 s" in first[0].text
    assert watched.claim(says(0), restarts=(old,)) == []
    (second,) = watched.claim(says(0), restarts=(old, new))
    assert second.id != first[0].id
    again = Agent()
    assert again.claim(Ledger(), watched.now_us, says(0), restarts=(new,))[0].id == second.id


def test_a_key_that_changes_is_told_under_the_same_id_each_time(watched: Watched) -> None:
    watched.claim(says(0))
    other = Agent(private_key=b"o" * 32)
    (finding,) = other.claim(watched.ledger, watched.now_us, says(0))
    assert finding.kind == "agent_key_changed" and finding.tenant == "contoso"
    for agent in (watched.agent, other):  # a few statements of a replaced key may have been on their way
        told = [agent.claim(watched.ledger, watched.now_us, says(0)) for _ in range(LATE_MAX + 1)]
        assert [len(each) for each in told] == LATE_MAX * [0] + [1]
    assert told[-1] == [finding]


def test_a_rollback_has_the_id_of_the_gateways_own_finding(watched: Watched) -> None:
    watched.claim(says(10))
    (finding,) = watched.claim(says(9))
    assert (finding.id, finding.kind) == (f"rollback/{STREAM.id}/{FIRST.epoch}", "rollback")


def test_ids_fit_whatever_the_names() -> None:
    long = StreamKey("t" * 128, "SigninLogs", "a" * 128, "s" * 128)
    ledger, agent = Ledger(), Agent(name=long.agent)
    auditor = Auditor(Allowances())
    told = agent.claim(ledger, START, says(5, stream=long), restarts=(Restart("c" * 999, 1, "r" * 9999),))
    told += agent.claim(ledger, START, says(4, stream=long))
    told += Agent(name=long.agent, private_key=b"o" * 32).claim(ledger, START, says(5, stream=long))
    for t in range(30):
        told += auditor.look(ledger, START + t * SECOND, journal=0, lake=0).told
    assert {f.kind for f in told} == {
        "agent_restart", "rollback", "agent_key_changed", "gap", "agent_silent",
    }  # fmt: skip
    assert all(len(finding.id) <= 256 and len(finding.text) < 2_000 for finding in told)


def test_a_known_finding_is_gone_on_with_and_closed_when_it_is_over() -> None:
    watched = Watched()
    watched.run(8, lambda: watched.claim(says(5, held=((0, 5),))))
    opened = watched.only("upload_stalled")
    auditor = Auditor(Allowances())
    auditor.start_from(watched.ledger, [opened])
    assert auditor.look(watched.ledger, watched.now_us, journal=0, lake=0).told == []
    watched.batch(0, 5)
    (closing,) = auditor.look(watched.ledger, watched.now_us, journal=0, lake=0).told
    assert (closing.id, closing.state) == (opened.id, "closed")


def test_of_two_findings_of_one_condition_the_later_adopted_is_closed() -> None:
    first = Finding(id="gap/s/e/5", kind="gap", at_us=5, state="opened", text="a: gap")
    second = msgspec.structs.replace(first, id="gap/s/e/9", at_us=9)
    findings = Findings([first])
    assert findings.adopt(first) == []
    (closing,) = findings.adopt(second)
    assert (closing.id, closing.state) == (second.id, "closed")
    assert findings.open == {"gap/s/e": first}


@pytest.mark.parametrize("id_", ["gap", "gap/s/e", "stream/s/e/5", ""])
def test_what_no_condition_gave_rise_to_is_never_closed(id_: str) -> None:
    findings = Findings([Finding(id=id_, kind="gap", at_us=5, state="opened", text="by hand")])
    assert findings.open == {} and findings.step((), 9).told == []
