"""The drill's arithmetic: ids against rows, and what is declared lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gapless.drills.measure import Losses, losses, tally
from gapless.drills.platform_client import StoredRow
from gapless.drills.workload import LogKey

LOG = LogKey("contoso", "entra", "SigninLogs")
FATES = st.sampled_from(["stored", "stored twice", "lost", "gone", "lost, but stored"])


def row(seq: int, *, id: str | None = None, epoch: str = "e") -> StoredRow:
    return StoredRow("SigninLogs", id or str(seq), "s", epoch, seq)


def lost(*seqs: int, still_lost: int | None = None) -> Losses:
    return Losses(frozenset(seqs), len(seqs) if still_lost is None else still_lost)


@given(fates=st.lists(FATES, max_size=30), strangers=st.integers(0, 3))
def test_each_record_is_counted_where_it_is(fates: list[str], strangers: int) -> None:
    rows = [row(seq) for seq, fate in enumerate(fates) if "stored" in fate]
    rows += [row(seq) for seq, fate in enumerate(fates) if "twice" in fate]
    rows += [row(number, id=f"x{number}") for number in range(strangers)]
    declared = [seq for seq, fate in enumerate(fates) if "lost" in fate]
    books = {"e": lost(*declared, still_lost=fates.count("lost"))}
    counted = tally(LOG, [str(seq) for seq in range(len(fates))], rows, books)
    assert counted.emitted == len(fates)
    assert counted.stored == sum("stored" in fate for fate in fates)
    assert counted.duplicates == fates.count("stored twice")
    assert counted.declared_lost == fates.count("lost")
    assert counted.missing == fates.count("gone")
    assert counted.exact == ("gone" not in fates)


def test_the_right_number_at_the_wrong_place_is_not_exact() -> None:
    ids = ["0", "1", "2"]
    assert tally(LOG, ids, [row(0), row(2)], {"e": lost(1)}).exact
    assert not tally(LOG, ids, [row(0), row(2)], {"e": lost(3)}).exact
    assert not tally(LOG, ids, [row(0), row(2)], {"other": lost(1)}).exact
    assert not tally(LOG, ids, [row(0), row(1)], {"e": lost(2, 3)}).exact
    assert tally(LOG, ids, [row(0), row(1), row(0, id="2", epoch="next")], {}).exact


def test_books_that_call_lost_what_has_arrived_or_forget_a_loss_are_not_exact() -> None:
    ids = ["0", "1", "2"]
    assert tally(LOG, ids, [row(0), row(2)], {"e": lost(1, 2, still_lost=1)}).exact
    assert not tally(LOG, ids, [row(0), row(2)], {"e": lost(1, 2)}).exact
    assert not tally(LOG, ids, [row(0), row(2)], {"e": lost(1, still_lost=0)}).exact


def test_losses_are_found_in_an_audit_by_log_and_epoch() -> None:
    def stream(epoch: str, still_lost: int, *declared: list[list[int]]) -> dict[str, object]:
        names = {"tenant": "contoso", "source": "entra", "table": "SigninLogs", "epoch": epoch}
        return {**names, "lost": still_lost, "losses": [{"ranges": ranges} for ranges in declared]}

    audit = {
        "streams": [stream("a", 3, [[0, 2], [5, 6]], [[1, 3]]), stream("b", 0), stream("c", 1, [[7, 8]])]
    }
    assert losses(audit) == {LOG: {"a": lost(0, 1, 2, 5, still_lost=3), "b": lost(), "c": lost(7)}}
