"""The analytics rules of the sample organisations."""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """An analytics rule and what its alerts say."""

    name: str
    rule_id: str
    severity: str
    tactic: str
    technique: str
    product: str
    description: str


#: The most frequent first.
RULES = (
    Rule(
        "Sign-in from an unfamiliar place",
        "6d1d5e0c-2f0b-4a58-9b86-1c0f7c1fb201",
        "Medium",
        "InitialAccess",
        "T1078",
        "Microsoft Entra ID Protection",
        "A sign-in from a place where the user was not seen before.",
    ),
    Rule(
        "Password spray against many accounts",
        "e2a6c7f4-5f7e-4b3a-8a31-7d3f1e51c902",
        "High",
        "CredentialAccess",
        "T1110",
        "Microsoft Sentinel",
        "One address failed to sign in to many accounts within minutes.",
    ),
    Rule(
        "Mass download from SharePoint",
        "b8f0f3e2-7b55-4f0e-93f4-4a30c3d8de03",
        "Medium",
        "Exfiltration",
        "T1567",
        "Microsoft Defender for Cloud Apps",
        "A user downloaded many more files than they use to.",
    ),
    Rule(
        "New inbox rule forwards mail outside",
        "0c9a4b7d-91a7-4d0c-8f7e-5b8d8f3f4504",
        "High",
        "Collection",
        "T1114",
        "Microsoft Defender for Office 365",
        "A mailbox forwards its mail to an address outside the organisation.",
    ),
    Rule(
        "Credentials added to a service principal",
        "a75d2b16-30c4-46b1-a5f0-93a5e6c7d105",
        "High",
        "Persistence",
        "T1098",
        "Microsoft Sentinel",
        "A key was added to an application that had not changed for months.",
    ),
    Rule(
        "Suspicious PowerShell command line",
        "4e7b9c38-d2e1-4c7f-b6a9-08c1f2d3e406",
        "Low",
        "Execution",
        "T1059",
        "Microsoft Defender for Endpoint",
        "PowerShell ran an encoded command that fetched a file.",
    ),
)
