"""Application Insights of desktop hosts: requests and what each caused.

All tables share their operations: the n-th request and the dependencies, traces, events and exceptions of the
n-th operation have one OperationId, and the dependencies' ParentId is the request's Id.
"""

from __future__ import annotations

from collections.abc import Mapping

from gapless.services.organisation import Organisation, User
from gapless.services.recipe import Body, Columns, Node, Parent, Pick, Recipe, zipf
from gapless.services.slots import Slot, decimal, guid, hexadecimal, number

_GROUP = "rg-desktops"
_DEPENDENCIES_PER_REQUEST = 2
_TRACES_PER_REQUEST = 5
_REQUESTS_PER_EVENT = 2
_REQUESTS_PER_EXCEPTION = 10

#: What all records of an operation agree on; every table begins with it.
_OPERATION_SLOTS: dict[str, Slot] = {
    "operation": hexadecimal(16),
    "session": guid(),
    "host": number((0, 0), (1000, 24)),
}

#: The most frequent first.
_OPERATIONS = (
    "GET /api/hostpools/{pool}/sessions",
    "POST /api/sessions/{session}/heartbeat",
    "POST /api/sessions",
    "GET /api/users/{user}/feed",
    "DELETE /api/sessions/{session}",
    "PUT /api/profiles/{user}/attach",
)


def _client(user: User) -> Columns:
    client = user.clients[0]
    return {
        "UserId": user.object_id,
        "UserAuthenticatedId": user.principal_name,
        "ClientIP": "0.0.0.0",  # masked on arrival unless the owner asks for more
        "ClientType": "Browser",
        "ClientBrowser": client.device.browser,
        "ClientOS": client.device.system,
        "ClientCity": client.place.city,
        "ClientStateOrProvince": client.place.state,
        "ClientCountryOrRegion": client.place.country,
    }


def _operation(organisation: Organisation, per_request: int = 1, every: int = 1) -> Parent:
    instrumented = f"{organisation.company}-desktop-insights"
    common: Columns = {
        **organisation.resource_columns(_GROUP, "Microsoft.Insights/components", instrumented),
        "TenantId": organisation.workspace_id,
        "SourceSystem": "Azure",
        "ResourceGUID": organisation.subscriptions[1].subscription_id,
        "IKey": organisation.tenant_id,
        "AppRoleName": "session-broker",
        "AppRoleInstance": f"{organisation.company}-avd-${{host}}",
        "AppVersion": "1.8.4210.0",
        "SDKVersion": "dotnetc:2.22.0-997",
        "OperationId": "${operation}",
        "SessionId": "${session}",
        "ItemCount": 1,
    }
    names = zipf({"OperationName": name} for name in _OPERATIONS)
    clients = zipf(_client(user) for user in organisation.users)
    return Parent("AppRequests", per_request, (names, common, clients), _OPERATION_SLOTS, every)


def _properties(category: str, more: Mapping[str, object]) -> Columns:
    return {
        "Properties": {
            "AspNetCoreEnvironment": "Production",
            "CategoryName": category,
            "HostPool": "pool-${host}",
            "ProcessId": "4${host}2",
            **more,
        }
    }


def _app_requests(organisation: Organisation) -> Body:
    def outcome(code: int) -> Columns:
        return {"ResultCode": str(code), "Success": code < 400}

    common = {
        "Id": "${id_hex}",
        "ParentId": "${operation}",
        "Name": "SessionBroker/Handle",
        "Url": f"https://broker.{organisation.domain}/api/${{operation}}?host=${{host}}",
        "DurationMs": "${duration:n}",
        "Measurements": {"QueueTimeMs": "${queued:n}"},
    }
    outcomes = Pick(
        [(930, outcome(200)), (40, outcome(204)), (15, outcome(404)), (9, outcome(401)), (6, outcome(500))]
    )
    slots = {
        "duration": decimal((0, 1), (500, 24), (900, 180), (990, 1400), (1000, 30_000)),
        "queued": decimal((0, 0), (900, 2), (1000, 300)),
    }
    node = (common, outcomes, _properties("Broker.Requests", {}))
    return Body(node, slots, _operation(organisation))


def _app_dependencies(organisation: Organisation) -> Body:
    def call(kind: str, target: str, name: str, data: str) -> Columns:
        return {"DependencyType": kind, "Target": target, "Name": name, "Data": data}

    database = f"{organisation.company}-broker.database.windows.net | sessions"
    calls = zipf(
        (
            call("SQL", database, "sessions.Get", "SELECT TOP 1 * FROM dbo.Session WHERE Id = @id"),
            call(
                "HTTP",
                "rdgateway.wvd.microsoft.com",
                "GET /api/health",
                "https://rdgateway.wvd.microsoft.com/api/health",
            ),
            call(
                "Azure blob", f"{organisation.company}fslogix", "PUT profile", "PUT /profiles/${session}.vhdx"
            ),
            call("Azure Service Bus", f"{organisation.company}-bus", "Send", "sb://session-events"),
        )
    )
    outcomes = Pick(
        [(985, {"ResultCode": "0", "Success": True}), (15, {"ResultCode": "500", "Success": False})]
    )
    common = {
        "Id": "${id_hex}",
        "ParentId": "${parent_hex}",
        "DurationMs": "${duration:n}",
        "Measurements": {},
    }
    slots = {"duration": decimal((0, 0), (500, 4), (950, 60), (1000, 9_000))}
    node = (common, calls, outcomes, _properties("Broker.Dependencies", {}))
    return Body(node, slots, _operation(organisation, _DEPENDENCIES_PER_REQUEST))


#: Weight, severity, category, message.
_TRACES = (
    (
        500,
        1,
        "Broker.Sessions",
        "Session ${session} is on host avd-${host}, ${milliseconds} ms after the request",
    ),
    (300, 0, "Broker.Heartbeat", "Heartbeat of avd-${host}: ${count} sessions, load ${milliseconds}"),
    (
        120,
        1,
        "FSLogix.Profiles",
        "Attached the profile container of session ${session} in ${milliseconds} ms",
    ),
    (60, 2, "Broker.LoadBalancer", "Host avd-${host} is above its session limit: ${count} sessions"),
    (
        20,
        3,
        "Broker.Sessions",
        "Could not reach the agent of avd-${host}; attempt ${count} failed after ${milliseconds} ms",
    ),
)


def _app_traces(organisation: Organisation) -> Body:
    traces: list[tuple[int, Node]] = [
        (
            weight,
            ({"SeverityLevel": severity, "Message": message}, _properties(category, {"EventId": "${count}"})),
        )
        for weight, severity, category, message in _TRACES
    ]
    slots = {
        "milliseconds": number((0, 2), (500, 40), (950, 900), (1000, 20_000)),
        "count": number((0, 1), (1000, 40)),
    }
    common = {"ParentId": "${id_hex}", "Measurements": {}}
    return Body((common, Pick(traces)), slots, _operation(organisation, _TRACES_PER_REQUEST))


def _app_events(organisation: Organisation) -> Body:
    events = zipf(
        ({"Name": name}, _properties("Broker.Events", {"reason": reason}))
        for name, reason in (
            ("SessionConnected", "user"),
            ("SessionDisconnected", "idle"),
            ("HostDrained", "scaling"),
            ("ProfileAttached", "logon"),
            ("SessionReset", "operator"),
        )
    )
    common = {
        "ParentId": "${id_hex}",
        "Measurements": {"RoundTripMs": "${round_trip:n}", "Sessions": "${count:n}"},
    }
    slots = {
        "round_trip": decimal((0, 8), (500, 34), (950, 160), (1000, 900)),
        "count": number((0, 0), (1000, 40)),
    }
    return Body((common, events), slots, _operation(organisation, every=_REQUESTS_PER_EVENT))


def _exception(kind: str, assembly: str, method: str, message: str) -> Columns:
    stack = [
        {"level": level, "method": name, "assembly": assembly, "line": 40 + 17 * level}
        for level, name in enumerate((method, f"{method}Async", "Broker.Sessions.Handle"))
    ]
    return {
        "ExceptionType": kind,
        "ProblemId": f"{kind} at {method}",
        "Assembly": assembly,
        "Method": method,
        "OuterType": kind,
        "OuterMessage": message,
        "OuterAssembly": assembly,
        "OuterMethod": method,
        "InnermostType": kind,
        "InnermostMessage": message,
        "InnermostAssembly": assembly,
        "InnermostMethod": method,
        "Details": [
            {"id": "${number}", "outerId": "0", "type": kind, "message": message, "parsedStack": stack}
        ],
    }


def _app_exceptions(organisation: Organisation) -> Body:
    exceptions = zipf(
        (
            _exception(
                "System.TimeoutException",
                "System.Private.CoreLib",
                "Broker.Agents.Agent.Call",
                "avd-${host} did not answer within ${milliseconds} ms.",
            ),
            _exception(
                "System.Net.Http.HttpRequestException",
                "System.Net.Http",
                "Broker.Feed.Reader.Fetch",
                "Response status code does not indicate success: 503.",
            ),
            _exception(
                "Microsoft.Data.SqlClient.SqlException",
                "Microsoft.Data.SqlClient",
                "Broker.Store.Sessions.Save",
                "Transaction (Process ID 5${host}) was deadlocked on lock resources.",
            ),
        )
    )
    common = {"ParentId": "${id_hex}", "SeverityLevel": 3, "HandledAt": "UserCode", "Measurements": {}}
    slots = {
        "number": number((0, 1_000_000), (1000, 60_000_000)),
        "milliseconds": number((0, 1_000), (1000, 30_000)),
    }
    node = (common, exceptions, _properties("Broker.Errors", {}))
    return Body(node, slots, _operation(organisation, every=_REQUESTS_PER_EXCEPTION))


#: Shares that keep the records of one operation close together in time.
RECIPES = (
    Recipe("AppTraces", "ParentId", 10 * _TRACES_PER_REQUEST, _app_traces),
    Recipe("AppEvents", "ParentId", 10 // _REQUESTS_PER_EVENT, _app_events),
    Recipe("AppRequests", "Id", 10, _app_requests),
    Recipe("AppExceptions", "ParentId", 10 // _REQUESTS_PER_EXCEPTION, _app_exceptions),
    Recipe("AppDependencies", "Id", 10 * _DEPENDENCIES_PER_REQUEST, _app_dependencies),
)
