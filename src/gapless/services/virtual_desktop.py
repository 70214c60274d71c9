"""Azure Virtual Desktop: connections of users to session hosts, their checkpoints and errors."""

from __future__ import annotations

from gapless.services import app_insights
from gapless.services.organisation import Organisation, User
from gapless.services.recipe import Body, Columns, Pick, Recipe, zipf
from gapless.services.slots import guid, hexadecimal, number

_GROUP = "rg-desktops"
_POOLS = ("office", "developers", "contractors")


def _user(user: User) -> Columns:
    return {"UserName": user.principal_name}


def _common(organisation: Organisation) -> tuple[Columns, Pick]:
    pools = zipf(
        organisation.resource_columns(_GROUP, "Microsoft.DesktopVirtualization/hostPools", f"pool-{pool}")
        for pool in _POOLS
    )
    common = {"CorrelationId": "${id}", "TenantId": organisation.workspace_id, "SourceSystem": "Azure"}
    return common, pools


def _connecting_user(organisation: Organisation, user: User) -> Columns:
    client = user.clients[0]
    return {
        **_user(user),
        "AadTenantId": organisation.tenant_id,
        "ClientOS": client.device.system,
        "ClientType": "com.microsoft.rdc.windows.msrdc.x64"
        if client.device.managed
        else "com.microsoft.rdc.html",
        "ClientVersion": "1.2.5623.0",
        "ClientSideIPAddress": client.address,
        "IsClientPrivateLink": "False",
    }


def _connections(organisation: Organisation) -> Body:
    states = Pick(
        [
            (36, {"State": "Started"}),
            (33, {"State": "Connected", "UdpUse": "1"}),
            (31, {"State": "Completed", "UdpUse": "1"}),
        ]
    )
    hosts = {
        "ConnectionType": "Desktop",
        "GatewayRegion": organisation.region,
        "ResourceAlias": f"desktop-{organisation.company}",
        "PredecessorConnectionId": "",
        "SessionHostName": f"avd-${{host}}.{organisation.domain}",
        "SessionHostIPAddress": "10.20.0.${host}",
        "SessionHostAzureVmId": "${machine}",
        "SessionHostSessionId": "${session}",
        "SessionHostPoolType": "Pooled",
        "SessionHostJoinType": "Microsoft Entra joined",
        "SessionHostAgentVersion": "1.0.9103.3700",
        "SessionHostSxSStackVersion": "rdp-sxs240705700",
        "SessionHostOSDescription": "Windows 11 Enterprise multi-session",
        "SessionHostOSVersion": "10.0.22631.4037",
        "IsSessionHostPrivateLink": "False",
    }
    users = zipf(_connecting_user(organisation, user) for user in organisation.users)
    slots = {
        "host": number((0, 4), (1000, 44)),
        "machine": guid(),
        "session": number((0, 1), (1000, 60)),
    }
    return Body((*_common(organisation), hosts, users, states), slots)


#: Weight, code, symbolic name, whether the service is to blame, operation, message.
_ERRORS = (
    (
        30,
        -2146233088,
        "ConnectionFailedClientDisconnect",
        False,
        "ClientRDPConnect",
        "The client closed the connection before the session was ready.",
    ),
    (
        20,
        8,
        "ConnectionFailedNoHealthyRdshAvailable",
        False,
        "OrchestrateSessionHost",
        "No session host of the pool is healthy and takes new sessions.",
    ),
    (
        20,
        14,
        "UnexpectedNetworkDisconnect",
        False,
        "ReverseConnect",
        "The network between client and gateway was interrupted.",
    ),
    (
        15,
        12,
        "SavedCredentialsNotAllowed",
        False,
        "ClientRDPConnect",
        "The host does not accept saved credentials.",
    ),
    (
        10,
        4,
        "AutoReconnectNoNetwork",
        False,
        "ClientRDPConnect",
        "The client has no network and keeps trying to reconnect.",
    ),
    (
        5,
        -2147467259,
        "ConnectionBrokenMissedHeartbeatThresholdExceeded",
        True,
        "ReverseConnect",
        "The session host missed its heartbeats; the connection was given up.",
    ),
)


def _errors(organisation: Organisation) -> Body:
    errors = Pick(
        [
            (
                weight,
                {
                    "Code": code,
                    "CodeSymbolic": symbol,
                    "ServiceError": service_error,
                    "Operation": operation,
                    "Source": "RDGateway" if service_error else "Client",
                    "Message": message + " Host avd-${host}, activity ${activity}, after ${elapsed} ms.",
                },
            )
            for weight, code, symbol, service_error, operation, message in _ERRORS
        ]
    )
    slots = {
        "host": number((0, 4), (1000, 44)),
        "activity": hexadecimal(8),
        "elapsed": number((0, 300), (500, 4_000), (1000, 120_000)),
    }
    common = {"ActivityType": "Connection"}
    return Body((*_common(organisation), common, zipf(map(_user, organisation.users)), errors), slots)


#: The most frequent first: checkpoint, who reports it, a parameter of its own.
_CHECKPOINTS = (
    ("LoadBalancedNewConnection", "RDBroker", "LoadBalanceOutcome"),
    ("TransportConnecting", "Client", "TransportType"),
    ("TransportConnected", "Client", "RoundTripTime"),
    ("RdpStackLogon", "RDStack", "LogonType"),
    ("RdpShellAppExecuted", "RDStack", "AppExecuted"),
    ("OnCredentialsAcquisitionCompleted", "Client", "CredentialType"),
)


def _checkpoints(organisation: Organisation) -> Body:
    checkpoints = zipf(
        {
            "Name": name,
            "Source": source,
            "Parameters": {
                "SessionHost": f"avd-${{host}}.{organisation.domain}",
                "ActivityId": "${activity}",
                "ElapsedMs": "${elapsed:n}",
                "PathLatencyMs": "${latency:n}",
                parameter: "${outcome}",
            },
        }
        for name, source, parameter in _CHECKPOINTS
    )
    slots = {
        "host": number((0, 4), (1000, 44)),
        "activity": guid(),
        "elapsed": number((0, 1), (500, 120), (950, 2_400), (1000, 60_000)),
        "latency": number((0, 6), (500, 31), (950, 140), (1000, 800)),
        "outcome": number((0, 0), (1000, 9)),
    }
    common = {"ActivityType": "Connection"}
    return Body((*_common(organisation), common, zipf(map(_user, organisation.users)), checkpoints), slots)


RECIPES = (
    *app_insights.RECIPES,
    Recipe("WVDConnections", "CorrelationId", 6, _connections),
    Recipe("WVDErrors", "CorrelationId", 2, _errors),
    Recipe("WVDCheckpoints", "CorrelationId", 18, _checkpoints),
)
