"""Azure Healthcare APIs: access to FHIR and DICOM resources, and device data taken in by MedTech."""

from __future__ import annotations

from gapless.services.organisation import Organisation
from gapless.services.recipe import Body, Columns, Node, Pick, Recipe, zipf
from gapless.services.slots import guid, hexadecimal, number

_GROUP = "rg-clinic"

_FHIR_RESOURCES = (
    "Observation",
    "Patient",
    "Encounter",
    "Condition",
    "MedicationRequest",
    "DiagnosticReport",
)

#: Weight, operation, HTTP method, path after the resource type.
_FHIR_OPERATIONS = (
    (46, "read", "GET", "/${resource}"),
    (27, "search-type", "GET", "?patient=${resource}&_count=50&_sort=-date"),
    (14, "create", "POST", ""),
    (9, "update", "PUT", "/${resource}"),
    (3, "history-instance", "GET", "/${resource}/_history"),
    (1, "delete", "DELETE", "/${resource}"),
)


def _workspace(organisation: Organisation) -> str:
    return f"{organisation.company}clinic"


def _caller(organisation: Organisation, object_id: str, app_id: str) -> Columns:
    identity = {
        "aud": "https://azurehealthcareapis.com",
        "oid": object_id,
        "appid": app_id,
        "roles": ["globalReader"],
    }
    return {
        "CallerIdentityIssuer": f"https://sts.windows.net/{organisation.tenant_id}/",
        "CallerIdentityObjectId": object_id,
        "CallerIdentity": identity,
    }


def _callers(organisation: Organisation) -> Pick:
    """Mostly the hospital's programs, sometimes its people."""
    programs = [
        {**_caller(organisation, one.object_id, one.app_id), "CallerIPAddress": one.address}
        for one in organisation.workloads[:20]
    ]
    people = [
        {
            **_caller(organisation, one.object_id, organisation.applications[0].app_id),
            "CallerIPAddress": one.clients[0].address,
        }
        for one in organisation.users[:60]
    ]
    return Pick([(7, zipf(programs)), (3, zipf(people))])


def _fhir(organisation: Organisation) -> Body:
    host = f"https://{_workspace(organisation)}-ehr.fhir.azurehealthcareapis.com"

    def requests() -> list[tuple[int, Node]]:
        return [
            (
                weight * (len(_FHIR_RESOURCES) - rank),
                {
                    "OperationName": operation,
                    "FhirResourceType": resource,
                    "RequestUri": f"{host}/{resource}{path}",
                    "Properties": {"httpMethod": method, "fhirVersion": "R4", "etag": 'W/"${version}"'},
                },
            )
            for weight, operation, method, path in _FHIR_OPERATIONS
            for rank, resource in enumerate(_FHIR_RESOURCES)
        ]

    results = Pick(
        [
            (940, {"ResultType": "Succeeded", "StatusCode": 200}),
            (25, {"ResultType": "Failed", "StatusCode": 404}),
            (15, {"ResultType": "Failed", "StatusCode": 403}),
            (12, {"ResultType": "Failed", "StatusCode": 429}),
            (8, {"ResultType": "Failed", "StatusCode": 500}),
        ]
    )
    common = {
        **organisation.resource_columns(
            _GROUP, "Microsoft.HealthcareApis/workspaces", f"{_workspace(organisation)}/fhirservices/ehr"
        ),
        "TenantId": organisation.workspace_id,
        "SourceSystem": "Azure",
        "CorrelationId": "${id}",
        "LogCategory": "AuditLogs",
        "Location": organisation.region,
        "OperationDuration": "${duration:n}",
    }
    slots = {
        "resource": guid(),
        "version": number((0, 1), (900, 6), (1000, 90)),
        "duration": number((0, 6), (500, 27), (900, 110), (990, 870), (1000, 29_000)),
    }
    return Body((common, Pick(requests()), results, _callers(organisation)), slots)


_MEDTECH_NAME = "/iotconnectors/vitals"
_MEDTECH_MESSAGES = (
    (82, "Information", "Normalization", "Normalized ${count} device messages of partition ${partition}"),
    (10, "Information", "FHIRConversion", "Wrote ${count} Observation resources of device ${device}"),
    (
        4,
        "Warning",
        "Normalization",
        "No template of the device mapping matches the message of device ${device}",
    ),
    (
        3,
        "Error",
        "FHIRConversion",
        "No Device resource has the identifier ${device}; the message is set aside",
    ),
    (
        1,
        "Error",
        "Setup",
        "The FHIR service refused the managed identity for device ${device}: 403 Forbidden",
    ),
)


def _medtech(organisation: Organisation) -> Body:
    messages = [
        (
            weight,
            {
                "LogType": kind,
                "OperationName": operation,
                # The table has no column for an id, so the message carries it.
                "Message": f"{message}, consumer group $Default, offset ${{offset}}, correlation id ${{id}}.",
            },
        )
        for weight, kind, operation, message in _MEDTECH_MESSAGES
    ]
    common = {
        **organisation.resource_columns(
            _GROUP, "Microsoft.HealthcareApis/workspaces", _workspace(organisation) + _MEDTECH_NAME
        ),
        "TenantId": organisation.workspace_id,
        "SourceSystem": "Azure",
    }
    slots = {
        "count": number((0, 1), (500, 20), (1000, 500)),
        "partition": number((0, 0), (1000, 31)),
        "device": hexadecimal(6),
        "offset": number((0, 10_000_000), (1000, 900_000_000)),
    }
    return Body((common, Pick(messages)), slots)


_UID_ROOT = "1.2.826.0.1.3680043.8.498"  # anybody may draw DICOM UIDs below it

#: Weight, operation, path below the study.
_DICOM_OPERATIONS = (
    (45, "retrieve-instance", "/series/1.${series}/instances/1.${instance}"),
    (25, "query-study", "?PatientID=${patient}&includefield=all"),
    (20, "store-instances", ""),
    (8, "retrieve-metadata", "/series/1.${series}/metadata"),
    (2, "delete-study", ""),
)


def _dicom(organisation: Organisation) -> Body:
    host = f"https://{_workspace(organisation)}-imaging.dicom.azurehealthcareapis.com/v2"
    operations = Pick(
        [
            (weight, {"OperationName": operation, "Uri": f"{host}/studies/{_UID_ROOT}.${{study}}{path}"})
            for weight, operation, path in _DICOM_OPERATIONS
        ]
    )
    results = Pick(
        [
            (95, {"ResultType": "Succeeded", "StatusCode": 200, "Level": "Informational"}),
            (3, {"ResultType": "Failed", "StatusCode": 404, "Level": "Warning"}),
            (2, {"ResultType": "Failed", "StatusCode": 409, "Level": "Warning"}),
        ]
    )
    identities = zipf(
        {
            "Identity": {
                "issuer": f"https://sts.windows.net/{organisation.tenant_id}/",
                "oid": one.object_id,
                "appId": one.app_id,
                "callerIpAddress": one.address,
                "roles": ["DICOM Data Owner"],
            }
        }
        for one in organisation.workloads[:12]
    )
    common = {
        **organisation.resource_columns(
            _GROUP, "Microsoft.HealthcareApis/workspaces", f"{_workspace(organisation)}/dicomservices/imaging"
        ),
        "TenantId": organisation.workspace_id,
        "SourceSystem": "Azure",
        "CorrelationId": "${id}",
    }
    slots = {
        "study": number((0, 10_000_000), (1000, 10_004_000)),
        "series": number((0, 1), (1000, 400)),
        "instance": number((0, 1), (1000, 900)),
        "patient": number((0, 1), (1000, 90_000)),
    }
    return Body((common, operations, results, identities), slots)


RECIPES = (
    Recipe("MicrosoftHealthcareApisAuditLogs", "CorrelationId", 6, _fhir),
    Recipe("AHDSMedTechDiagnosticLogs", "Message", 2, _medtech),
    Recipe("AHDSDicomAuditLogs", "CorrelationId", 2, _dicom),
)
