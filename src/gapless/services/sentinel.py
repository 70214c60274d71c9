"""Microsoft Sentinel: alerts, the incidents made of them, and the health of what makes them."""

from __future__ import annotations

from gapless.services.organisation import Organisation, User
from gapless.services.recipe import Body, Columns, Node, Parent, Pick, Recipe, json_text, zipf
from gapless.services.sentinel_rules import RULES, Rule
from gapless.services.slots import counter, earlier_ms, guid, hexadecimal, number

_GROUP = "rg-security"
_ALERTS_PER_INCIDENT = 2


def _portal(organisation: Organisation, path: str) -> str:
    return f"https://portal.azure.com/#@{organisation.domain}/asset/Microsoft_Azure_Security_Insights/{path}"


def _workspace(organisation: Organisation) -> str:
    return organisation.resource_id(
        _GROUP, "Microsoft.OperationalInsights/workspaces", f"{organisation.company}-siem", stage=2
    )


def _alert(organisation: Organisation, rule: Rule) -> Columns:
    query = f"SigninLogs | where RiskLevelAggregated == 'high' | summarize count() by UserId // {rule.name}"
    return {
        "AlertName": rule.name,
        "DisplayName": rule.name,
        "AlertType": f"{organisation.workspace_id}_{rule.rule_id}",
        "AlertSeverity": rule.severity,
        "Description": rule.description,
        "ProductName": rule.product,
        "ProductComponentName": "Scheduled Alerts",
        "ProviderName": "ASI Scheduled Alerts" if rule.product.endswith("Sentinel") else "IPC",
        "Tactics": rule.tactic,
        "Techniques": json_text([rule.technique]),
        "ExtendedProperties": json_text(
            {
                "Analytic Rule Ids": json_text([rule.rule_id]),
                "Analytic Rule Name": rule.name,
                "Query": query,
                "Query Period": "01:00:00",
                "Trigger Operator": "GreaterThan",
                "Trigger Threshold": "0",
                "Search Query Results Overall Count": "${hits}",
            }
        ),
        "RemediationSteps": json_text(["Talk to the user.", "Revoke the sessions.", "Reset the password."]),
    }


def _entities(user: User) -> Columns:
    account = {
        "$id": "2",
        "Name": user.principal_name.split("@")[0],
        "UPNSuffix": user.principal_name.split("@")[1],
        "AadUserId": user.object_id,
        "DisplayName": user.name,
        "Type": "account",
    }
    address = {"$id": "3", "Address": "198.19.${block}.${octet}", "Type": "ip"}
    return {"CompromisedEntity": user.principal_name, "Entities": json_text([account, address])}


def _security_alert(organisation: Organisation) -> Body:
    common = {
        "SystemAlertId": "${id}",
        "VendorOriginalId": "${original}",
        "VendorName": "Microsoft",
        "Status": "New",
        "IsIncident": False,
        "ConfidenceLevel": "",
        "StartTime": "${start}",
        "EndTime": "${end}",
        "ProcessingEndTime": "${time}",
        "AlertLink": _portal(organisation, "Alerts/${id}"),
        "ExtendedLinks": "",
        "WorkspaceResourceGroup": _GROUP,
        "WorkspaceSubscriptionId": organisation.subscriptions[2].subscription_id,
    }
    slots = {
        "original": guid(),
        "start": earlier_ms((0, 3_600_000), (1000, 4_200_000)),
        "end": earlier_ms((0, 20_000), (1000, 600_000)),
        "hits": number((0, 1), (800, 12), (1000, 900)),
        "block": number((0, 0), (1000, 3)),
        "octet": number((0, 1), (1000, 254)),
    }
    rules = Parent("SecurityAlert", 1, zipf(_alert(organisation, rule) for rule in RULES))
    return Body((common, zipf(map(_entities, organisation.users))), slots, rules)


def _incident(organisation: Organisation, rule: Rule) -> Columns:
    rule_path = f"{_workspace(organisation)}/providers/Microsoft.SecurityInsights/alertRules/{rule.rule_id}"
    return {
        "Title": rule.name,
        "Description": rule.description,
        "Severity": rule.severity,
        "RelatedAnalyticRuleIds": [rule_path],
        "AdditionalData": {
            "alertsCount": 1,
            "bookmarksCount": 0,
            "commentsCount": "${comments:n}",
            "alertProductNames": [rule.product],
            "tactics": [rule.tactic],
            "techniques": [rule.technique],
        },
    }


def _owners(organisation: Organisation) -> Pick:
    analysts: list[Node] = [
        {
            "Status": "Active",
            "ModifiedBy": user.name,
            "Owner": {
                "objectId": user.object_id,
                "assignedTo": user.name,
                "email": user.principal_name,
                "userPrincipalName": user.principal_name,
            },
            "Labels": [{"labelName": "triaged", "labelType": "User"}],
        }
        for user in organisation.users[100:106]
    ]
    fresh: Node = {"Status": "New", "ModifiedBy": "Incident created from alert", "Owner": {}, "Labels": []}
    closed: Node = {
        "Classification": "TruePositive",
        "ClassificationReason": "SuspiciousActivity",
        "ClassificationComment": "Confirmed with the user; sessions revoked.",
        "ClosedTime": "${time}",
    }
    return Pick([(5, fresh), (4, zipf(analysts)), (1, (analysts[0], closed))])


def _security_incident(organisation: Organisation) -> Body:
    common = {
        "IncidentName": "${id}",
        "IncidentNumber": "${sequence:n}",
        "ProviderIncidentId": "${sequence}",
        "ProviderName": "Azure Sentinel",
        "IncidentUrl": _portal(organisation, f"Incident{_workspace(organisation)}/Incidents/${{id}}"),
        "TenantId": organisation.workspace_id,
        "SourceSystem": "Azure",
        "AlertIds": ["${parent}"],
        "BookmarkIds": [],
        "Comments": [],
        "Tasks": [],
        "CreatedTime": "${created}",
        "FirstModifiedTime": "${created}",
        "LastModifiedTime": "${time}",
        "FirstActivityTime": "${first}",
        "LastActivityTime": "${created}",
    }
    slots = {
        "sequence": counter(1001),
        "created": earlier_ms((0, 1000), (500, 60_000), (1000, 3_600_000)),
        "first": earlier_ms((0, 3_700_000), (1000, 9_000_000)),
        "comments": number((0, 0), (700, 0), (1000, 5)),
    }
    # The parent is an alert, made by the same rule: the choice of the rule comes first in both tables.
    rules = zipf(_incident(organisation, rule) for rule in RULES)
    alert = Parent("SecurityAlert", 1, rules, every=_ALERTS_PER_INCIDENT)
    return Body((common, _owners(organisation)), slots, alert)


def _health(
    organisation: Organisation, operation: str, resource_type: str, kind: str, name: str, key: str
) -> Columns:
    resource = f"{_workspace(organisation)}/providers/Microsoft.SecurityInsights/{key}/${{resource}}"
    return {
        "OperationName": operation,
        "SentinelResourceName": name,
        "SentinelResourceType": resource_type,
        "SentinelResourceKind": kind,
        "SentinelResourceId": resource,
    }


def _sentinel_health(organisation: Organisation) -> Body:
    rules = zipf(
        _health(
            organisation,
            "Scheduled analytics rule run",
            "Analytics Rule",
            "Scheduled",
            rule.name,
            "alertRules",
        )
        for rule in RULES
    )
    connectors = zipf(
        _health(organisation, "Data fetch status change", "Data connector", kind, name, "dataConnectors")
        for name, kind in (
            ("Microsoft Entra ID", "AzureActiveDirectory"),
            ("Office 365", "Office365"),
            ("Amazon Web Services S3", "AmazonWebServicesS3"),
        )
    )
    automation = _health(
        organisation,
        "Playbook was triggered",
        "Automation rule",
        "Playbook",
        "triage-and-notify",
        "automationRules",
    )
    results = Pick(
        [
            (96, {"Status": "Success", "Reason": "", "Description": "Rule executed successfully."}),
            (
                3,
                {
                    "Status": "Partial success",
                    "Reason": "QueryTimeout",
                    "Description": "A part of the window was not read.",
                },
            ),
            (
                1,
                {
                    "Status": "Failure",
                    "Reason": "Throttled",
                    "Description": "The source refused the request; it is retried.",
                },
            ),
        ]
    )
    common = {
        "RecordId": "${id}",
        "TenantId": organisation.workspace_id,
        "WorkspaceId": organisation.workspace_id,
        "SourceSystem": "Azure",
        "ExtendedProperties": {
            "QueryStartTimeUTC": "${start}",
            "QueryEndTimeUTC": "${time}",
            "QueryRunTimeMs": "${duration:n}",
            "AlertsGeneratedAmount": "${hits:n}",
            "TriggeredRunId": "${run}",
        },
    }
    slots = {
        "resource": guid(),
        "run": hexadecimal(12),
        "start": earlier_ms((0, 3_600_000), (1000, 3_660_000)),
        "duration": number((0, 120), (500, 900), (950, 6200), (1000, 118_000)),
        "hits": number((0, 0), (900, 0), (1000, 12)),
    }
    return Body((common, Pick([(7, rules), (2, connectors), (1, automation)]), results), slots)


RECIPES = (
    Recipe("SecurityAlert", "SystemAlertId", 2 * _ALERTS_PER_INCIDENT, _security_alert),
    Recipe("SecurityIncident", "IncidentName", 2, _security_incident),
    Recipe("SentinelHealth", "RecordId", 3, _sentinel_health),
)
