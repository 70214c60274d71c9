"""A platform with TLS, and everybody who talks to it."""

from __future__ import annotations

import signal
import ssl
import subprocess
import urllib.request
from pathlib import Path

import pytest
from agent_rig import Host
from crash_rig import Points
from platform_rig import COMMAND, cli, environment, up

from gapless.platform.layout import ca_path
from waiting import until


@pytest.mark.system
def test_agent_auditor_and_commands_work_over_tls(tmp_path: Path) -> None:
    data = tmp_path / "data"
    ca = Path(ca_path(str(data)))
    with up(data, options=["--tls"]) as platform:
        assert platform.url.startswith("https://127.0.0.1:")
        assert platform.process.stdout is not None
        words = platform.process.stdout.readline().decode()
        for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"):
            assert f"{name}={ca}" in words
        host = Host(tmp_path / "host-7", data, platform.url, str(ca))
        host.write(0, 100)
        with host.runs():
            until(lambda: host.stored() == list(range(100)))
        # The agent is gone: the auditor finds out, and posts it.
        until(lambda: any(found["kind"] == "agent_silent" for found in host.audit()["findings"]))

        admin = (data / "admin.token").read_text().strip()
        elsewhere = tmp_path / "elsewhere"
        asked = ("audit", "--url", platform.url)
        code, _, words = cli(*asked, data=elsewhere, token=admin)
        assert code == 2 and "name the CA with --ca" in words
        assert cli(*asked, "--ca", str(ca), data=elsewhere, token=admin)[0] in (1, 2)
        before = ca.read_bytes()
    with up(data, options=["--tls"]):
        assert ca.read_bytes() == before


@pytest.mark.system
def test_a_platform_that_is_killed_while_it_makes_its_certificates_has_one_ca_in_the_end(
    tmp_path: Path,
) -> None:
    data, points = tmp_path / "data", Points(tmp_path / "points")
    files = ("ca-with-key.pem", "ca.pem", "server.pem")
    points.arm([f"{name}:{where}" for name in files for where in ("rename", "renamed")], "kill")
    starts = 0
    while points.waiting():
        starts += 1
        with (tmp_path / "words").open("ab") as words:
            killed = subprocess.run(
                [*COMMAND, "up", "--tls", "--listen", "127.0.0.1:0"],
                stdout=words,
                stderr=words,
                env=environment(data) | points.environment,
                timeout=60,
            )
        assert killed.returncode == -signal.SIGKILL
    assert starts == 6
    ca = Path(ca_path(str(data)))
    before = ca.read_bytes()
    with up(data, options=["--tls"]) as platform:
        context = ssl.create_default_context(cafile=str(ca))
        with urllib.request.urlopen(f"{platform.url}/healthz", context=context) as answer:
            assert answer.status == 200
    assert ca.read_bytes() == before


@pytest.mark.system
def test_on_every_address_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=x", "-addext", "subjectAltName=DNS:logs.example,DNS:localhost",
            "-keyout", str(key), "-out", str(certificate),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    data = tmp_path / "data"
    options = ["--listen", "0.0.0.0:0", "--tls-cert", str(certificate), "--tls-key", str(key)]
    with up(data, options=options) as platform:
        assert platform.url.startswith("https://localhost:")
        assert (data / "url").read_text().strip() == platform.url
        made = ("token", "create", "--tenant", "contoso", "--scope", "read")
        assert cli(*made, data=data)[0] == 2
        assert cli(*made, "--ca", str(certificate), data=data)[0] == 0
        context = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(f"{platform.url}/healthz", context=context) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--tls", "--tls-cert", __file__, "--tls-key", __file__], "give one of them"),
        (["--tls-name", "logs.example"], "give that too"),
        (["--tls", "--tls-name", "a b"], "no name of a host"),
        (["--tls-cert", __file__, "--tls-key", __file__], "PEM"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, options: list[str], says: str) -> None:
    code, out, words = cli("up", "--listen", "127.0.0.1:0", *options, data=tmp_path / "data")
    assert (code, out) == (2, b"") and says in words and words.count("\n") == 1
