"""One URL is kept while it works; one that does not is met with one attempt at a time."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapless.agent.dispatch import UploadSettings
from gapless.agent.endpoints import Endpoints

SETTINGS = UploadSettings(retry_min_s=1.0, retry_max_s=30.0, failback_s=60.0)


def endpoints(*urls: str) -> Endpoints:
    made = Endpoints(SETTINGS, Random(1))
    made.reset(urls, 0.0)
    return made


def begin(tested: Endpoints, now_s: float) -> str | None:
    url = tested.choose(now_s)
    if url is not None:
        tested.began(url, now_s)
    return url


def test_the_preferred_one_while_it_works() -> None:
    tested = endpoints("a", "b")
    for now_s in range(100):
        assert begin(tested, now_s) == begin(tested, now_s) == "a"
        tested.worked("a", now_s)


def test_without_urls_there_is_nothing_to_choose() -> None:
    assert Endpoints(SETTINGS, Random(1)).choose(0) is None


def test_a_failure_goes_on_to_the_next_and_that_one_is_kept() -> None:
    tested = endpoints("a", "b", "c")
    assert begin(tested, 0) == "a"
    tested.failed("a", 0, 1)
    for now_s in range(1, 60):
        assert begin(tested, now_s) == "b"
        tested.worked("b", now_s)
    assert tested.current == "b"


def test_the_next_is_used_also_if_the_first_has_rested_meanwhile() -> None:
    tested = endpoints("a", "b", "c")
    begin(tested, 0)
    tested.failed("a", 0, 1)
    assert begin(tested, 50) == "b"
    tested.failed("b", 50, 51)
    assert begin(tested, 55) == "c"
    tested.failed("c", 55, 56)
    assert begin(tested, 90) == "a"


def test_an_answer_from_one_that_was_left_brings_it_back_where_nothing_else_works() -> None:
    tested = endpoints("a", "b")
    begin(tested, 0)
    tested.failed("a", 0, 1)
    assert [begin(tested, 1), begin(tested, 2)] == ["b", "b"]
    tested.failed("b", 1, 3)
    assert begin(tested, 4) == "a"
    assert begin(tested, 4) == "b"
    tested.worked("b", 4)
    assert [begin(tested, 5), begin(tested, 5)] == ["b", "b"]


def test_back_to_the_preferred_one_by_one_attempt() -> None:
    tested = endpoints("a", "b")
    begin(tested, 0)
    tested.failed("a", 0, 1)
    assert begin(tested, 1) == "b"
    assert [begin(tested, 62), begin(tested, 62), begin(tested, 62)] == ["a", "b", "b"]
    tested.failed("a", 62, 63)
    assert begin(tested, 100) == "b"
    assert begin(tested, 130) == "a"
    tested.worked("a", 130)
    assert begin(tested, 131) == begin(tested, 131) == "a"


@pytest.mark.case("T56")
def test_one_attempt_a_rest_while_nothing_answers() -> None:
    tested = endpoints("a")
    assert [begin(tested, 0), begin(tested, 0)] == ["a", "a"]
    tested.failed("a", 0, 1)
    attempts, now_s = 0, 1.0
    while now_s < 600:
        now_s += 0.1
        if begin(tested, now_s):
            assert tested.choose(now_s) is None
            tested.failed("a", now_s, now_s)
            attempts += 1
    assert 40 <= attempts <= 70


def test_several_failures_of_one_outage_count_once() -> None:
    tested = endpoints("a")
    for _ in range(4):
        begin(tested, 0)
    rests = [tested.failed("a", 0, 5) for _ in range(4)]
    assert 0 < rests[0] <= 1.0
    assert rests[1:] == [0.0, 0.0, 0.0]
    assert tested.choose(6.0) == "a"


def test_a_wrong_token_is_retried_slowly() -> None:
    tested = endpoints("a")
    begin(tested, 0)
    assert tested.failed("a", 0, 0, slow=True) == 30.0
    assert [tested.choose(29.9), tested.choose(30.0)] == [None, "a"]


@pytest.mark.case("T59")
def test_busy_is_waited_for_and_goes_to_nobody_else() -> None:
    tested = endpoints("a", "b")
    begin(tested, 0)
    tested.busy("a", 0, 0, 7.0)
    assert [tested.choose(6.9), begin(tested, 7.0), begin(tested, 7.0)] == [None, "a", "a"]
    tested.busy("a", 7, 7, 86_400.0)
    assert tested.choose(37.0) == "a"


@pytest.mark.case("T13")
def test_a_new_list_holds_at_once_and_old_news_says_nothing_about_it() -> None:
    tested = endpoints("a", "b")
    begin(tested, 0)
    tested.failed("a", 0, 1)
    assert begin(tested, 1) == "b"
    tested.reset(["a", "c"], 2)
    assert begin(tested, 2) == "a"
    tested.failed("b", 1, 3)
    tested.failed("a", 1, 3)
    tested.busy("a", 1, 3, 5)
    assert begin(tested, 3) == "a"


URLS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=4)
EVENTS = st.lists(
    st.tuples(st.sampled_from(["begin", "worked", "failed", "busy", "reset"]), st.integers(0, 9)), max_size=60
)


@given(URLS, EVENTS, URLS)
def test_whatever_happened_an_attempt_begins_in_the_end(
    urls: list[str], events: list[tuple[str, int]], other: list[str]
) -> None:
    tested = endpoints(*urls)
    under_way: list[tuple[str, float]] = []
    now_s = 0.0
    for event, number in events:
        now_s += number
        if event == "begin":
            url = begin(tested, now_s)
            if url is not None:
                under_way.append((url, now_s))
        elif event == "reset":
            urls = other
            tested.reset(urls, now_s)
        elif under_way:
            url, began_s = under_way.pop(number % len(under_way))
            match event:
                case "worked":
                    tested.worked(url, began_s)
                case "failed":
                    tested.failed(url, began_s, now_s)
                case "busy":
                    tested.busy(url, began_s, now_s, number)
    for url, began_s in under_way:
        tested.failed(url, began_s, now_s)
    assert tested.choose(now_s + 30.0) in urls
