"""Azure Monitor: the activity log, and the resource logs in AzureDiagnostics."""

from __future__ import annotations

from typing import NamedTuple

from gapless.services import resource_logs
from gapless.services.facts import DEPARTMENTS
from gapless.services.organisation import Organisation, User, Workload
from gapless.services.recipe import Body, Columns, Cycle, Parent, Pick, Recipe, json_text, zipf
from gapless.services.slots import guid, hexadecimal

_GROUPS = tuple(f"rg-{department}" for department in DEPARTMENTS)


class _Operation(NamedTuple):
    """A control-plane operation: resource type, what is done to it, and its name for people."""

    resource_type: str
    verb: str
    title: str

    @property
    def name(self) -> str:
        return f"{self.resource_type}/{self.verb}"


_OPERATIONS = (
    _Operation("Microsoft.Resources/deployments", "write", "Create Deployment"),
    _Operation("Microsoft.Storage/storageAccounts/listKeys", "action", "List Storage Account Keys"),
    _Operation("Microsoft.Compute/virtualMachines", "write", "Create or Update Virtual Machine"),
    _Operation("Microsoft.Compute/virtualMachines/start", "action", "Start Virtual Machine"),
    _Operation("Microsoft.Compute/virtualMachines/deallocate", "action", "Deallocate Virtual Machine"),
    _Operation(
        "Microsoft.Network/networkSecurityGroups/securityRules", "write", "Create or Update Security Rule"
    ),
    _Operation("Microsoft.Authorization/roleAssignments", "write", "Create role assignment"),
    _Operation(
        "Microsoft.Insights/diagnosticSettings", "write", "Create or update resource diagnostic setting"
    ),
    _Operation("Microsoft.KeyVault/vaults", "delete", "Delete Key Vault"),
)


def _operation(organisation: Organisation, operation: _Operation, group: str) -> Columns:
    provider = operation.resource_type.split("/")[0]
    name = f"{group.removeprefix('rg-')}-${{resource}}"
    resource = organisation.resource_id(group, operation.resource_type, name)
    authorization = {
        "scope": resource,
        "action": operation.name,
        "evidence": {"role": "Contributor", "principalType": "User"},
    }
    return {
        **organisation.resource_columns(group, operation.resource_type, name),
        "SubscriptionId": organisation.subscriptions[0].subscription_id,
        "ResourceId": resource,
        "Resource": name,
        "ResourceGroup": group,
        "ResourceProvider": provider,
        "ResourceProviderValue": provider.upper(),
        "OperationName": operation.title,
        "OperationNameValue": operation.name.upper(),
        "Authorization": json_text(authorization),
        "Authorization_d": authorization,
        "Hierarchy": f"{organisation.tenant_id}/{organisation.company}/{organisation.subscriptions[0].name}",
    }


def _stage(organisation: Organisation, value: str, code: str, level: str) -> Columns:
    properties = {
        "eventCategory": "Administrative",
        "statusCode": code,
        "serviceRequestId": "${request}",
        "hierarchy": organisation.tenant_id,
    }
    return {
        "ActivityStatus": value,
        "ActivityStatusValue": value,
        "ActivitySubstatus": code,
        "ActivitySubstatusValue": code,
        "Level": level,
        "Category": "Administrative",
        "CategoryValue": "Administrative",
        "Properties": json_text(properties),
        "Properties_d": properties,
    }


def _stages(organisation: Organisation) -> Pick:
    """An operation starts, is accepted, and ends well or not: one record each."""
    start = _stage(organisation, "Start", "", "Informational")
    accepted = _stage(organisation, "Accept", "Accepted", "Informational")
    success = _stage(organisation, "Success", "OK", "Informational")
    conflict = _stage(organisation, "Failure", "Conflict", "Error")
    return Pick([(95, Cycle((start, accepted, success))), (5, Cycle((start, accepted, conflict)))])


def _person(user: User) -> Columns:
    claims = {
        "appid": "c44b4083-3bb0-49c1-b47d-974e53cbdf3c",
        "name": user.name,
        "ipaddr": user.clients[0].address,
    }
    return {
        "Caller": user.principal_name,
        "CallerIpAddress": user.clients[0].address,
        "Claims": json_text(claims),
        "Claims_d": claims,
    }


def _program(workload: Workload) -> Columns:
    claims = {"appid": workload.app_id, "idtyp": "app", "oid": workload.object_id}
    return {
        "Caller": workload.object_id,
        "CallerIpAddress": workload.address,
        "Claims": json_text(claims),
        "Claims_d": claims,
    }


def _azure_activity(organisation: Organisation) -> Body:
    callers = Pick(
        [(7, zipf(map(_program, organisation.workloads))), (3, zipf(map(_person, organisation.users[:25])))]
    )
    operations = zipf(
        Pick([(1, _operation(organisation, operation, group)) for group in _GROUPS])
        for operation in _OPERATIONS
    )
    parent = Parent(
        "operation",
        3,
        (operations, callers, _stages(organisation)),
        {"operation": guid(), "resource": hexadecimal(3)},
    )
    common = {
        "EventDataId": "${id}",
        "TenantId": organisation.workspace_id,
        "CorrelationId": "${parent}",
        "OperationId": "${operation}",
        "EventSubmissionTimestamp": "${time}",
        "SourceSystem": "Azure",
        "HTTPRequest": json_text({"clientRequestId": "${parent}", "method": "PUT"}),
    }
    return Body(common, {"request": guid()}, parent)


RECIPES = (
    Recipe("AzureActivity", "EventDataId", 3, _azure_activity),
    Recipe("AzureDiagnostics", "CorrelationId", 7, resource_logs.body),
)
