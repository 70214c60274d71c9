"""The mechanism under the recipes: slots, choices, templates, and where randomness comes from."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gapless.services.chance import Dice, guid_text, stream_bytes, stream_label
from gapless.services.organisation import Organisation
from gapless.services.recipe import Body, Columns, Cycle, Node, Parent, Pick, Printer, Recipe, json_text, zipf
from gapless.services.slots import (
    Draw,
    Slot,
    counter,
    decimal,
    digits,
    earlier_ms,
    guid,
    hexadecimal,
    number,
    time_text,
    token,
    word,
)

TICKS = 17_251_488_001_234_567
raw_bytes = st.binary(min_size=32, max_size=32)


def ticks_of(text: str) -> int:
    """ISO 8601 in UTC as 100 ns since the epoch."""
    second, _, decimals = text.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(second) - datetime(1970, 1, 1)
    return whole // timedelta(seconds=1) * 10_000_000 + int(decimals.ljust(7, "0"))


def draw(raw: bytes, nth: int = 0) -> Draw:
    return Draw(raw, raw.hex(), nth, 0, TICKS)


def records(
    node: Node, count: int, slots: dict[str, Slot] | None = None, parent: Parent | None = None
) -> list[Columns]:
    recipe = Recipe("T", "Id", 1, lambda organisation: Body(node, slots or {}, parent))
    printer = Printer("test", 1, recipe)
    return [json.loads(printer.line(index, TICKS, 1)) for index in range(count)]


@given(st.integers(min_value=0, max_value=2_534_023_007_999_999_999 // 10 * 10))
def test_time_text_is_exact_and_has_no_closing_zeros(ticks: int) -> None:
    text = time_text(ticks)
    assert ticks_of(text) == ticks
    assert re.fullmatch(r"[^.]+(\.\d{0,6}[1-9])?Z", text)


@given(raw_bytes)
def test_every_slot_keeps_to_its_form(raw: bytes) -> None:
    this = draw(raw, nth=5)
    forms = {
        r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}": guid(),
        r"[0-9a-f]{12}": hexadecimal(6),
        r"[0-9]{7}": digits(7),
        r"[A-Za-z0-9_-]{22}": token(),
        r"(1[0-9]|2[0-9])": number((0, 10), (1000, 30)),
        r"[0-9]\.([0-9]|[0-9]{1,3}[1-9])": decimal((0, 0), (1000, 10)),
        r"(a|b|c)": word("a", "b", "c"),
        r"1006": counter(1001),
    }
    for form, slot in forms.items():
        text = slot.at(3)(this)
        assert re.fullmatch(form, text), (form, text)
        assert slot.size_bytes + 3 <= len(raw)


@given(raw_bytes, st.integers(min_value=0, max_value=10_000))
def test_an_earlier_time_lies_within_its_quantiles(raw: bytes, span_ms: int) -> None:
    text = earlier_ms((0, 500), (1000, 500 + span_ms)).at(0)(draw(raw))
    assert 500 * 10_000 <= TICKS - ticks_of(text) < (501 + span_ms) * 10_000


def test_a_slot_reads_only_the_bytes_it_takes() -> None:
    for slot in (
        guid(),
        hexadecimal(6),
        digits(7),
        token(),
        number((0, 0), (1000, 9**9)),
        decimal((0, 0), (1000, 9)),
    ):
        inside = range(2, 2 + slot.size_bytes)
        for flipped in range(32):
            raw = bytearray(range(32))
            raw[flipped] ^= 0xFF
            changed = slot.at(2)(draw(bytes(raw))) != slot.at(2)(draw(bytes(range(32))))
            assert not changed or flipped in inside


def test_quantiles_are_met() -> None:
    slot = number((0, 0), (500, 100), (900, 1000), (1000, 5000)).at(0)
    values = sorted(int(slot(draw(step.to_bytes(2, "big") + bytes(30)))) for step in range(0, 65_536, 16))
    assert values[0] == 0 and values[-1] < 5000
    assert abs(values[len(values) // 2] - 100) <= 1
    assert abs(values[len(values) * 9 // 10] - 1000) <= 10


def test_a_choice_follows_its_weights_at_every_depth() -> None:
    node = Pick([(6, {"A": "x"}), (3, ({"A": "y"}, Pick([(1, {"B": 1}), (1, {"B": 2})]))), (1, {})])
    made = Counter(
        json.dumps({k: v for k, v in record.items() if k in "AB"}) for record in records(node, 4000)
    )
    shares = {'{"A": "x"}': 0.6, '{"A": "y", "B": 1}': 0.15, '{"A": "y", "B": 2}': 0.15, "{}": 0.1}
    assert made.keys() == shares.keys()
    for text, share in shares.items():
        assert abs(made[text] / 4000 - share) < 0.03


def test_zipf_halves_at_the_second() -> None:
    weights = [weight for weight, _ in zipf([{}, {}, {}, {}]).options]
    assert weights == [1_000_000, 500_000, 333_333, 250_000]


def test_placeholders_stand_in_strings_as_numbers_and_in_nested_json() -> None:
    node: Columns = {
        "Text": 'id ${id}, 100 % of "it"',
        "Number": "${n:n}",
        "Nested": json_text({"n": "${n:n}", "deeper": json_text({"n": "${n:n}", "word": "${w}"})}),
    }
    for index, record in enumerate(records(node, 20, {"n": counter(7), "w": word("a", "b")})):
        assert record["Number"] == 7 + index
        assert str(record["Text"]).endswith(', 100 % of "it"')
        nested = json.loads(str(record["Nested"]))
        assert nested["n"] == 7 + index
        assert json.loads(nested["deeper"])["n"] == 7 + index
        assert json.loads(nested["deeper"])["word"] in "ab"


def test_children_share_what_their_parent_draws_and_take_turns() -> None:
    parent = Parent("run", 3, Cycle(({"Step": 1}, {"Step": 2}, {"Step": 3})), {"run": guid()})
    made = records({"Run": "${run}", "Parent": "${parent}", "Own": "${id}"}, 9, parent=parent)
    assert [record["Step"] for record in made] == [1, 2, 3] * 3
    for column in ("Run", "Parent"):
        assert [record[column] for record in made] == [made[index // 3 * 3][column] for index in range(9)]
        assert len({record[column] for record in made}) == 3
    assert len({record["Own"] for record in made}) == 9


def test_a_table_that_is_its_own_parent_draws_no_byte_twice() -> None:
    parent = Parent("T", 1, {}, {"above": hexadecimal(8)})
    for record in records(
        {"Id": "${id}", "Parent": "${parent}", "A": "${above}", "B": "${below}"},
        50,
        {"below": hexadecimal(8)},
        parent,
    ):
        assert record["Id"] == record["Parent"]
        assert record["A"] != record["B"]


@given(st.binary(max_size=20), st.integers(0, 2**64 - 1), st.integers(0, 200))
def test_a_shorter_draw_is_a_prefix_of_a_longer_one(label: bytes, index: int, size_bytes: int) -> None:
    assert stream_bytes(label, index, 256)[:size_bytes] == stream_bytes(label, index, size_bytes)


def test_the_source_of_randomness_never_changes() -> None:
    assert stream_bytes(stream_label("entra", "SigninLogs", 1), 0, 8).hex() == "687476b0e0a76ea9"
    assert guid_text("0123456789abcdef0123456789abcdef") == "01234567-89ab-4def-a123-456789abcdef"


def test_dice_pick_and_sample_from_what_they_are_given() -> None:
    dice = Dice("test", 1)
    options = list(range(10))
    assert {dice.pick(options) for _ in range(300)} == set(options)
    assert all(0 <= dice.below(3) < 3 for _ in range(100))
    assert sorted(dice.sample(options, 10)) == options
    assert len(set(dice.sample(options, 4))) == 4
    assert len(dice.sample(options, 99)) == 10


def test_an_organisation_follows_from_its_seed_alone() -> None:
    one, again, other = Organisation(1), Organisation(1), Organisation(2)
    assert (one.tenant_id, one.users, one.workloads) == (again.tenant_id, again.users, again.workloads)
    assert one.tenant_id != other.tenant_id
    names = [user.principal_name for user in one.users]
    assert len(set(names)) == len(names)
    assert all(name.isascii() for name in names)
