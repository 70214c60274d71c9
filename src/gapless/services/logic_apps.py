"""Azure Logic Apps: runs of workflows, of Standard plans and, in AzureDiagnostics, of Consumption plans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gapless.services.organisation import Organisation
from gapless.services.recipe import Body, Columns, Cycle, Node, Parent, Pick, Recipe, json_text, zipf
from gapless.services.slots import digits, earlier_ms, guid, number

_GROUP = "rg-integration"


class _Workflow(NamedTuple):
    name: str
    trigger: str
    actions: tuple[str, str, str]


class _Event(NamedTuple):
    """One record of a run; an empty ``action`` stands for the run or its trigger."""

    kind: str  # as in "workflowRunStarted"
    action: str
    status: str
    code: str
    error: str


_WORKFLOWS = (
    _Workflow(
        "order-intake", "When_a_HTTP_request_is_received", ("Parse_JSON", "Insert_row", "Send_to_topic")
    ),
    _Workflow("invoice-export", "Recurrence", ("List_invoices", "Create_blob", "Send_an_email")),
    _Workflow("alert-triage", "When_an_alert_is_created", ("Get_incident", "Lookup_owner", "Post_message")),
    _Workflow("crm-sync", "When_a_row_is_modified", ("Get_account", "Transform_account", "Upsert_record")),
    _Workflow("file-drop", "When_a_blob_is_added", ("Get_blob_content", "Scan_content", "Move_blob")),
)
_BAD_GATEWAY = "The service 'logic-apis' returned 502 after 4 retries: the backend did not answer in time."


def _events(workflow: _Workflow, failed: bool) -> list[_Event]:
    """The records of one run in their order: trigger, run, actions, end; always the same number."""
    first, second, last = workflow.actions
    end = (
        ("Failed", "ActionFailed", "An action failed. No dependent actions succeeded.")
        if failed
        else ("Succeeded", "OK", "")
    )
    third = ("Failed", "BadGateway", _BAD_GATEWAY) if failed else ("Succeeded", "OK", "")
    return [
        _Event("workflowTriggerCompleted", "", "Succeeded", "OK", ""),
        _Event("workflowRunStarted", "", "Running", "", ""),
        _Event("workflowActionCompleted", first, "Succeeded", "OK", ""),
        _Event("workflowActionCompleted", second, "Succeeded", "OK", ""),
        _Event("workflowActionCompleted", last, *third),
        _Event("workflowRunCompleted", "", *end),
    ]


def _retries(event: _Event) -> str:
    if event.code != "BadGateway":
        return ""
    return json_text([{"code": "BadGateway", "startTime": "${start}", "serviceRequestId": "${request}"}])


def _tracked(workflow: _Workflow) -> str:
    return json_text({"correlation": {"orderId": "${order}"}, "workflow": workflow.name})


def _standard(workflow: _Workflow, event: _Event) -> Columns:
    return {
        "OperationName": event.kind,
        "TriggerName": workflow.trigger,
        "ActionName": event.action,
        "Status": event.status,
        "Code": event.code,
        "Error": json_text({"code": event.code, "message": event.error}) if event.error else "",
        "RetryHistory": _retries(event),
        "TrackedProperties": _tracked(workflow) if event.action else "",
    }


def _consumption(workflow: _Workflow, event: _Event) -> Columns:
    return {
        "OperationName": f"Microsoft.Logic/workflows/{event.kind}",
        "ResultType": event.status,
        "Level": "Error" if event.error else "Information",
        "resource_triggerName_s": workflow.trigger,
        "resource_actionName_s": event.action,
        "status_s": event.status,
        "code_s": event.code,
        "error_code_s": event.code if event.error else "",
        "error_message_s": event.error,
        "retryHistory_s": _retries(event),
        "trackedProperties_s": _tracked(workflow) if event.action else "",
    }


def _runs(workflow: _Workflow, failed: bool, consumption: bool) -> Node:
    columns = _consumption if consumption else _standard
    return Cycle([columns(workflow, event) for event in _events(workflow, failed)])


def _run(organisation: Organisation, consumption: bool) -> Parent:
    """A run of one of the workflows; one in twelve fails."""

    def workflows() -> Iterator[Node]:
        for workflow in _WORKFLOWS:
            identity = _consumption_identity if consumption else _standard_identity
            outcomes = Pick(
                [(11, _runs(workflow, False, consumption)), (1, _runs(workflow, True, consumption))]
            )
            yield (identity(organisation, workflow), outcomes)

    children = len(_events(_WORKFLOWS[0], failed=False))
    slots = {
        "run": digits(19),
        "order": number((0, 100_000), (1000, 999_999)),
    }
    stream = "consumption run" if consumption else "standard run"
    return Parent(stream, children, zipf(workflows()), slots)


_RUN_ID = "08584${run}CU17"
_ACTION_SLOTS = {
    "request": guid(),
    "start": earlier_ms((0, 4), (500, 85), (900, 640), (990, 6200), (1000, 118_000)),
}


def _standard_identity(organisation: Organisation, workflow: _Workflow) -> Columns:
    site = f"{organisation.company}-logic"
    return {
        **organisation.resource_columns(_GROUP, "Microsoft.Web/sites", site),
        "WorkflowName": workflow.name,
        "WorkflowId": f"{organisation.company}{workflow.name.replace('-', '')}",
        "Tags": json_text({"displayName": f"{site} ({workflow.name})", "stage": "prod"}),
    }


def _consumption_identity(organisation: Organisation, workflow: _Workflow) -> Columns:
    name = f"{organisation.company}-{workflow.name}"
    subscription = organisation.subscriptions[0].subscription_id
    resource = organisation.resource_columns(_GROUP, "Microsoft.Logic/workflows", name)
    return {
        **resource,
        "ResourceId": resource["_ResourceId"].upper(),
        "SubscriptionId": subscription,
        "ResourceGroup": _GROUP.upper(),
        "Resource": name.upper(),
        "resource_workflowName_s": name,
        "resource_resourceGroupName_s": _GROUP,
        "resource_subscriptionId_g": subscription,
    }


def _workflow_runtime(organisation: Organisation) -> Body:
    common = {
        "TenantId": organisation.workspace_id,
        "SourceSystem": "Azure",
        "Location": organisation.region,
        "ActionTrackingId": "${id}",
        "ClientTrackingId": _RUN_ID,
        "RunId": _RUN_ID,
        "OriginRunId": _RUN_ID,
        "StartTime": "${start}",
        "EndTime": "${time}",
    }
    return Body(common, _ACTION_SLOTS, _run(organisation, consumption=False))


def _diagnostics(organisation: Organisation) -> Body:
    common = {
        "TenantId": organisation.workspace_id,
        "SourceSystem": "Azure",
        "Category": "WorkflowRuntime",
        "ResourceProvider": "MICROSOFT.LOGIC",
        "ResourceType": "WORKFLOWS/RUNS",
        "CorrelationId": "${id}",
        "resource_location_s": organisation.region,
        "resource_runId_s": _RUN_ID,
        "resource_originRunId_s": _RUN_ID,
        "correlation_clientTrackingId_s": _RUN_ID,
        "correlation_actionTrackingId_g": "${request}",
        "startTime_t": "${start}",
        "endTime_t": "${time}",
    }
    return Body(common, _ACTION_SLOTS, _run(organisation, consumption=True))


RECIPES = (
    Recipe("LogicAppWorkflowRuntime", "ActionTrackingId", 2, _workflow_runtime),
    Recipe("AzureDiagnostics", "CorrelationId", 1, _diagnostics),
)
