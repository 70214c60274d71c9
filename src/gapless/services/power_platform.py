"""Power Platform: environments, flows, apps and Dataverse rows, and who did what to them."""

from __future__ import annotations

from gapless.services.organisation import Organisation, User
from gapless.services.recipe import Body, Columns, Pick, Recipe, zipf
from gapless.services.slots import guid, hexadecimal, number

_ENVIRONMENTS = ("default", "sales", "finance", "sandbox")


def _environment(organisation: Organisation, name: str) -> str:
    return f"{name.title()}-{organisation.tenant_id}"


def _actor(user: User) -> Columns:
    return {"ActorName": user.principal_name, "ActorUserId": user.object_id, "ActorUserType": "Regular"}


def _common(organisation: Organisation, workload: str, record_type: str) -> Columns:
    return {
        "EventOriginalUid": "${id}",
        "TenantId": organisation.workspace_id,
        "OrganizationId": organisation.tenant_id,
        "SourceSystem": "Azure",
        "Workload": workload,
        "RecordType": record_type,
    }


def _results(failures_per_mille: int) -> Pick:
    return Pick(
        [
            (1000 - failures_per_mille, {"EventResult": "Succeeded"}),
            (failures_per_mille, {"EventResult": "Failed"}),
        ]
    )


def _admin(organisation: Organisation) -> Body:
    def event(name: str, *properties: tuple[str, str]) -> Columns:
        collection = [("powerplatform.analytics.resource.environment.name", "${environment}"), *properties]
        return {
            "EventOriginalType": name,
            "RequiresCustomerKeyEncryption": False,
            "PropertyCollection": [{"Name": key, "Value": value} for key, value in collection],
        }

    kind = "powerplatform.analytics.resource"
    events = zipf(
        (
            event(
                "EnvironmentPropertyChange",
                (f"{kind}.environment.state", "Ready"),
                (f"{kind}.property", "Description"),
            ),
            event(
                "ApplyDlpPolicy",
                (f"{kind}.policy.id", "${object}"),
                (f"{kind}.policy.name", "No social connectors"),
            ),
            event(
                "AddUserToEnvironment",
                (f"{kind}.user.id", "${object}"),
                (f"{kind}.role", "Environment Maker"),
            ),
            event(
                "CreateEnvironment",
                (f"{kind}.environment.type", "Sandbox"),
                (f"{kind}.environment.region", "europe"),
            ),
            event("BackupEnvironment", (f"{kind}.backup.id", "${object}"), (f"{kind}.backup.kind", "System")),
            event(
                "DeleteEnvironment",
                (f"{kind}.environment.state", "SoftDeleted"),
                (f"{kind}.reason", "Unused"),
            ),
        )
    )
    actors = zipf(map(_actor, organisation.users[:12]))
    slots = {"object": guid(), "environment": guid()}
    common = _common(organisation, "PowerPlatform", "PowerPlatformAdministratorActivity")
    return Body((common, events, actors, _results(20)), slots)


_CONNECTORS = (
    "shared_sharepointonline, shared_office365",
    "shared_commondataserviceforapps",
    "shared_teams, shared_approvals",
    "shared_sql, shared_azureblob",
    "shared_servicenow",
)


def _flows(organisation: Organisation) -> Body:
    def event(name: str, environment: str) -> Columns:
        path = f"environments/{_environment(organisation, environment)}/flows/${{flow}}"
        return {
            "EventOriginalType": name,
            "ObjectId": "${flow}",
            "FlowDetailsUrl": f"https://make.powerautomate.com/{path}/details",
            "LicenseDisplayName": "Power Automate Premium",
            "AdditionalInfo": {
                "environmentName": _environment(organisation, environment),
                "flowVersion": "${version}",
                "isSolutionFlow": name != "CreateFlow",
                "actionCount": "${actions:n}",
            },
        }

    events = zipf(
        Pick([(1, event(name, environment)) for environment in _ENVIRONMENTS])
        for name in ("EditFlow", "CreateFlow", "TurnOnFlow", "TurnOffFlow", "PutPermissions", "DeleteFlow")
    )
    actors = zipf(
        {**_actor(user), "UserUpn": user.principal_name, "SrcIpAddr": user.clients[0].address}
        for user in organisation.users
    )
    connectors = zipf({"FlowConnectorNames": names} for names in _CONNECTORS)
    sharing = Pick(
        [
            (9, {"RecipientUpn": "", "SharingPermission": ""}),
            (1, {"RecipientUpn": organisation.users[-1].principal_name, "SharingPermission": "3"}),
        ]
    )
    slots = {"flow": guid(), "version": hexadecimal(8), "actions": number((0, 2), (500, 9), (1000, 180))}
    common = _common(organisation, "MicrosoftFlow", "MicrosoftFlow")
    return Body((common, events, connectors, actors, sharing, _results(15)), slots)


def _apps(organisation: Organisation) -> Body:
    def event(name: str, app: str, environment: str) -> Columns:
        return {
            "EventOriginalType": name,
            "TargetAppName": app,
            "ObjectId": f"/providers/Microsoft.PowerApps/apps/${{app}}/versions/${{version}}#{app}",
            "AdditionalInfo": {
                "environmentName": _environment(organisation, environment),
                "appType": "ClassicCanvasApp",
                "launchedFrom": "Player",
                "loadTimeMs": "${load:n}",
            },
        }

    apps = ("Expense claims", "Site inspection", "Visitor desk", "Stock count", "Holiday planner")
    events = zipf(
        Pick([(1, event(name, app, environment)) for app in apps for environment in _ENVIRONMENTS[:2]])
        for name in (
            "LaunchPowerApp",
            "UpdatePowerApp",
            "PublishPowerApp",
            "PowerAppPermissionEdited",
            "DeletePowerApp",
        )
    )
    actors = zipf({**_actor(user), "SrcIpAddr": user.clients[0].address} for user in organisation.users)
    slots = {"app": guid(), "version": hexadecimal(6), "load": number((0, 600), (500, 2_100), (1000, 45_000))}
    common = _common(organisation, "PowerApps", "PowerAppsApp")
    return Body((common, events, actors, _results(5)), slots)


#: The most frequent first: message, entity, columns touched.
_DATAVERSE = (
    ("RetrieveMultiple", "account", ("name", "accountnumber", "ownerid")),
    ("Retrieve", "contact", ("fullname", "emailaddress1", "parentcustomerid")),
    ("Update", "opportunity", ("estimatedvalue", "stepname", "modifiedon")),
    ("Create", "incident", ("title", "customerid", "prioritycode")),
    ("ExportToExcel", "account", ("name", "revenue", "address1_city")),
    ("Delete", "annotation", ("subject", "filename", "objectid")),
)


def _dataverse(organisation: Organisation) -> Body:
    instance = f"https://{organisation.company}.crm4.dynamics.com/"

    def event(message: str, entity: str, fields: tuple[str, ...]) -> Columns:
        read = message.startswith("Retrieve") or message.startswith("Export")
        return {
            "Message": message,
            "Operation": message,
            "EntityName": entity,
            "EntityId": "${entity}",
            "ItemType": "PurviewEvent" if read else "Entity",
            "ItemUrl": f"{instance}main.aspx?etn={entity}&pagetype=entityrecord&id=${{entity}}",
            "OriginalObjectId": "${entity}",
            "Fields": [{"Name": name, "Value": "${value}"} for name in fields],
            "Query": f"<fetch top='50'><entity name='{entity}'/></fetch>" if read else "",
            "QueryResults": [{"Id": "${entity}", "Name": entity}] if read else [],
        }

    people = zipf(
        {
            "UserId": user.principal_name,
            "UserUpn": user.principal_name,
            "UserKey": user.object_id,
            "SystemUserId": user.object_id,
            "UserType": "Regular",
            "ClientIp": user.clients[0].address,
            "UserAgent": user.clients[0].device.user_agent,
        }
        for user in organisation.users
    )
    results = Pick([(99, {"ResultStatus": "Success"}), (1, {"ResultStatus": "Failed"})])
    common = {
        "SourceRecordId": "${id}",
        "CorrelationId": "${correlation}",
        "TenantId": organisation.workspace_id,
        "OrganizationId": organisation.tenant_id,
        "CrmOrganizationUniqueName": f"org{organisation.company}",
        "InstanceUrl": instance,
        "ServiceContextId": "${context}",
        "ServiceContextIdType": "SessionId",
        "ServiceName": "Dataverse",
        "SourceSystem": "Azure",
    }
    slots = {
        "correlation": guid(),
        "context": guid(),
        "entity": guid(),
        "value": number((0, 10), (500, 4_000), (1000, 900_000)),
    }
    return Body((common, zipf(event(*kind) for kind in _DATAVERSE), people, results), slots)


RECIPES = (
    Recipe("PowerPlatformAdminActivity", "EventOriginalUid", 1, _admin),
    Recipe("PowerAutomateActivity", "EventOriginalUid", 3, _flows),
    Recipe("PowerAppsActivity", "EventOriginalUid", 4, _apps),
    Recipe("DataverseActivity", "SourceRecordId", 8, _dataverse),
)
