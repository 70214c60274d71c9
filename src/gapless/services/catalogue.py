"""The catalogue: the services whose logs had holes in September 2024, and the tables they write to.

Category names are those of the services' own diagnostic settings where they have any.
"""

from __future__ import annotations

from difflib import get_close_matches

import msgspec

from gapless.model.errors import Refused


class Category(msgspec.Struct, frozen=True):
    """One kind of log of a service, and the table its records go to."""

    name: str
    table: str


class Service(msgspec.Struct, frozen=True):
    """A log-producing service. ``name`` is its name on the command line."""

    name: str
    title: str
    description: str
    categories: tuple[Category, ...]

    @property
    def tables(self) -> tuple[str, ...]:
        """The service's tables, each once, in the order of its categories."""
        return tuple(dict.fromkeys(category.table for category in self.categories))


def _categories(*pairs: tuple[str, str]) -> tuple[Category, ...]:
    return tuple(Category(name, table) for name, table in pairs)


_SERVICES = (
    Service(
        "entra",
        "Microsoft Entra",
        "Sign-ins of people, programs and managed identities, directory changes and provisioning.",
        _categories(
            ("SignInLogs", "SigninLogs"),
            ("NonInteractiveUserSignInLogs", "AADNonInteractiveUserSignInLogs"),
            ("ServicePrincipalSignInLogs", "AADServicePrincipalSignInLogs"),
            ("ManagedIdentitySignInLogs", "AADManagedIdentitySignInLogs"),
            ("AuditLogs", "AuditLogs"),
            ("ProvisioningLogs", "AADProvisioningLogs"),
        ),
    ),
    Service(
        "logic-apps",
        "Azure Logic Apps",
        "Runs of workflows with their triggers and actions, of Standard and of Consumption plans.",
        _categories(("WorkflowRuntime", "LogicAppWorkflowRuntime"), ("WorkflowRuntime", "AzureDiagnostics")),
    ),
    Service(
        "healthcare",
        "Azure Healthcare APIs",
        "Who read or changed which FHIR and DICOM resources, and how device data were taken in.",
        _categories(
            ("AuditLogs", "MicrosoftHealthcareApisAuditLogs"),
            ("DiagnosticLogs", "AHDSMedTechDiagnosticLogs"),
            ("DicomAuditLogs", "AHDSDicomAuditLogs"),
        ),
    ),
    Service(
        "sentinel",
        "Microsoft Sentinel",
        "Security alerts, the incidents made of them, and the health of rules and connectors.",
        _categories(
            ("Alerts", "SecurityAlert"),
            ("Incidents", "SecurityIncident"),
            ("Analytics", "SentinelHealth"),
            ("Automation", "SentinelHealth"),
            ("DataConnectors", "SentinelHealth"),
        ),
    ),
    Service(
        "azure-monitor",
        "Azure Monitor",
        "The activity log of subscriptions, and resource logs routed by diagnostic settings.",
        _categories(
            ("Administrative", "AzureActivity"),
            ("Policy", "AzureActivity"),
            ("ResourceHealth", "AzureActivity"),
            ("Autoscale", "AzureActivity"),
            ("AuditEvent", "AzureDiagnostics"),
            ("ApplicationGatewayAccessLog", "AzureDiagnostics"),
            ("ApplicationGatewayFirewallLog", "AzureDiagnostics"),
        ),
    ),
    Service(
        "trusted-signing",
        "Azure Trusted Signing",
        "Requests to sign code, and the history of every signature made.",
        _categories(("SignTransactions", "SignTransactions"), ("SignHistory", "SignHistory")),
    ),
    Service(
        "virtual-desktop",
        "Azure Virtual Desktop",
        "Connections, checkpoints and errors of desktops, with the telemetry in Application Insights.",
        _categories(
            ("AppTraces", "AppTraces"),
            ("AppEvents", "AppEvents"),
            ("AppRequests", "AppRequests"),
            ("AppExceptions", "AppExceptions"),
            ("AppDependencies", "AppDependencies"),
            ("Connection", "WVDConnections"),
            ("Error", "WVDErrors"),
            ("Checkpoint", "WVDCheckpoints"),
        ),
    ),
    Service(
        "power-platform",
        "Power Platform",
        "What administrators, makers and users did with environments, flows, apps and Dataverse rows.",
        _categories(
            ("PowerPlatformAdmin", "PowerPlatformAdminActivity"),
            ("PowerAutomate", "PowerAutomateActivity"),
            ("PowerApps", "PowerAppsActivity"),
            ("Dataverse", "DataverseActivity"),
        ),
    ),
)
_BY_NAME = {entry.name: entry for entry in _SERVICES}


def services() -> tuple[Service, ...]:
    """All services, always in the same order."""
    return _SERVICES


def service(name: str) -> Service:
    """The service called ``name``. Raises Refused, with the nearest names, when there is none."""
    found = _BY_NAME.get(name)
    if found is not None:
        return found
    near = get_close_matches(name.lower(), _BY_NAME, n=3, cutoff=0.4) or list(_BY_NAME)
    raise Refused(f"there is no service {name!r}: use {' or '.join(near)}")
