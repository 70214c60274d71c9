"""Progress, not heartbeats; and a pause that grows for what does not live."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gapless.watchdog import LOOK_S_MAX, Backoff, Watch


def test_stuck_is_work_without_progress_for_the_time_allowed() -> None:
    watch = Watch(10)
    looks = [watch.look(second, 7, has_work=True) for second in range(13)]
    assert looks == [False] * 10 + [True] * 3


def test_whoever_has_nothing_to_do_is_not_stuck() -> None:
    watch = Watch(10)
    assert not any(watch.look(second, 7, has_work=second % 9 != 0) for second in range(100))


def test_any_finished_step_is_progress() -> None:
    watch = Watch(10)
    assert not any(watch.look(second, second // 9, has_work=True) for second in range(100))


def test_a_watchdog_that_was_held_up_itself_blames_nobody() -> None:
    watch = Watch(10)
    for second in (0, 1, 3601, 7201):
        assert not watch.look(second, 7, has_work=True)
    assert watch.stood_still_s == 1 + 2 * LOOK_S_MAX


def test_a_new_process_begins_anew() -> None:
    watch = Watch(10)
    for second in range(11):
        watch.look(second, 7, has_work=True)
    watch.begin()
    assert not watch.look(11, 7, has_work=True)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 2), st.booleans()), max_size=60))
def test_stuck_only_after_so_much_time_without_progress(looks: list[tuple[float, int, bool]]) -> None:
    watch, now, still, last = Watch(6), 0.0, 0.0, object()
    first = True
    for pause, progress, has_work in looks:
        now += pause
        if not has_work or progress != last:
            last, still = progress, 0.0
        else:
            still += 0.0 if first else min(pause, LOOK_S_MAX)
        first = False
        assert watch.look(now, progress, has_work=has_work) == (watch.stood_still_s >= 6)
        assert abs(watch.stood_still_s - still) < 1e-6


def test_pauses_double_until_one_lives() -> None:
    backoff = Backoff(min_s=1, max_s=5, healthy_s=10)
    assert [backoff.ended(0) for _ in range(5)] == [1, 2, 4, 5, 5]
    assert backoff.ended(11) == 1
    assert backoff.ended(0) == 2
