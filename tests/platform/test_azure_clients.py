"""Azure's own client libraries, unmodified, against a running platform over TLS."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ClientSecretCredential, EnvironmentCredential, ManagedIdentityCredential
from platform_rig import cli, up

from gapless.platform.layout import ca_path


class Platform(NamedTuple):
    data: Path
    url: str

    def client(self, tenant: str, scope: str, *options: str) -> dict[str, str]:
        """A new client, as environment variables."""
        arguments = ("token", "create", "--client", "--tenant", tenant, "--scope", scope, *options)
        code, out, words = cli(*arguments, data=self.data)
        assert code == 0, words
        return dict(line.split("=", 1) for line in out.decode().splitlines())

    def credential(self, tenant: str, scope: str, *options: str) -> ClientSecretCredential:
        made = self.client(tenant, scope, *options)
        return ClientSecretCredential(
            made["AZURE_TENANT_ID"],
            made["AZURE_CLIENT_ID"],
            made["AZURE_CLIENT_SECRET"],
            authority=self.url,
            disable_instance_discovery=True,
        )


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    data = tmp_path_factory.mktemp("azure") / "data"
    trusting = patch.dict(os.environ, {"REQUESTS_CA_BUNDLE": ca_path(str(data))})
    with up(data, options=["--tls"]) as running, trusting:
        yield Platform(data, running.url)


@pytest.mark.system
def test_every_credential_gets_its_token(platform: Platform) -> None:
    made = platform.client("contoso", "read")
    scope = f"{platform.url}/.default"
    tokens = [platform.credential("contoso", "read").get_token(scope)]
    with patch.dict(os.environ, made | {"AZURE_AUTHORITY_HOST": platform.url}):
        tokens.append(EnvironmentCredential(disable_instance_discovery=True).get_token(scope))
    identity = {
        "IDENTITY_ENDPOINT": f"{platform.url}/msi/token",
        "IDENTITY_HEADER": made["AZURE_CLIENT_SECRET"],
    }
    with patch.dict(os.environ, identity):
        tokens.append(ManagedIdentityCredential().get_token(scope))
    for token in tokens:
        code, _, words = cli("audit", "--tenant", "contoso", data=platform.data, token=token.token)
        assert code == 2 and "gapless:" not in words, "nothing is known yet, but it may ask"
        assert cli("audit", "--tenant", "fabrikam", data=platform.data, token=token.token)[2]

    wrong = ClientSecretCredential(
        "fabrikam",
        made["AZURE_CLIENT_ID"],
        made["AZURE_CLIENT_SECRET"],
        authority=platform.url,
        disable_instance_discovery=True,
    )
    with pytest.raises(ClientAuthenticationError, match="unknown or revoked"):
        wrong.get_token(scope)
