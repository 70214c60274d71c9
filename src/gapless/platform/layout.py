"""Where things are in the platform's data directory."""

from __future__ import annotations


def journal_directory(directory: str) -> str:
    """The journal's segments, and the lock of their one writer."""
    return f"{directory}/journal"


def lake_directory(directory: str) -> str:
    """The lake's catalogue and files."""
    return f"{directory}/lake"


def ledger_directory(directory: str) -> str:
    """The books."""
    return f"{directory}/ledger"


def admin_token_path(directory: str) -> str:
    """A token that may do everything, readable by the directory's owner alone."""
    return f"{directory}/admin.token"


def url_path(directory: str) -> str:
    """Where the platform listens, or did last."""
    return f"{directory}/url"


def tls_directory(directory: str) -> str:
    """The platform's own CA, and the server's certificate by it."""
    return f"{directory}/tls"


def ca_path(directory: str) -> str:
    """The certificate of the platform's own CA: what its clients trust."""
    return f"{tls_directory(directory)}/ca.pem"
