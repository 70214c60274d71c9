"""The ``Prefer`` header (RFC 7240): what should be in the answer, and how long the client waits for it."""

from __future__ import annotations

import msgspec

from gapless.model.errors import Refused

#: Seconds; the API's own bounds.
WAIT_S_DEFAULT, WAIT_S_MAX = 180, 600


class Preferences(msgspec.Struct, frozen=True):
    """``wait_s`` is the time that the query may take."""

    wait_s: int = WAIT_S_DEFAULT
    statistics: bool = False
    render: bool = False


def preferences(header: str) -> Preferences:
    """What ``header`` says; preferences that are not known are nothing to us, and a longer wait is one of
    ``WAIT_S_MAX``. Raises Refused for a wait that is no whole number of seconds, at least 1."""
    said = dict(_pair(each) for each in header.split(",") if each.strip())
    wait = said.get("wait", str(WAIT_S_DEFAULT))
    if not (wait.isascii() and wait.isdigit() and len(wait) < 10 and int(wait) >= 1):
        raise Refused(f"Prefer: wait={wait[:20]} is no number of seconds: give one from 1 to {WAIT_S_MAX}")
    return Preferences(
        min(int(wait), WAIT_S_MAX),
        said.get("include-statistics") == "true",
        said.get("include-render") == "true",
    )


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip('"').lower()
