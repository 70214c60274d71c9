"""Microsoft Entra: all its tables, and the sign-ins of service principals and managed identities."""

from __future__ import annotations

from gapless.services import entra_directory, entra_people
from gapless.services.organisation import Organisation, Workload
from gapless.services.recipe import Body, Columns, Node, Pick, Recipe, json_text, zipf
from gapless.services.slots import guid, number, token

_RESOURCES = (
    ("Microsoft Graph", "00000003-0000-0000-c000-000000000000"),
    ("Azure Key Vault", "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"),
    ("Azure Storage", "e406a681-f3d4-42a8-90b6-c2b029497af1"),
    ("Windows Azure Service Management API", "797f4846-ba00-4fd7-ba43-dac1f8f63013"),
    ("Azure SQL Database", "022907d3-0f1b-48f7-badc-1ba6abab6d66"),
)


def _outcome(code: int, description: str) -> Columns:
    return {
        "ResultType": str(code),
        "ResultSignature": "SUCCESS" if code == 0 else "FAILURE",
        "ResultDescription": description,
        "ConditionalAccessStatus": "notApplied",
    }


_OUTCOMES = Pick(
    [
        (965, _outcome(0, "")),
        (15, _outcome(7000215, "Invalid client secret is provided.")),
        (10, _outcome(7000222, "The provided client secret keys are expired.")),
        (6, _outcome(700016, "Application was not found in the directory.")),
        (4, _outcome(500011, "The resource principal was not found in the tenant.")),
    ]
)


def _workload(workload: Workload) -> Columns:
    return {
        "AppId": workload.app_id,
        "ServicePrincipalId": workload.object_id,
        "ServicePrincipalName": workload.name,
        "Location": workload.place.country,
    }


def _calling_from(workload: Workload) -> Columns:
    return {
        "IPAddress": workload.address,
        "LocationDetails": json_text(workload.place.details),
        "ServicePrincipalCredentialKeyId": workload.key_id,
        "AuthenticationProcessingDetails": json_text(
            [{"key": "Legacy TLS (TLS 1.0, 1.1, 3DES)", "value": "False"}]
        ),
    }


def _body(organisation: Organisation, category: str, identities: Node) -> Body:
    common = {
        "Id": "${id}",
        "CorrelationId": "${correlation}",
        "UniqueTokenIdentifier": "${token}",
        "TenantId": organisation.workspace_id,
        "SourceSystem": "Azure AD",
        "OperationName": "Sign-in activity",
        "OperationVersion": "1.0",
        "Category": category,
        "Level": "4",
        "DurationMs": "${duration:n}",
        "ResourceGroup": "Microsoft.aadiam",
        "AuthenticationContextClassReferences": "",
    }
    resources = zipf(
        {
            "ResourceDisplayName": name,
            "ResourceIdentity": resource_id,
            "ResourceServicePrincipalId": "${resource}",
        }
        for name, resource_id in _RESOURCES
    )
    slots = {
        "correlation": guid(),
        "token": token(),
        "resource": guid(),
        "duration": number((0, 0), (700, 0), (950, 48), (1000, 2100)),
    }
    return Body((common, identities, resources, _OUTCOMES), slots)


def _service_principals(organisation: Organisation) -> Body:
    identities = zipf({**_workload(one), **_calling_from(one)} for one in organisation.workloads)
    return _body(organisation, "ServicePrincipalSignInLogs", identities)


def _managed_identities(organisation: Organisation) -> Body:
    # Azure itself asks for these tokens: no address and no credential of the caller's.
    identities = zipf(_workload(one) for one in organisation.workloads)
    return _body(organisation, "ManagedIdentitySignInLogs", identities)


RECIPES = (
    *entra_people.RECIPES,
    Recipe("AADServicePrincipalSignInLogs", "Id", 6, _service_principals),
    Recipe("AADManagedIdentitySignInLogs", "Id", 4, _managed_identities),
    *entra_directory.RECIPES,
)
