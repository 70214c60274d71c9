"""The catalogue names the services of the incident, with tables that exist and can be generated."""

from __future__ import annotations

import pytest

from gapless.model.errors import Refused
from gapless.model.tables import known_tables
from gapless.services.catalogue import Service, service, services
from gapless.services.generate import SERVICE_RECIPES, id_column

TABLES = {
    "entra": {
        "SigninLogs",
        "AADNonInteractiveUserSignInLogs",
        "AADServicePrincipalSignInLogs",
        "AADManagedIdentitySignInLogs",
        "AuditLogs",
        "AADProvisioningLogs",
    },
    "logic-apps": {"LogicAppWorkflowRuntime", "AzureDiagnostics"},
    "healthcare": {"MicrosoftHealthcareApisAuditLogs", "AHDSMedTechDiagnosticLogs", "AHDSDicomAuditLogs"},
    "sentinel": {"SecurityAlert", "SecurityIncident", "SentinelHealth"},
    "azure-monitor": {"AzureActivity", "AzureDiagnostics"},
    "trusted-signing": {"SignTransactions", "SignHistory"},
    "virtual-desktop": {
        "AppTraces",
        "AppEvents",
        "AppRequests",
        "AppExceptions",
        "AppDependencies",
        "WVDConnections",
        "WVDErrors",
        "WVDCheckpoints",
    },
    "power-platform": {
        "PowerPlatformAdminActivity",
        "PowerAutomateActivity",
        "PowerAppsActivity",
        "DataverseActivity",
    },
}


def test_the_eight_services_write_to_the_tables_of_the_incident() -> None:
    assert {entry.name: set(entry.tables) for entry in services()} == TABLES


@pytest.mark.parametrize("entry", services(), ids=lambda entry: entry.name)
def test_every_table_is_known_and_has_one_recipe(entry: Service) -> None:
    assert set(entry.tables) <= known_tables().keys()
    recipes = [recipe.table for recipe in SERVICE_RECIPES[entry.name]]
    assert sorted(recipes) == sorted(entry.tables)
    assert entry.title and entry.description.endswith(".")


@pytest.mark.parametrize("entry", services(), ids=lambda entry: entry.name)
def test_the_id_column_is_a_text_column_and_the_same_for_every_writer(entry: Service) -> None:
    for recipe in SERVICE_RECIPES[entry.name]:
        columns = {column.name: column.type for column in known_tables()[recipe.table].columns}
        assert columns[recipe.id_column] == "string"
        assert id_column(recipe.table) == recipe.id_column


def test_a_service_is_found_by_its_name() -> None:
    for entry in services():
        assert service(entry.name) is entry


@pytest.mark.parametrize(
    ("asked", "offered"), [("entrra", "entra"), ("Sentinel", "sentinel"), ("power", "power-platform")]
)
def test_a_name_that_is_nearly_right_is_refused_with_the_right_one(asked: str, offered: str) -> None:
    with pytest.raises(Refused, match=offered):
        service(asked)


def test_a_name_that_is_nothing_like_any_is_refused_with_all_of_them() -> None:
    with pytest.raises(Refused) as refusal:
        service("zzzzzzzz")
    assert all(entry.name in str(refusal.value) for entry in services())
