"""What becomes of sign-ins of people: error codes, authentication steps, conditional access."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gapless.services.recipe import Columns, Pick, json_text

#: How a table keeps nested values: as they are (dynamic columns), or as JSON text (string columns).
Nested = Callable[[object], object]


class Access(NamedTuple):
    """What conditional access said: the status, and the result of each of ``_POLICIES``."""

    status: str
    results: tuple[str, str]


class Outcome(NamedTuple):
    """A way a sign-in ends. ``code`` is Entra's error code, 0 for success."""

    weight: int
    code: int
    description: str
    details: str
    requirement: str
    access: Access


_POLICIES = (
    ("3f6f2a3c-6a53-4f1e-9b0c-0f3f6a5f3f10", "Require MFA for all users", "Mfa"),
    ("c5b7e0d4-12f9-4c58-a1f3-9e6b4a7d6c32", "Require compliant device for admins", "RequireCompliantDevice"),
)
_PASSED = Access("success", ("success", "notApplied"))
_NOT_ASKED = Access("notApplied", ("notApplied", "notEnabled"))
_STOPPED = Access("failure", ("failure", "notApplied"))

_ONE, _MORE = "singleFactorAuthentication", "multiFactorAuthentication"
_BY_CLAIM = "MFA requirement satisfied by claim in the token"
_WRONG = "Invalid username or password."
_LOCKED = "The account is locked."
_BLOCKED = "Blocked by conditional access."

#: Of somebody who types and taps.
INTERACTIVE = (
    Outcome(610, 0, "", _BY_CLAIM, _MORE, _PASSED),
    Outcome(190, 0, "", "Correct password", _ONE, _NOT_ASKED),
    Outcome(55, 50126, _WRONG, "Incorrect password", _ONE, _NOT_ASKED),
    Outcome(40, 50140, "Keep me signed in interrupt.", "User interrupted", _ONE, _NOT_ASKED),
    Outcome(35, 50074, "Strong authentication is required.", "MFA required", _MORE, _STOPPED),
    Outcome(25, 500121, "Strong authentication failed.", "MFA denied", _MORE, _STOPPED),
    Outcome(20, 53003, _BLOCKED, "Access blocked", _MORE, _STOPPED),
    Outcome(12, 50055, "The password is expired.", "Password expired", _ONE, _NOT_ASKED),
    Outcome(8, 50053, _LOCKED, "Too many attempts", _ONE, _NOT_ASKED),
    Outcome(5, 50057, "The account is disabled.", "Account disabled", _ONE, _NOT_ASKED),
)

#: Of a program that renews its user's token.
SILENT = (
    Outcome(900, 0, "", _BY_CLAIM, _MORE, _PASSED),
    Outcome(45, 50058, "Session information is not enough.", "No session", _ONE, _NOT_ASKED),
    Outcome(30, 700082, "The refresh token has expired.", "Token expired", _ONE, _NOT_ASKED),
    Outcome(15, 50173, "The grant has been revoked.", "Fresh token needed", _ONE, _NOT_ASKED),
    Outcome(10, 53003, _BLOCKED, "Access blocked", _MORE, _STOPPED),
)

#: Of somebody who guesses passwords.
GUESSED = (
    Outcome(85, 50126, _WRONG, "Incorrect password", _ONE, _NOT_ASKED),
    Outcome(13, 50053, _LOCKED, "Too many attempts", _ONE, _NOT_ASKED),
    Outcome(2, 53003, _BLOCKED, "Access blocked", _MORE, _STOPPED),
)


def outcomes(nested: Nested, rows: Sequence[Outcome]) -> Pick:
    """A choice among ``rows``, as columns."""
    return Pick([(row.weight, _columns(nested, row)) for row in rows])


def _columns(nested: Nested, row: Outcome) -> Columns:
    step = {
        "authenticationStepDateTime": "${step}",
        "authenticationMethod": "Password" if row.requirement == _ONE else "Previously satisfied",
        "succeeded": row.code == 0,
        "authenticationStepResultDetail": row.details,
        "authenticationStepRequirement": "Primary authentication",
    }
    policies = [
        {"id": policy_id, "displayName": name, "enforcedGrantControls": [control], "result": result}
        for (policy_id, name, control), result in zip(_POLICIES, row.access.results, strict=True)
    ]
    status = {
        "errorCode": row.code,
        "failureReason": row.description or "Other.",
        "additionalDetails": row.details,
    }
    return {
        "ResultType": str(row.code),
        "ResultSignature": "FAILURE" if row.code else "SUCCESS",
        "ResultDescription": row.description,
        "Status": nested(status),
        "AuthenticationRequirement": row.requirement,
        "AuthenticationDetails": json_text([step]),
        "ConditionalAccessStatus": row.access.status,
        "ConditionalAccessPolicies": nested(policies),
    }
