"""Microsoft Entra: sign-ins of people, those they make and those their programs make for them."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.services import facts
from gapless.services.entra_outcomes import GUESSED, INTERACTIVE, SILENT, Nested, Outcome, outcomes
from gapless.services.facts import Place
from gapless.services.organisation import Client, Organisation, User
from gapless.services.recipe import Body, Columns, Node, Pick, Recipe, json_text, zipf
from gapless.services.slots import Slot, earlier_ms, guid, number, token


def _location(nested: Nested, place: Place, address: str) -> Columns:
    return {
        "IPAddress": address,
        "AutonomousSystemNumber": str(place.autonomous_system),
        "Location": place.country,
        "LocationDetails": nested(place.details),
    }


def _user(user: User) -> Columns:
    return {
        "Identity": user.name,
        "UserDisplayName": user.name,
        "UserPrincipalName": user.principal_name,
        "UserId": user.object_id,
        "UserType": "Member",
    }


def _client(nested: Nested, client: Client) -> Columns:
    device = {
        "deviceId": client.device_id if client.device.managed else "",
        "displayName": client.host if client.device.managed else "",
        "operatingSystem": client.device.system,
        "browser": client.device.browser,
        "isCompliant": client.device.managed,
        "isManaged": client.device.managed,
        "trustType": "Azure AD joined" if client.device.managed else "",
    }
    # Devices that are carried about get an address of the same network each time.
    network = client.address.rpartition(".")[0]
    address = client.address if client.device.managed else f"{network}.${{octet}}"
    return {
        **_location(nested, client.place, address),
        "UserAgent": client.device.user_agent,
        "DeviceDetail": nested(device),
    }


def _risk(level: str, state: str, *events: str) -> Columns:
    return {
        "RiskLevelAggregated": level,
        "RiskLevelDuringSignIn": level,
        "RiskState": state,
        "RiskDetail": "none",
        "RiskEventTypes_V2": json_text(events),
        "IsRisky": bool(events),
    }


def _people(organisation: Organisation, nested: Nested, ends: Sequence[Outcome]) -> Node:
    """People of the organisation on their own devices."""
    people: list[Node] = []
    for user in organisation.users:
        clients = [(7, _client(nested, user.clients[0])), (3, _client(nested, user.clients[1]))]
        people.append((_user(user), Pick(clients)))
    return (zipf(people), outcomes(nested, ends), _risk("none", "none"))


def _password_spray(organisation: Organisation, nested: Nested) -> Node:
    """Somebody who tries common passwords on many accounts, from places where nobody works."""
    device = nested({"deviceId": "", "operatingSystem": "Windows", "browser": "Rich Client 4.40.0.0"})
    sources = [
        (1, _location(nested, place, f"{place.network}.{block}.${{octet}}"))
        for block, place in enumerate(facts.STRANGE_PLACES)
    ]
    return (
        Pick([(1, _user(user)) for user in organisation.users]),
        Pick(sources),
        {"UserAgent": "python-requests/2.31.0", "DeviceDetail": device},
        outcomes(nested, GUESSED),
        _risk("high", "atRisk", "passwordSpray", "unfamiliarFeatures"),
    )


def _applications(organisation: Organisation) -> Pick:
    return zipf(
        {
            "AppDisplayName": application.name,
            "AppId": application.app_id,
            "ClientAppUsed": application.client,
            "ResourceDisplayName": application.resource,
            "ResourceIdentity": application.resource_id,
        }
        for application in organisation.applications
    )


def _sign_in(organisation: Organisation, category: str, interactive: bool) -> Columns:
    return {
        "Id": "${id}",
        "CorrelationId": "${correlation}",
        "UniqueTokenIdentifier": "${token}",
        "OriginalRequestId": "${original}",
        "CreatedDateTime": "${created}",
        "SourceSystem": "Azure AD",
        "OperationName": "Sign-in activity",
        "OperationVersion": "1.0",
        "Category": category,
        "Level": "4",
        "DurationMs": 0,
        "IsInteractive": interactive,
        "HomeTenantId": organisation.tenant_id,
        "ResourceTenantId": organisation.tenant_id,
        "TokenIssuerType": "AzureAD",
    }


_SLOTS: dict[str, Slot] = {
    "correlation": guid(),
    "original": guid(),
    "created": earlier_ms((0, 0), (900, 180), (1000, 4000)),
    "step": earlier_ms((0, 200), (900, 900), (1000, 60_000)),
    "token": token(),
    "octet": number((0, 1), (1000, 255)),
    "processing": number((0, 32), (500, 118), (900, 341), (990, 1870), (1000, 14200)),
}


def _signin_logs(organisation: Organisation) -> Body:
    def nested(value: object) -> object:
        return value

    common = {
        **_sign_in(organisation, "SignInLogs", interactive=True),
        "AADTenantId": organisation.tenant_id,
        "FlaggedForReview": False,
        "ProcessingTimeInMilliseconds": "${processing}",
        "MfaDetail": {},
        "ResourceId": f"/tenants/{organisation.tenant_id}/providers/Microsoft.aadiam",
    }
    who = Pick(
        [
            (970, _people(organisation, nested, INTERACTIVE)),
            (30, _password_spray(organisation, nested)),
        ]
    )
    return Body((common, who, _applications(organisation)), _SLOTS)


def _non_interactive(organisation: Organisation) -> Body:
    common = {
        **_sign_in(organisation, "NonInteractiveUserSignInLogs", interactive=False),
        "TenantId": organisation.workspace_id,
        "ProcessingTimeInMs": "${processing}",
        "SessionLifetimePolicies": "[]",
    }
    who = _people(organisation, json_text, SILENT)
    return Body((common, who, _applications(organisation)), _SLOTS)


RECIPES = (
    Recipe("SigninLogs", "Id", 4, _signin_logs),
    Recipe("AADNonInteractiveUserSignInLogs", "Id", 10, _non_interactive),
)
