"""Whatever happens in whatever order: findings alternate, and what is open is what the conditions say."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from gapless.ledger.auditor import Auditor
from gapless.ledger.conditions import Condition, Surroundings, conditions
from gapless.ledger.findings import Findings
from gapless.ledger.ledger import Ledger
from gapless.ledger.states import Allowances
from gapless.model.finding import Finding
from gapless.model.stream import StreamKey

from .support import SECOND, STREAM, Agent, header, says

KEYS = ("gap/s/1", "gap/s/2", "agent_silent/a")


@st.composite
def looks(draw: st.DrawFn) -> list[dict[str, tuple[bool, int]]]:
    one = st.dictionaries(st.sampled_from(KEYS), st.tuples(st.booleans(), st.integers(0, 9)))
    return draw(st.lists(one, max_size=12))


@given(looks(), st.lists(st.integers(-3, 3), min_size=12, max_size=12), st.sets(st.integers(0, 11)))
def test_opened_and_closed_alternate_and_what_is_open_is_what_holds(
    looked: list[dict[str, tuple[bool, int]]], ticks: list[int], restarts: set[int]
) -> None:
    findings, now_us = Findings(), 100
    told: dict[str, list[Finding]] = defaultdict(list)
    expected: set[str] = set()
    for at, (holds, tick) in enumerate(zip(looked, ticks, strict=False)):
        now_us += tick
        if at in restarts:
            findings = Findings(list(findings.open.values()), findings.last_us)
        begun = set(expected)
        expected = {key for key, (opens, _) in holds.items() if opens or key in begun}
        changes = findings.step(
            (
                Condition(key=key, kind=key.split("/")[0], text="x: y", count=count, opens=opens)  # type: ignore[arg-type]
                for key, (opens, count) in holds.items()
            ),
            now_us,
        )
        assert set(findings.open) == expected
        assert {f.id.rpartition("/")[0] for f in changes.told} == expected ^ begun
        for finding in changes.told:
            told[finding.id].append(finding)
        for key, finding in findings.open.items():
            assert finding.count >= holds[key][1]
    for id_, entries in told.items():
        assert [entry.state for entry in entries] in (["opened"], ["opened", "closed"])
        still = any(finding.id == id_ for finding in findings.open.values())
        assert still == (len(entries) == 1)


STREAMS = (STREAM, StreamKey("contoso", "SigninLogs", "host-7", "other"))
happenings = st.lists(
    st.tuples(
        st.integers(0, 1),  # the stream
        st.sampled_from(["claim", "batch", "nothing"]),
        st.integers(0, 5),  # seqs more
        st.booleans(),  # held, or sent
        st.integers(0, 9),  # seconds later
    ),
    max_size=30,
)


@given(happenings)
def test_the_journal_of_findings_gives_what_is_open(
    happened: list[tuple[int, str, int, bool, int]],
) -> None:
    """Whoever folds the told findings, and whoever starts from them, agrees with who told them."""
    ledger, agent, allowed = Ledger(), Agent(), Allowances()
    auditor, now_us = Auditor(allowed), 1_000 * SECOND
    nexts, done = [0, 0], [0, 0]
    told: list[Finding] = []
    for which, what, more, kept, later in happened:
        now_us += later * SECOND
        nexts[which] += more
        if what == "batch" and nexts[which] > done[which]:
            ledger.batch(header(done[which], nexts[which], now_us, stream=STREAMS[which]), now_us)
            done[which] = nexts[which]
        elif what == "claim":
            held = ((done[which], nexts[which]),) if kept and nexts[which] > done[which] else ()
            agent.claim(ledger, now_us, says(nexts[which], held=held, stream=STREAMS[which]))
        told += auditor.look(ledger, now_us, journal=0, lake=0).told
    folded = Findings()
    for finding in told:
        assert folded.adopt(finding) == []
    certain = {c.key: c for c in conditions(ledger, Surroundings(), now_us, allowed)}
    assert folded.open.keys() <= certain.keys(), "nothing is open that does not hold"
    again = Auditor(allowed)
    again.start_from(ledger, folded.open.values())
    assert not [f for f in again.look(ledger, now_us, journal=0, lake=0).told if f.state == "closed"]
