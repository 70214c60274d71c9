"""Where things are in an agent's data directory, and who writes them."""

from __future__ import annotations


def spool_directory(data_dir: str) -> str:
    """The spool; the collector writes it."""
    return f"{data_dir}/spool"


def acks_directory(data_dir: str) -> str:
    """What became of the batches; the uploader writes it."""
    return f"{data_dir}/acks"


def chain_path(data_dir: str) -> str:
    """Where the chain of claims stands; the claims process writes it."""
    return f"{data_dir}/claims.json"


def fenced_path(data_dir: str) -> str:
    """Epochs that the platform told the agent to leave; the claims process writes it."""
    return f"{data_dir}/fenced.json"


def agent_key_path(data_dir: str) -> str:
    """The private key that claims are signed with. A key signs one chain: it is made together with it, by
    the claims process."""
    return f"{data_dir}/agent.key"


def receipt_key_path(data_dir: str) -> str:
    """The platform's public key, pinned at first contact; the uploader writes it."""
    return f"{data_dir}/receipt.key"


def config_path(data_dir: str) -> str:
    """The configuration in force; the supervisor writes it."""
    return f"{data_dir}/config.toml"


def restarts_path(data_dir: str) -> str:
    """The children that the supervisor had to replace; it writes it."""
    return f"{data_dir}/restarts.json"


def status_path(data_dir: str) -> str:
    """What the agent does just now; the supervisor writes it every second."""
    return f"{data_dir}/status.json"
