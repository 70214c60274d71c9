"""Chains: no false alarm on an honest agent, no rollback unseen, and fences on the right epochs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gapless.gateway.chains import LATE_MAX, ChainKey, Chains, Fences, Newest, Statement, Verdict
from gapless.model.claim import StreamClaim
from gapless.model.stream import EpochOpen, StreamKey

KEY = ("host-7", "ab" * 32)


class MemoryIndex:
    def __init__(self) -> None:
        self.newest_of: dict[ChainKey, Newest] = {}
        self.asked = 0

    def newest(self, key: ChainKey) -> Newest | None:
        self.asked += 1
        return self.newest_of.get(key)


def statements(branch: str, first: int, next_: int, prev: str, *epochs: str) -> list[Statement]:
    """The statements that one copy of an agent signs, one after the other."""
    made = []
    for n in range(first, next_):
        made.append(Statement(KEY, n, f"{branch}{n}", prev, frozenset(epochs)))
        prev = made[-1].digest
    return made


def run(chains: Chains, arriving: list[Statement]) -> list[Verdict]:
    verdicts = []
    for statement in arriving:
        verdicts.append(chains.judge(statement))
        chains.take(statement)
    return verdicts


@given(
    st.integers(1, 120),
    st.lists(st.integers(0, LATE_MAX - 1), min_size=120, max_size=120),
    st.sets(st.integers(0, 119)),
    st.sets(st.integers(0, 119)),
)
def test_an_honest_agent_is_never_in_conflict(
    count: int, delays: list[int], lost: set[int], restarts: set[int]
) -> None:
    signed = [s for s in statements("a", 0, count, "", "e") if s.n not in lost]
    arriving = sorted(signed, key=lambda s: (s.n + delays[s.n], s.n))
    index = MemoryIndex()
    chains: Chains[None] = Chains(index, chains_max=10)
    newest = -1
    for statement in arriving:
        if statement.n in restarts:
            chains: Chains[None] = Chains(index, chains_max=10)
        verdict = chains.judge(statement)
        assert verdict == Verdict("next" if statement.n > newest else "late")
        chains.take(statement)
        if verdict.journal:
            newest = statement.n
            index.newest_of[KEY] = Newest(statement.n, statement.digest, statement.epochs)


@given(st.integers(1, 80), st.integers(0, 80), st.integers(0, 40))
def test_a_restored_spool_is_in_conflict_at_the_latest_where_it_was_restored_from(
    before: int, back: int, on: int
) -> None:
    back = min(back, before - 1)
    honest = statements("a", 0, before, "", "e")
    chains: Chains[None] = Chains(MemoryIndex(), chains_max=10)
    run(chains, honest)
    restored_at = before - 1 - back
    prev = honest[restored_at - 1].digest if restored_at else ""
    verdicts = run(chains, statements("b", restored_at, before + on, prev, "e"))
    assert verdicts[0] == Verdict("conflict", frozenset({"e"}))


def test_a_clone_that_is_ahead_shows_when_the_other_reaches_it() -> None:
    chains: Chains[None] = Chains(MemoryIndex(), chains_max=10)
    common = statements("a", 0, 5, "", "e")
    run(chains, common)
    ahead = statements("b", 5, 9, common[-1].digest, "e")
    behind = statements("c", 5, 9, common[-1].digest, "e")
    assert [v.kind for v in run(chains, ahead[3:])] == ["next"]
    verdicts = [v.kind for v in run(chains, behind)]
    assert verdicts.index("conflict") <= 3


def test_only_epochs_that_both_sides_count_in_are_fenced() -> None:
    chains: Chains[None] = Chains(MemoryIndex(), chains_max=10)
    common = statements("a", 0, 3, "", "old", "gone")
    run(chains, common)
    twin = Statement(KEY, 2, "b2", "a1", frozenset({"old", "mine"}))
    assert run(chains, [twin]) == [Verdict("conflict", frozenset({"old"}))]
    reopened = Statement(KEY, 2, "b2'", "a1", frozenset({"mine"}))
    assert run(chains, [reopened]) == [Verdict("conflict", frozenset())]


def test_the_newest_once_more_is_nothing_new() -> None:
    chains: Chains[None] = Chains(MemoryIndex(), chains_max=10)
    sent = statements("a", 0, 3, "", "e")
    run(chains, sent)
    assert chains.judge(sent[2]) == Verdict("again")
    assert not chains.judge(sent[2]).journal


def test_chains_beyond_the_bound_are_asked_of_the_index_again() -> None:
    index = MemoryIndex()
    chains: Chains[None] = Chains(index, chains_max=2)
    for n in range(5):
        chains.take(Statement((f"agent-{n}", "k"), 0, "d", "", frozenset()))
    assert len(chains._chains) == 2
    asked = index.asked
    chains.judge(Statement(("agent-4", "k"), 1, "d1", "d", frozenset()))
    assert index.asked == asked
    chains.judge(Statement(("agent-0", "k"), 1, "d1", "d", frozenset()))
    assert index.asked == asked + 1


def test_memory_of_a_chain_is_bounded() -> None:
    chains: Chains[None] = Chains(MemoryIndex(), chains_max=2)
    run(chains, statements("a", 0, 500, "", "e"))
    assert len(chains._chains[KEY].digests) == LATE_MAX + 1


def test_fences_find_streams_by_identity_and_forget_the_oldest() -> None:
    fences = Fences(fences_max=2)
    streams = [StreamKey("contoso", "SigninLogs", "host", f"s{n}") for n in range(3)]
    epochs = ["1" * 32, "1" * 32, "2" * 32]
    claims = [
        StreamClaim(stream=s, opened=EpochOpen(e), next=1) for s, e in zip(streams, epochs, strict=True)
    ]
    keys = [(claim.stream.id, claim.opened.epoch) for claim in claims]
    fences.add(keys[0])
    fences.add(keys[0])
    assert fences.among(claims) == [keys[0]]
    fences.add(keys[1])
    fences.add(keys[2])
    assert keys[0] not in fences
    assert fences.among(claims) == keys[1:]


def test_statements_under_way_count_until_they_are_given_up() -> None:
    chains: Chains[str] = Chains(MemoryIndex(), chains_max=1)
    first, second, third = statements("a", 0, 3, "", "e")
    [other] = statements("b", 2, 3, "b1", "e")
    chains.take(first)
    chains.begin(third, "third")
    assert (chains.judge(second).kind, chains.awaited(second)) == ("late", "third")
    assert (chains.judge(third).kind, chains.awaited(third)) == ("again", "third")
    assert chains.judge(other) == Verdict("conflict", frozenset({"e"}))
    assert (chains.judge(first).kind, chains.awaited(first)) == ("late", None)
    chains.take(Statement(("another", "k"), 0, "d", "", frozenset()))
    assert chains.judge(second).kind == "late"  # not forgotten while it is under way
    chains.give_up(third)
    assert (chains.judge(second).kind, chains.judge(third).kind) == ("next", "next")
