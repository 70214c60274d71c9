"""Making data collection rules: what an operator asks for, and the rule that it becomes."""

from __future__ import annotations

import secrets

import msgspec

from gapless.model.rule import Rule, RuleStream


class RuleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data collection rule to be made."""

    tenant: str
    streams: tuple[RuleStream, ...]


class Rules(msgspec.Struct, frozen=True):
    """The data collection rules in force, oldest first."""

    rules: list[Rule]


def new_rule(wanted: RuleRequest, *, by: str, now_us: int) -> Rule:
    """The rule that is asked for, with an id that nobody had. Raises Refused for one that cannot be."""
    return Rule(
        id=f"dcr-{secrets.token_hex(16)}",
        tenant=wanted.tenant,
        created_us=now_us,
        by=by,
        streams=wanted.streams,
    ).check()
