"""What is refused, where, and with which advice."""

from __future__ import annotations

import pytest
from kql_answers import result
from query_lake import EVENTS

from gapless.model.errors import Refused
from gapless.query.kql.errors import KqlError
from gapless.query.kql.prepare import prepare_templates
from gapless.query.kql.reference import reference
from gapless.query.kql.syntax.parse_operators import READERS
from gapless.query.kql.translate import translate
from gapless.query.request import TableFiles


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Event | take 1", "line 1, column 1: there is no table Event: did you mean Events?"),
        ("Events\n| where Nam == 'x'", "line 2, column 9: there is no column Nam: did you mean Name?"),
        ("Events | where name == 'x'", "column name: did you mean Name?"),
        ("Events | filtr Id > 1", "there is no operator filtr: did you mean filter?"),
        ("print strlenn('x')", "function strlenn is not supported: did you mean strlen"),
        ("Events | project Id +", "the text ends where a value is needed"),
        ("print 'x", "the string has no end on its line"),
        ("Events | summarize f = 1", "line 1, column 10: summarize needs aggregates, or keys after by"),
        ("print 1 + 'x'", "+ is not there between long and string"),
        ("Events | where Id", "a condition must be of type bool, not long"),
        ("Events | extend n = row_number()", "needs rows in an order"),
        ("Events | summarize Name, count()", "stands in no aggregate"),
        ("print a = 1 | summarize arg_max(*) by a", "arg_max() needs what to look at"),
        ("externaldata(a: string)['https://example.org/x.csv']", "operator externaldata is not supported"),
        ("Events | evaluate autocluster()", "plugin autocluster is not supported"),
        ("Events | evaluate bag_unpack(Details)", "bag_unpack without columns here is not supported"),
        ("Events | summarize count() by Details", "a dynamic value cannot be grouped by"),
        ("cluster('x').database('y').Events", "cannot stand after a dot"),
        ("database('other').Events | take 1", "a table is needed here"),
        ("print x = decimal(1.5)", "type decimal is not supported"),
        ("print a", "there is no column a"),
        ("print array_sort_asc()", "needs arrays"),
        ("print set_difference()", "needs arrays"),
        ("Events | mv-expand Details to typeof(decimal)", "type decimal is not supported"),
        ("let f = (x: decimal) { x }; print f(1.5)", "type decimal is not supported"),
        ("Events | summarize dcount(typeof(long))", "a type is no value"),
        ("print iff(true, 1, typeof(long))", "is of type type"),
        ("Events | sort by series_stats(Details)", "several values cannot stand where one is needed"),
        ("let s = series_stats(dynamic([1])); print s", "several values cannot stand where one is needed"),
        ("range x from 1.0 to real(nan) step 1", "needs bounds and a step that are finite"),
        ("print v = 1, t = 1s | evaluate rolling_percentile(v, 50, t, timespan(null), 3)", "is null"),
        ("Events | join (Events) kind=some on Id", "some is no kind of join"),
        ("Events | make-graph Name --> Name with_node_id", "this part of make-graph is not supported"),
        ("Events | scan declare (n: long = 1.5) with (step s: true;)", "n needs a default of type long"),
        ("", "there is no query"),
        ("1 + 1", "put print before it"),
        ("let f = (x: long) { f(x) }; print f(1)", "function f is not supported"),
        ("print a = 'x\\0y'", "NUL character"),
        (
            "print strcat('a') | where print_0 matches regex '(?=x)'",
            "in a regular expression is not supported",
        ),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(KqlError) as error:
        translate(text, [EVENTS])
    assert message in str(error.value)
    assert str(error.value).startswith("line ")


def test_nesting_is_bounded() -> None:
    for text in ("print " + "(" * 5000 + "1", "print " + "-" * 5000 + "1", "print " + "not(" * 5000):
        with pytest.raises(KqlError, match="nested"):
            translate(text, [])


def test_long_chains_are_fine_where_they_are_flat() -> None:
    conditions = " or ".join(f"Id == {n}" for n in range(2_000))
    assert translate(f"Events | where {conditions}", [EVENTS]).tables == ("Events",)
    with pytest.raises(KqlError, match="operands"):
        translate("print " + " + ".join("1" for _ in range(2_000)), [])


def test_growth_through_let_is_bounded() -> None:
    """Each table reads the last one twice: written out, there would be 2^40 of them."""
    steps = "".join(f"let t{n} = t{n - 1} | union t{n - 1} | where a > 0;\n" for n in range(1, 41))
    translation = translate(f"let t0 = range a from 1 to 2 step 1;\n{steps} t40 | count", [])
    assert len(translation.sql) < 50_000


@pytest.mark.parametrize(
    "text",
    [
        'print x = "\'; DROP VIEW Events; --"',
        "print ['a\"; SELECT 1; --'] = 1",
        "datatable(['x\"y']: string)[\"'\"] | project ['x\"y']",
        'Events | where Name has "\') OR 1=1 --"',
        "Events | where Details[\"a'b\\\"c\"] == 'x'",
        'print x = dynamic({"\'": "\\""}) | extend y = x["\'"]',
        'Events | parse Name with "\'" a "\')" b',
    ],
)
def test_names_and_literals_stay_what_they_are(text: str) -> None:
    assert result(text, TableFiles(EVENTS)).columns


@pytest.mark.parametrize(
    "text",
    [
        "read_csv('/etc/passwd')",
        "['/etc/passwd']",
        "['duckdb_settings()']",
        "table('/etc/passwd')",
        "Secrets",
    ],
)
def test_nothing_but_given_tables_can_be_named(text: str) -> None:
    with pytest.raises(Refused):
        result(f"{text} | take 1", TableFiles(EVENTS))


def test_everything_has_a_form_and_a_sentence() -> None:
    for entries in reference().values():
        for entry in entries:
            assert entry.form.startswith((entry.name, "evaluate"))
            assert entry.summary.endswith(".")


def test_every_operator_is_listed() -> None:
    listed = {name for entry in reference()["Operators"] for name in (entry.name, *entry.aliases)}
    assert listed == {*READERS, "datatable", "print", "range"}


def test_workers_can_be_prepared() -> None:
    prepare_templates()
