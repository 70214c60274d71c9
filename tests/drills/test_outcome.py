"""What an act adds up to, what a drill claims, and how it is shown."""

from __future__ import annotations

import io
import json

import msgspec
import pytest
from rich.console import Console

from gapless.drills.measure import Tally
from gapless.drills.microsoft_2024_09 import faults
from gapless.drills.outcome import ActOutcome, DrillOutcome, ServiceOutcome, Times, act_outcome
from gapless.drills.report import report
from gapless.drills.workload import LogKey


def counted(
    tenant: str, service: str, table: str, emitted: int, stored: int, lost: int, *, duplicates: int = 0
) -> Tally:
    return Tally(LogKey(tenant, service, table), emitted, stored, lost, duplicates, exact=True)


def act(
    *tallies: Tally,
    noticed_s: float | None = 8.0,
    repaired_s: float | None = 20.0,
    verdict: str = "complete",
    strangers: int = 0,
) -> ActOutcome:
    tenants = {each.log.tenant for each in tallies}
    return act_outcome(
        tallies,
        {tenant: Times(noticed_s, repaired_s) for tenant in tenants},
        strangers=strangers,
        verdicts=dict.fromkeys(tenants, verdict),  # type: ignore[misc]
    )


def acts() -> dict[str, ActOutcome]:
    """As they should be."""
    both = ("contoso", "fabrikam")
    return {
        "then": act(
            *(counted(each, "entra", "AuditLogs", 10, 7, 0) for each in both),
            noticed_s=None,
            verdict="unknown",
        ),
        "now": act(*(counted(each, "entra", "AuditLogs", 10, 10, 0) for each in both)),
        "small_spool": act(
            *(counted(each, "entra", "AuditLogs", 10, 6, 4) for each in both), verdict="incomplete"
        ),
    }


def test_an_act_is_the_sum_of_its_services() -> None:
    whole = act_outcome(
        [
            counted("a", "entra", "AuditLogs", 10, 6, 3, duplicates=2),
            counted("a", "entra", "SigninLogs", 5, 5, 0),
            counted("b", "healthcare", "AHDSDicomAuditLogs", 4, 4, 0),
        ],
        {"a": Times(3.0, 9.0), "b": Times(5.0, None)},
        strangers=1,
        verdicts={"a": "incomplete", "b": "complete"},
    )
    assert (whole.emitted, whole.stored, whole.missing, whole.declared_lost) == (19, 15, 1, 3)
    assert (whole.duplicates, whole.strangers) == (2, 1)
    assert (whole.noticed_after_s, whole.repaired_after_s) == (5.0, None)
    assert whole.services[0] == ServiceOutcome(
        service="entra",
        tenant="a",
        tables=["SigninLogs", "AuditLogs"],
        emitted=15,
        stored=11,
        missing=1,
        declared_lost=3,
        duplicates=2,
        noticed_after_s=3.0,
        repaired_after_s=9.0,
    )
    assert [row.emitted for row in whole.services] == [15, 4]


def test_a_drill_that_went_as_claimed_has_no_faults() -> None:
    assert faults(acts()) == []


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("then", {"noticed_after_s": 4.0}, "then: nobody notices"),
        ("then", {"missing": 0}, "then: records are lost"),
        ("then", {"declared_lost": 3}, "then: and nothing says so"),
        ("now", {"missing": 1}, "now: nothing is missing"),
        ("now", {"missing": -1}, "now: nothing is missing"),
        ("now", {"declared_lost": 1}, "now: nothing is declared lost"),
        ("now", {"exact": False}, "now: every record is stored once, under its own seq"),
        ("now", {"noticed_after_s": None}, "now: noticed within 10 s"),
        ("now", {"noticed_after_s": 10.1}, "now: noticed within 10 s"),
        ("now", {"repaired_after_s": 30.1}, "now: repaired within 30 s"),
        ("now", {"verdicts": {"contoso": "complete", "fabrikam": "unknown"}}, "now: the audit says complete"),
        ("small_spool", {"missing": 1}, "small_spool: nothing else is missing"),
        (
            "small_spool",
            {"exact": False},
            "small_spool: each record is stored once or declared lost, by its seq",
        ),
        ("small_spool", {"duplicates": 1}, "small_spool: nothing is stored twice"),
        ("then", {"strangers": 1}, "then: no row is of unknown origin"),
    ],
)
def test_whatever_did_not_go_as_claimed_is_said(name: str, change: dict[str, object], says: str) -> None:
    shown = acts()
    shown[name] = msgspec.structs.replace(shown[name], **change)
    assert faults(shown) == [says]


def test_a_tenant_without_a_declared_loss_is_said() -> None:
    shown = acts()
    row = msgspec.structs.replace(shown["small_spool"].services[1], declared_lost=0)
    services = [shown["small_spool"].services[0], row]
    shown["small_spool"] = msgspec.structs.replace(shown["small_spool"], services=services)
    assert faults(shown) == ["small_spool: every tenant has declared losses"]


def printed(outcome: DrillOutcome) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=200)
    for part in report(outcome):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return [line.replace("│", " ").split() for line in console.file.getvalue().splitlines()]


def test_the_report_shows_the_acts_side_by_side_and_each_service() -> None:
    lines = printed(DrillOutcome(drill="d", acts=acts(), faults=[]))
    assert ["noticed", "after", "never", "8.0", "s", "8.0", "s"] in lines
    assert ["repaired", "after", "20.0", "s", "by", "hand", "20.0", "s", "20.0", "s"] in lines
    assert ["missing", "6", "0", "0"] in lines
    assert ["small_spool", "entra", "20", "12", "0", "8", "0", "8.0", "s", "20.0", "s"] in lines
    assert ["small_spool", "fabrikam", "10", "6", "0", "4", "0", "8.0", "s", "20.0", "s"] in lines
    assert "everything was as claimed" in " ".join(lines[-1])


def test_the_report_ends_with_what_was_not_as_claimed() -> None:
    lines = printed(DrillOutcome(drill="d", acts=acts(), faults=["now: nothing is missing"]))
    assert " ".join(lines[-2]) == "d: not so:" and " ".join(lines[-1]) == "now: nothing is missing"


def test_the_json_has_the_names_that_programs_go_by() -> None:
    outcome = json.loads(msgspec.json.encode(DrillOutcome(drill="d", acts=acts(), faults=[])))
    assert outcome["drill"] == "d" and list(outcome["acts"]) == ["then", "now", "small_spool"]
    names = {"emitted", "stored", "duplicates", "missing", "declared_lost"}
    names |= {"noticed_after_s", "repaired_after_s", "services"}
    for shown in outcome["acts"].values():
        assert names <= shown.keys()
        for row in shown["services"]:
            assert row.keys() >= {
                "service", "tenant", "tables", "emitted", "stored", "missing", "declared_lost",
            }  # fmt: skip
