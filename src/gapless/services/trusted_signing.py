"""Azure Trusted Signing: requests to sign, and each signature that was made."""

from __future__ import annotations

from gapless.services.organisation import Organisation
from gapless.services.recipe import Body, Columns, Node, Parent, Pick, Recipe, zipf
from gapless.services.slots import Slot, digits, earlier_ms, guid, hexadecimal, number, word

_GROUP = "rg-release"
_FILES_PER_TRANSACTION = 4

#: Certificate profile, its type, the serial numbers' beginning.
_PROFILES = (
    ("desktop-release", "PublicTrust", "3300"),
    ("driver-release", "PublicTrust", "3301"),
    ("nightly", "PublicTrustTest", "1500"),
    ("internal-tools", "PrivateTrust", "5b00"),
)

#: What transactions and signatures of one seed agree on; both tables begin with it.
_TRANSACTION_SLOTS: dict[str, Slot] = {
    "serial": hexadecimal(14),
    "thumbprint": hexadecimal(20),
    "build": digits(8),
}


def _transaction(organisation: Organisation) -> Node:
    """The certificate profile that a transaction uses and the build pipeline that asks for it."""
    account = f"{organisation.company}-signing"
    profiles = zipf(
        {
            **organisation.resource_columns(
                _GROUP,
                "Microsoft.CodeSigning/codeSigningAccounts",
                f"{account}/certificateProfiles/{profile}",
            ),
            "AccountName": account,
            "CertificateProfileName": profile,
            "CertificateSerialNumber": f"{beginning}${{serial}}",
            "CertificateThumbprint": "${thumbprint}",
        }
        for profile, _, beginning in _PROFILES
    )
    common: Columns = {
        "TransactionId": "${parent}",
        "TenantId": organisation.workspace_id,
        "SourceSystem": "Azure",
        "Location": organisation.region,
        "SignatureAlgorithm": "RS256",
        "DigestAlgorithm": "SHA256",
    }
    return (profiles, common)


def _sign_transactions(organisation: Organisation) -> Body:
    def result(kind: str, signature: str, description: str) -> Columns:
        return {
            "ResultType": kind,
            "ResultSignature": signature,
            "ResultDescription": description,
            "Level": "Informational" if kind == "Success" else "Error",
        }

    results = Pick(
        [
            (965, result("Success", "OK", "")),
            (
                20,
                result("Failed", "TooManyRequests", "The account's signing quota for this hour is used up."),
            ),
            (10, result("Failed", "Forbidden", "The caller lacks the certificate profile signer role.")),
            (5, result("Failed", "CertificateRevoked", "The certificate of the profile was revoked.")),
        ]
    )
    callers = zipf(
        {
            "CallerPrincipalName": one.name,
            "CallerObjectId": one.object_id,
            "CallerAppId": one.app_id,
            "CallerIpAddress": one.address,
            "UserAgent": "Azure.CodeSigning.Dlib/1.0.60 (signtool/10.0.22621.755)",
        }
        for one in organisation.workloads[:8]
    )
    common = {
        "CorrelationId": "${correlation}",
        "Category": "SignTransactions",
        "OperationName": "Sign",
        "OperationVersion": "2024-02-05-preview",
        "EndpointUri": f"https://{organisation.region}.codesigning.azure.net/",
        "CertificateProfileType": "PublicTrust",
        "IdentityValidationId": organisation.tenant_id,
        "FileCount": _FILES_PER_TRANSACTION,
        "Digests": ["${digest}", "${other_digest}"],
        "DurationMs": "${duration:n}",
    }
    slots = {
        "correlation": guid(),
        "digest": hexadecimal(32),
        "other_digest": hexadecimal(32),
        "duration": number((0, 180), (500, 420), (950, 1900), (1000, 31_000)),
    }
    transaction = Parent("SignTransactions", 1, _transaction(organisation), _TRANSACTION_SLOTS)
    return Body((common, callers, results), slots, transaction)


def _sign_history(organisation: Organisation) -> Body:
    signers = zipf(
        {"SignerPrincipalName": one.name, "SignerObjectId": one.object_id}
        for one in organisation.workloads[:8]
    )
    states = Pick(
        [
            (995, {"Status": "Valid", "IsRevoked": False, "RevocationReason": ""}),
            (5, {"Status": "Revoked", "IsRevoked": True, "RevocationReason": "keyCompromise"}),
        ]
    )
    publisher = f"{organisation.company.title()} B.V."
    common = {
        "SignatureId": "${id}",
        "Category": "SignHistory",
        "OperationName": "SignatureRecorded",
        "SignedTime": "${signed}",
        "FileName": "${file}-${build}.${extension}",
        "FileSizeBytes": "${size:n}",
        "FileDigest": "${digest}",
        "CertificateSubjectName": f"CN={publisher}, O={publisher}, C=NL",
        "CertificateNotBefore": "${issued}",
        "TimestampAuthority": "http://timestamp.acs.microsoft.com",
        "TimestampTime": "${stamped}",
        "BuildDetails": {"pipeline": "${file}-release", "buildNumber": "${build}", "commit": "${commit}"},
    }
    slots = {
        "digest": hexadecimal(32),
        "commit": hexadecimal(20),
        "file": word("setup", "agent", "shell", "updater", "codec", "viewer", "service"),
        "extension": word("exe", "dll", "dll", "msi", "msix", "sys", "ps1", "cab"),
        "size": number((0, 4_096), (500, 310_000), (950, 22_000_000), (1000, 1_800_000_000)),
        "signed": earlier_ms((0, 300), (1000, 4_000)),
        "stamped": earlier_ms((0, 20), (1000, 290)),
        # Certificates of this service live for three days.
        "issued": earlier_ms((0, 3_600_000), (1000, 250_000_000)),
    }
    transaction = Parent(
        "SignTransactions", _FILES_PER_TRANSACTION, _transaction(organisation), _TRANSACTION_SLOTS
    )
    return Body((common, signers, states), slots, transaction)


RECIPES = (
    Recipe("SignTransactions", "TransactionId", 1, _sign_transactions),
    Recipe("SignHistory", "SignatureId", _FILES_PER_TRANSACTION, _sign_history),
)
