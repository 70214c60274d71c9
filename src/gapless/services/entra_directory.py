"""Microsoft Entra: changes to the directory, and the provisioning of accounts to other systems."""

from __future__ import annotations

from gapless.services.chance import Dice
from gapless.services.facts import DEPARTMENTS
from gapless.services.organisation import Organisation, User
from gapless.services.recipe import Body, Columns, Parent, Pick, Recipe, json_text, zipf
from gapless.services.slots import guid, hexadecimal, number, word

_STEPS_PER_CYCLE = 5

#: Weight, activity, category, kind of change, service that logs it, and the property changed.
_ACTIVITIES = (
    (300, "Update user", "UserManagement", "Update", "Core Directory", "Department"),
    (150, "Add member to group", "GroupManagement", "Assign", "Core Directory", "Group.DisplayName"),
    (90, "Remove member from group", "GroupManagement", "Unassign", "Core Directory", "Group.DisplayName"),
    (80, "Update device", "Device", "Update", "Device Registration Service", "LastDirSyncTime"),
    (70, "User registered security info", "UserManagement", "Add", "Authentication Methods", "MethodType"),
    (60, "Reset user password", "UserManagement", "Update", "Core Directory", "ForceChangePassword"),
    (50, "Update application", "ApplicationManagement", "Update", "Core Directory", "RequiredResourceAccess"),
    (40, "Add user", "UserManagement", "Add", "Core Directory", "AccountEnabled"),
    (
        30,
        "Consent to application",
        "ApplicationManagement",
        "Assign",
        "Core Directory",
        "ConsentContext.IsAdminConsent",
    ),
    (
        25,
        "Add service principal credentials",
        "ApplicationManagement",
        "Update",
        "Core Directory",
        "KeyDescription",
    ),
    (
        20,
        "Update conditional access policy",
        "Policy",
        "Update",
        "Conditional Access",
        "ConditionalAccessPolicy",
    ),
    (15, "Add member to role", "RoleManagement", "Assign", "Core Directory", "Role.DisplayName"),
)


def _activity(
    organisation: Organisation, name: str, category: str, change: str, service: str, changed: str
) -> Columns:
    return {
        "OperationName": name,
        "ActivityDisplayName": name,
        "Category": category,
        "AADOperationType": change,
        "LoggedByService": service,
        "Resource": "Microsoft.aadiam",
        "ResourceId": f"/tenants/{organisation.tenant_id}/providers/Microsoft.aadiam",
        "TargetResources": [
            {
                "id": "${target}",
                "displayName": "${department}-${target_name}",
                "type": "Device" if category == "Device" else category.removesuffix("Management"),
                "modifiedProperties": [
                    {
                        "displayName": changed,
                        "oldValue": '["${department}"]',
                        "newValue": '["${new_department}"]',
                    },
                    {
                        "displayName": "Included Updated Properties",
                        "oldValue": None,
                        "newValue": f'"{changed}"',
                    },
                ],
                "administrativeUnits": [],
            }
        ],
    }


def _initiated_by_user(user: User) -> Columns:
    return {
        "Identity": user.name,
        "InitiatedBy": {
            "user": {
                "id": user.object_id,
                "displayName": user.name,
                "userPrincipalName": user.principal_name,
                "ipAddress": user.clients[0].address,
                "roles": [],
            }
        },
    }


def _audit_logs(organisation: Organisation) -> Body:
    common = {
        "Id": "${id}",
        "CorrelationId": "${correlation}",
        "AADTenantId": organisation.tenant_id,
        "ActivityDateTime": "${time}",
        "SourceSystem": "Azure AD",
        "OperationVersion": "1.0",
        "ResourceGroup": "Microsoft.aadiam",
        "Level": "4",
        "DurationMs": 0,
        "AdditionalDetails": [
            {"key": "User-Agent", "value": organisation.users[0].clients[0].device.user_agent}
        ],
    }
    programs = [
        {
            "Identity": one.name,
            "InitiatedBy": {"app": {"displayName": one.name, "servicePrincipalId": one.object_id}},
        }
        for one in organisation.workloads
    ]
    initiators = Pick([(4, zipf(map(_initiated_by_user, organisation.users[:30]))), (6, zipf(programs))])
    results = Pick(
        [
            (97, {"Result": "success", "ResultReason": "", "ResultSignature": "None", "ResultType": ""}),
            (
                3,
                {
                    "Result": "failure",
                    "ResultReason": "Insufficient privileges to complete the operation.",
                    "ResultSignature": "None",
                    "ResultType": "Authorization_RequestDenied",
                },
            ),
        ]
    )
    activities = Pick([(weight, _activity(organisation, *activity)) for weight, *activity in _ACTIVITIES])
    slots = {
        "correlation": guid(),
        "target": guid(),
        "target_name": hexadecimal(4),
        "department": word(*DEPARTMENTS),
        "new_department": word(*DEPARTMENTS),
    }
    return Body((common, activities, initiators, results), slots)


_SYSTEMS = ("Workday", "ServiceNow", "Salesforce", "AWS IAM Identity Center", "Atlassian Cloud")


def _system(organisation: Organisation, name: str) -> Columns:
    dice = Dice("provisioning", organisation.seed, name)
    source = {"id": dice.guid(), "displayName": "Azure Active Directory", "details": {}}
    target = {"id": dice.guid(), "displayName": name, "details": {"ApplicationId": dice.guid()}}
    return {
        "JobId": f"{name.split()[0].lower()}OutDelta.{dice.bytes(16).hex()}",
        "ServicePrincipal": json_text([{"id": dice.guid(), "name": name}]),
        "SourceSystem": json_text([source]),
        "TargetSystem": json_text([target]),
    }


def _provisioned(user: User) -> Columns:
    identity = {"Id": user.object_id, "Name": user.principal_name, "Type": "User"}
    return {
        "SourceIdentity": json_text([identity]),
        "TargetIdentity": json_text([{**identity, "Id": "${account}"}]),
        "ModifiedProperties": json_text(
            [{"displayName": "department", "oldValue": "${department}", "newValue": user.department}]
        ),
    }


def _provisioning_result(action: str, status: str, reason: str) -> Columns:
    steps = ("EntryImport", "EntrySynchronizationScoping", "EntryExportUpdate")
    return {
        "ProvisioningAction": action,
        "ResultType": status.capitalize(),
        "ResultSignature": "None",
        "ResultDescription": reason,
        "ProvisioningStatusInfo": json_text({"Status": status, "ErrorInformation": reason or None}),
        "ProvisioningSteps": json_text(
            [
                {"name": step, "type": "other", "status": "success" if step != steps[-1] else status}
                for step in steps
            ]
        ),
    }


def _provisioning_logs(organisation: Organisation) -> Body:
    common = {
        "Id": "${id}",
        "ChangeId": "${change}",
        "CorrelationId": "${parent}",
        "CycleId": "${cycle}",
        "AADTenantId": organisation.tenant_id,
        "TenantId": organisation.workspace_id,
        "OperationName": "Provisioning activity",
        "OperationVersion": "1.0",
        "Category": "ProvisioningLogs",
        "DurationMs": "${duration:n}",
        "InitiatedBy": json_text(
            {"id": "", "displayName": "Azure AD Provisioning Service", "type": "system"}
        ),
    }
    results = Pick(
        [
            (70, _provisioning_result("update", "success", "")),
            (15, _provisioning_result("other", "skipped", "The object is not in scope.")),
            (10, _provisioning_result("create", "success", "")),
            (5, _provisioning_result("update", "failure", "The target system answered 429 TooManyRequests.")),
        ]
    )
    cycle = Parent(
        "cycle",
        _STEPS_PER_CYCLE,
        zipf(_system(organisation, name) for name in _SYSTEMS),
        {"cycle": guid()},
    )
    slots = {
        "change": guid(),
        "account": guid(),
        "department": word(*DEPARTMENTS),
        "duration": number((0, 40), (500, 310), (950, 2400), (1000, 31000)),
    }
    return Body((common, zipf(map(_provisioned, organisation.users)), results), slots, cycle)


RECIPES = (
    Recipe("AuditLogs", "Id", 2, _audit_logs),
    Recipe("AADProvisioningLogs", "Id", 1, _provisioning_logs),
)
