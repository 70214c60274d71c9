"""Mixing a service's tables, what the records have to do with each other, and what is refused."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from gapless.model.errors import Refused
from gapless.services.catalogue import service, services
from gapless.services.generate import (
    SERVICE_RECIPES,
    _turns,
    generate,
    id_column,
    record_id,
    table_lines,
)

START_US = 1_725_148_800_000_000


def decoded(table: str, records: int, service: str | None = None) -> list[dict[str, object]]:
    made = table_lines(table, records=records, seed=5, start_us=START_US, rate_per_s=100.0, service=service)
    return [json.loads(line) for line in made]


@pytest.mark.parametrize("name", [entry.name for entry in services()])
def test_a_service_mixes_its_tables_by_their_shares(name: str) -> None:
    shares = {recipe.table: recipe.share for recipe in SERVICE_RECIPES[name]}
    rounds = 2 * sum(shares.values())
    made = list(generate(name, records=rounds, seed=1, start_us=START_US, rate_per_s=100.0))
    assert Counter(table for table, _ in made) == {table: 2 * share for table, share in shares.items()}
    assert made == list(generate(service(name), records=rounds, seed=1, start_us=START_US, rate_per_s=100.0))


def test_the_tables_of_a_mix_are_those_made_alone_at_their_part_of_the_rate() -> None:
    made = list(generate("sentinel", records=90, seed=3, start_us=START_US, rate_per_s=90.0))
    total = sum(recipe.share for recipe in SERVICE_RECIPES["sentinel"])
    for recipe in SERVICE_RECIPES["sentinel"]:
        mixed = [line for table, line in made if table == recipe.table]
        alone = table_lines(
            recipe.table,
            records=len(mixed),
            seed=3,
            start_us=START_US,
            rate_per_s=90.0 * recipe.share / total,
        )
        assert mixed == list(alone)


def test_a_mix_can_be_restricted_to_some_tables() -> None:
    made = generate(
        "entra", records=50, seed=1, start_us=START_US, rate_per_s=10.0, tables=["AuditLogs", "SigninLogs"]
    )
    assert {table for table, _ in made} == {"AuditLogs", "SigninLogs"}


def test_turns_are_spread_evenly() -> None:
    turns = _turns([1, 5, 2])
    assert Counter(turns) == {0: 1, 1: 5, 2: 2}
    assert max(sum(1 for turn in turns[i : i + 3] if turn == 2) for i in range(6)) == 1


def test_azure_diagnostics_is_written_as_the_service_asked_for_does() -> None:
    workflows = decoded("AzureDiagnostics", 20, "logic-apps")
    resources = decoded("AzureDiagnostics", 20, "azure-monitor")
    assert {record["ResourceProvider"] for record in workflows} == {"MICROSOFT.LOGIC"}
    assert {record["ResourceProvider"] for record in resources} <= {"MICROSOFT.NETWORK", "MICROSOFT.KEYVAULT"}
    assert decoded("AzureDiagnostics", 20) == workflows  # the first in the catalogue


def test_one_seed_is_one_organisation_for_all_services() -> None:
    people = {record["UserPrincipalName"] for record in decoded("SigninLogs", 500)}
    makers = {record["ActorName"] for record in decoded("PowerAppsActivity", 500)}
    assert len(people & makers) > 50


def test_activity_is_as_uneven_as_in_life() -> None:
    counts = Counter(record["UserPrincipalName"] for record in decoded("SigninLogs", 4000))
    ranked = [count for _, count in counts.most_common()]
    assert ranked[0] > 10 * ranked[len(ranked) // 2]
    assert len(ranked) > 100


def test_most_sign_ins_succeed_and_the_failures_are_of_many_kinds() -> None:
    results = Counter(record["ResultType"] for record in decoded("SigninLogs", 4000))
    assert 0.7 < results["0"] / 4000 < 0.85
    assert {"50126", "50074", "50053", "53003"} <= results.keys()


def test_what_a_request_caused_carries_its_operation_and_its_id() -> None:
    requests = {record["Id"]: record["OperationId"] for record in decoded("AppRequests", 50)}
    operations = set(requests.values())
    assert len(operations) == 50
    for record in decoded("AppDependencies", 100):
        assert requests[str(record["ParentId"])] == record["OperationId"]
    assert {record["OperationId"] for record in decoded("AppTraces", 250)} == operations
    assert {record["OperationId"] for record in decoded("AppEvents", 25)} < operations
    assert {record["OperationId"] for record in decoded("AppExceptions", 5)} < operations


def test_incidents_are_made_of_alerts_of_the_same_rule() -> None:
    alerts = {record["SystemAlertId"]: record for record in decoded("SecurityAlert", 40)}
    for incident in decoded("SecurityIncident", 20):
        assert isinstance(incident["AlertIds"], list)
        (alert_id,) = incident["AlertIds"]
        assert alerts[alert_id]["AlertName"] == incident["Title"]


def test_signatures_belong_to_their_transaction() -> None:
    transactions = {record["TransactionId"]: record for record in decoded("SignTransactions", 10)}
    for signature in decoded("SignHistory", 40):
        transaction = transactions[signature["TransactionId"]]
        for column in ("CertificateProfileName", "CertificateThumbprint"):
            assert signature[column] == transaction[column]


def test_a_workflow_run_begins_and_ends() -> None:
    records = decoded("LogicAppWorkflowRuntime", 60)
    for first in range(0, 60, 6):
        run = records[first : first + 6]
        assert len({record["RunId"] for record in run}) == 1
        assert run[1]["OperationName"] == "workflowRunStarted"
        assert run[-1]["OperationName"] == "workflowRunCompleted"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"records": -1}, "negative"),
        ({"first_index": -1}, "negative"),
        ({"first_index": 2**53}, "negative"),
        ({"rate_per_s": 0.0}, "above 0"),
        ({"rate_per_s": -3.0}, "above 0"),
        ({"rate_per_s": float("nan")}, "above 0"),
        ({"rate_per_s": float("inf")}, "above 0"),
        ({"start_us": -1}, "1970"),
        ({"start_us": 2**63}, "9999"),
        ({"rate_per_s": 1e-12, "records": 2}, "9999"),
        ({"service": "sentinel"}, "has no table"),
        ({"service": "sentinell"}, "sentinel"),
    ],
)
def test_table_lines_refuses_at_once_what_it_cannot_make(arguments: dict[str, object], words: str) -> None:
    valid: dict[str, object] = {"records": 1, "seed": 1, "start_us": 0, "rate_per_s": 1.0}
    with pytest.raises(Refused, match=words):
        table_lines("SigninLogs", **{**valid, **arguments})  # type: ignore[arg-type]


def test_generate_refuses_at_once_what_it_cannot_make() -> None:
    def attempt(name: str, records: int, tables: list[str] | None) -> None:
        generate(name, records=records, seed=1, start_us=0, rate_per_s=1.0, tables=tables)

    for name, records, tables in (
        ("nothing", 1, None),
        ("entra", -1, None),
        ("entra", 1, []),
        ("entra", 1, ["SecurityAlert"]),
    ):
        with pytest.raises(Refused):
            attempt(name, records, tables)


def test_a_table_that_no_service_writes_is_refused() -> None:
    with pytest.raises(Refused, match="services list"):
        id_column("Heartbeat")
    with pytest.raises(Refused, match="services list"):
        record_id("Heartbeat", seed=1, index=0)


def test_the_last_microsecond_of_the_calendar_can_be_reached() -> None:
    last_us = 253_402_300_797_000_000 - 1_000_000
    line = next(table_lines("SigninLogs", records=1, seed=1, start_us=last_us, rate_per_s=1.0))
    assert json.loads(line)["TimeGenerated"].startswith("9999-12-31T23:59:5")


def test_no_records_are_no_records() -> None:
    assert list(generate("entra", records=0, seed=1, start_us=0, rate_per_s=1.0)) == []
    assert list(table_lines("SigninLogs", records=0, seed=1, start_us=0, rate_per_s=1.0)) == []
