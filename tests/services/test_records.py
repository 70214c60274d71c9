"""Every record of every table keeps the contract: columns, types, size, ids, times, bytes."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime

import pytest

from gapless.model.tables import known_tables
from gapless.services.catalogue import services
from gapless.services.generate import JITTER_US_MAX, id_column, record_id, table_lines

START_US = 1_725_148_800_000_000  # 2024-09-01T00:00:00Z
RECORDS = 400
RATE_PER_S = 50.0
SEEDS = (1, 2, 3)

WRITERS = [(entry.name, table) for entry in services() for table in entry.tables]
each_writer = pytest.mark.parametrize(("service", "table"), WRITERS)

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,6}[1-9])?Z")

#: SHA-256 of the first 200 lines of seed 1 at START_US and 50 records a second, newline after each.
#: These bytes are a promise: a digest changes only when a table's content is changed on purpose.
DIGESTS = {
    ("entra", "SigninLogs"): "0ed3e475e19ab783a09c1b5f55c57fa80a26f924716e5466ee7e42cad969287c",
    (
        "entra",
        "AADNonInteractiveUserSignInLogs",
    ): "e11170e7b94bf2f287904a57d71e50150a5365973410b2caa53b547bd2987b51",
    (
        "entra",
        "AADServicePrincipalSignInLogs",
    ): "58ab62deb0ea4cea2157cba66103d58e436b0b311a2fd9188324b9b3c4d12bcb",
    (
        "entra",
        "AADManagedIdentitySignInLogs",
    ): "8c928e8fed5b5388883577982d6e35e1f105798cb61537ebbd25f95c6c0730a7",
    ("entra", "AuditLogs"): "15e8616a5b517df6592612a8da616f92b14dadd32b8524db213dfc7711f16a80",
    ("entra", "AADProvisioningLogs"): "88031b330f2bc07b1aa2632dc2a987849cbb49fe6f1233c96c8e03f7f8bb5da1",
    (
        "logic-apps",
        "LogicAppWorkflowRuntime",
    ): "d00dac42c9a014548897443276df71ac712e99edd4a1681bb096b7dd6a73e711",
    ("logic-apps", "AzureDiagnostics"): "0700dd4f5314d73ef4e6284f6a730b2affdfe6390015f9094a979fb827b405aa",
    (
        "healthcare",
        "MicrosoftHealthcareApisAuditLogs",
    ): "721d430b57859729d905ff7bcf9a4c449843f4b49811d86be42ab092cc3cdd4b",
    (
        "healthcare",
        "AHDSMedTechDiagnosticLogs",
    ): "ab36820a3f35b0d84f22b9f9bd384da435e3d4a7dfd3b47b0f82650c516b96e3",
    ("healthcare", "AHDSDicomAuditLogs"): "11f6013f829824f9a8202811852f67478db50e6223586d87864cc6dff8201ab3",
    ("sentinel", "SecurityAlert"): "bede8729f2d27782cafa920b4fb791c7654f1f3119fb99ae78e004a14b0da7a0",
    ("sentinel", "SecurityIncident"): "fd2a1eb5a4b7cecc2166fa1cab7f62a50363264730caacbe1aa9cd077c635bf7",
    ("sentinel", "SentinelHealth"): "631c2821ffe250885a6b04dd11ec5fc0894883895e9305441c326b3b678d2d4d",
    ("azure-monitor", "AzureActivity"): "e4cca6ce0643aeb4a6d9627f712758aef1906c1822c204bc903af924ab54116f",
    ("azure-monitor", "AzureDiagnostics"): "4d0cdedd1a479df8ec096d83d15e21a88b78f214821c66fbe66661b8e5176a3f",
    (
        "trusted-signing",
        "SignTransactions",
    ): "de79b8609214f78c7ba38bdfa06e1fb2414e37d0721bba767a9fd9fe696e5161",
    ("trusted-signing", "SignHistory"): "955856aff9be40d3de48fadee0c21d10f6aa23dd25065af2b85b5d76d0debbed",
    ("virtual-desktop", "AppTraces"): "3896b7517c7094673c1bbf3f69a59d49478350e7e06c6097f3efb4ca94578787",
    ("virtual-desktop", "AppEvents"): "ed92da43137a8fc33a5e0d6f0ec1ee978e60985d4bf4b3cf7f35e28c53fb0fb4",
    ("virtual-desktop", "AppRequests"): "74aba6d3209f73ced588f9d78eac814473a980378f9602f37cbd6db87f467467",
    ("virtual-desktop", "AppExceptions"): "3a18b00991dca6fd8cd68b19bdb8ae6d6a7c4eec6a66bb1ee60b01a29b80ae84",
    (
        "virtual-desktop",
        "AppDependencies",
    ): "312b996f33a1be2e8c09bef048f0eea16aa9e7e48109c1309cbd88ac56be69c5",
    ("virtual-desktop", "WVDConnections"): "85b3da870fd5a2cbaf00f39807b955749af9ecea9a79bea0ceeb55f069af88f8",
    ("virtual-desktop", "WVDErrors"): "4cbad6cadc9d6b94995e43ba568764e937684667938dec87f73dc145601eab33",
    ("virtual-desktop", "WVDCheckpoints"): "16ff3f70c4ebdd3eea76143517edda69dfaa87eb30aec40a9e0e915d56a69d0a",
    (
        "power-platform",
        "PowerPlatformAdminActivity",
    ): "f5da86c310cd129f02d04f827847c3bb15b7047fca97916c4e85c10624f68dc3",
    (
        "power-platform",
        "PowerAutomateActivity",
    ): "e62c399e2287f1dc1cabc6a601e9a537a42ddacea3de4b42fdbce89303b82cbb",
    (
        "power-platform",
        "PowerAppsActivity",
    ): "b9978c7a5c27e38894194517342aacc6f3110f494803dd8d0bf8ba9454b56ce6",
    (
        "power-platform",
        "DataverseActivity",
    ): "4261b5d0db2bc82a8e7c28c680b19dd8deefa26ab118864f9ce6537410e25466",
}


def lines(
    service: str, table: str, seed: int = 1, records: int = RECORDS, first_index: int = 0
) -> list[bytes]:
    return list(
        table_lines(
            table,
            records=records,
            seed=seed,
            start_us=START_US,
            rate_per_s=RATE_PER_S,
            first_index=first_index,
            service=service,
        )
    )


def fits(value: object, kind: str) -> bool:
    """Whether a decoded JSON value is one that a column of the Kusto type ``kind`` holds unchanged."""
    match kind:
        case "string":
            return isinstance(value, str)
        case "bool":
            return isinstance(value, bool)
        case "int" | "long":
            bits = 31 if kind == "int" else 63
            return isinstance(value, int) and not isinstance(value, bool) and -(2**bits) <= value < 2**bits
        case "real":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "datetime":
            return isinstance(value, str) and _TIME.fullmatch(value) is not None
        case "dynamic":
            return isinstance(value, (dict, list))
    raise AssertionError(f"no table of the catalogue has columns of type {kind}")


def unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    assert len(members) == len(pairs), "a member comes twice"
    return members


def time_us(record: dict[str, object]) -> int:
    """TimeGenerated in whole microseconds since the epoch."""
    text = record["TimeGenerated"]
    assert isinstance(text, str)
    second, _, decimals = text.removesuffix("Z").partition(".")
    start = datetime.fromisoformat(second + "+00:00")
    return int(start.timestamp()) * 1_000_000 + int(decimals.ljust(7, "0")[:6])


@each_writer
def test_records_are_compact_json_lines_that_fit_their_table(service: str, table: str) -> None:
    columns = {column.name: column.type for column in known_tables()[table].columns}
    for seed in SEEDS:
        for line in lines(service, table, seed):
            assert 300 <= len(line) <= 3072
            assert b"\n" not in line and b"${" not in line
            record = json.loads(line, object_pairs_hook=unique_members)
            assert json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() == line
            assert record.keys() <= columns.keys()
            assert record["Type"] == table
            misfits = {name: value for name, value in record.items() if not fits(value, columns[name])}
            assert not misfits


@each_writer
def test_string_columns_that_look_like_json_are_json(service: str, table: str) -> None:
    for line in lines(service, table):
        for value in json.loads(line).values():
            if isinstance(value, str) and value.startswith(("{", "[")):
                json.loads(value)


@each_writer
def test_the_bytes_are_pinned(service: str, table: str) -> None:
    text = b"".join(line + b"\n" for line in lines(service, table, records=200))
    assert hashlib.sha256(text).hexdigest() == DIGESTS[service, table]


@each_writer
def test_a_run_can_be_cut_into_pieces(service: str, table: str) -> None:
    whole = lines(service, table, records=60)
    pieces = [*lines(service, table, records=37), *lines(service, table, records=23, first_index=37)]
    assert pieces == whole


@each_writer
def test_time_generated_follows_the_rate_with_small_jitter(service: str, table: str) -> None:
    interval_us = 1_000_000 / RATE_PER_S
    jitter_us = min(1.5 * interval_us, JITTER_US_MAX)
    lags = []
    for index, line in enumerate(lines(service, table)):
        lags.append(time_us(json.loads(line)) - START_US - index * interval_us)
    assert min(lags) >= 0
    assert max(lags) < jitter_us
    assert max(lags) - min(lags) > interval_us, "without jitter no reader's order would be tried"


def test_jitter_is_bounded_where_records_are_rare() -> None:
    rare = table_lines("AuditLogs", records=50, seed=1, start_us=START_US, rate_per_s=0.01)
    for index, line in enumerate(rare):
        lag_us = time_us(json.loads(line)) - START_US - index * 100_000_000
        assert 0 <= lag_us < JITTER_US_MAX


def test_no_id_comes_twice_over_services_tables_seeds_and_indexes() -> None:
    ids: set[str] = set()
    made = 0
    for service, table in WRITERS:
        column = id_column(table)
        for seed in SEEDS:
            found = [json.loads(line)[column] for line in lines(service, table, seed)]
            ids.update(found)
            made += len(found)
    assert len(ids) == made


@each_writer
def test_the_id_of_a_record_depends_on_neither_time_nor_rate(service: str, table: str) -> None:
    for index in (0, 7):
        line = lines(service, table, records=1, first_index=index)[0]
        assert json.loads(line)[id_column(table)] == record_id(table, seed=1, index=index, service=service)


@each_writer
def test_seeds_differ_and_share_no_organisation(service: str, table: str) -> None:
    one, other = lines(service, table, seed=1), lines(service, table, seed=2)
    assert not set(one) & set(other)


def test_negative_and_huge_seeds_are_seeds_like_others() -> None:
    made = {lines("entra", "SigninLogs", seed, records=1)[0] for seed in (-1, 1, 0, 2**80)}
    assert len(made) == 4
