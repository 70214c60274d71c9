"""What Azure's clients need of a running platform: credentials, and a CA that they trust."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import requests
from azure.identity import ClientSecretCredential
from platform_rig import Up, cli, up

from gapless.platform.layout import admin_token_path, ca_path


class Platform(NamedTuple):
    data: Path
    url: str
    running: Up

    def client(self, tenant: str, scope: str, *options: str) -> dict[str, str]:
        """A new client, as environment variables."""
        out = self.done("token", "create", "--client", "--tenant", tenant, "--scope", scope, *options)
        return dict(line.split("=", 1) for line in out.splitlines())

    def credential(self, tenant: str, scope: str, *options: str) -> ClientSecretCredential:
        made = self.client(tenant, scope, *options)
        return ClientSecretCredential(
            made["AZURE_TENANT_ID"],
            made["AZURE_CLIENT_ID"],
            made["AZURE_CLIENT_SECRET"],
            authority=self.url,
            disable_instance_discovery=True,
        )

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """An operator's request."""
        token = admin_token_path(str(self.data))
        headers = {"Authorization": f"Bearer {Path(token).read_text().strip()}"}
        answer = requests.request(method, self.url + path, headers=headers, timeout=30, **more)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def done(self, *arguments: str) -> str:
        """What a command prints, which must succeed."""
        code, out, words = cli(*arguments, data=self.data)
        assert code == 0, words
        return out.decode()


@contextmanager
def azure(data: Path, more: Mapping[str, str] | None = None) -> Iterator[Platform]:
    """A platform with TLS, and ``more`` in its environment; requests trusts its CA meanwhile."""
    trusting = patch.dict(os.environ, {"REQUESTS_CA_BUNDLE": ca_path(str(data))})
    with up(data, options=["--tls"], more=more) as running, trusting:
        yield Platform(data, running.url, running)
