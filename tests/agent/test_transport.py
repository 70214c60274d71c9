"""What an attempt meets, against a real server that does what it should not."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from upload_rig import (
    QUICK,
    Gateway,
    Rig,
    broken_off,
    dripping,
    gateway,
    good,
    hung_up,
    says,
    silent,
    slow_reader,
)

from gapless.agent.dispatch import UploadSettings
from gapless.agent.follow import SpoolView
from gapless.agent.layout import spool_directory
from gapless.agent.transport import ANSWER_BYTES_MAX, HttpTransport, Reply
from gapless.log.disk import Buffer
from gapless.log.frame import encode
from gapless.model.entry import Kind


@pytest.fixture
def server() -> Iterator[Gateway]:
    with gateway() as made:
        yield made


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    made = HttpTransport(QUICK)
    yield made
    made.close()


def frames(tmp_path: Path, batches: int = 1, payload_bytes: int = 10) -> list[Buffer]:
    rig = Rig(tmp_path)
    rig.add(batches, payload_bytes)
    view = SpoolView(rig.disk, spool_directory(rig.directory))
    view.follow_all()
    made: list[Buffer] = []
    for batch in view.batches:
        read = view.read(batch)
        assert read is not None
        made += encode(Kind.BATCH, msgspec.json.encode(read[0]), read[1])
    return made


@pytest.fixture
def body(tmp_path: Path) -> list[Buffer]:
    return frames(tmp_path)


def test_an_answer_for_each_batch_over_one_connection(
    server: Gateway, transport: HttpTransport, tmp_path: Path
) -> None:
    sent = frames(tmp_path, 3)
    for _ in range(3):
        reply = transport.post(server.url + "/", "secret", sent)
        assert (reply.met, reply.error, len(reply.answers)) == ("answers", "", 3)
    assert server.connections == 1
    assert transport.sent_bytes == 3 * sum(len(frame) for frame in sent)


def test_the_receipt_key(server: Gateway, transport: HttpTransport) -> None:
    assert transport.receipt_key(server.url).key == server.signer.public_key


@pytest.mark.parametrize(
    ("status", "met"),
    [
        (301, "denied"),
        (400, "failed"),
        (401, "denied"),
        (403, "failed"),
        (404, "denied"),
        (413, "failed"),
        (500, "failed"),
        (503, "failed"),
    ],
)
def test_an_answer_to_all_of_it(
    server: Gateway, transport: HttpTransport, body: list[Buffer], status: int, met: str
) -> None:
    server.plan.append(says(status, {"error": {"code": "x", "text": "for a reason"}}))
    reply = transport.post(server.url, "secret", body)
    assert (reply.met, reply.status) == (met, status)
    assert "for a reason" in reply.error
    assert server.url in reply.error
    assert transport.post(server.url, "secret", body).met == "answers"


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("soon", 1.0), ("9" * 40, 1.0)])
def test_busy(
    server: Gateway, transport: HttpTransport, body: list[Buffer], said: str, seconds: float
) -> None:
    server.plan.append(says(429, b"not JSON", Retry_After=said))
    reply = transport.post(server.url, "secret", body)
    assert (reply.met, reply.retry_after_s) == ("busy", seconds)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b'{"results": [{"stat',
        b'{"results": 3}',
        b"[" * 100_000,
        b"\xff" * 99,
        b"x" * (ANSWER_BYTES_MAX + 9),
    ],
)
def test_what_is_no_answer(
    server: Gateway, transport: HttpTransport, body: list[Buffer], content: bytes
) -> None:
    server.plan.append(says(200, content))
    reply = transport.post(server.url, "secret", body)
    assert (reply.met, reply.answers) == ("failed", ())
    assert transport.post(server.url, "secret", body).met == "answers"


@pytest.mark.parametrize("behave", [silent, broken_off, hung_up, dripping])
def test_no_whole_answer(server: Gateway, body: list[Buffer], behave: object) -> None:
    transport = HttpTransport(msgspec.structs.replace(QUICK, attempt_s_max=0.4))
    server.plan.append(behave)  # type: ignore[arg-type]
    reply = transport.post(server.url, "secret", body)
    assert reply.met == "failed"
    assert server.url in reply.error
    assert transport.post(server.url, "secret", body).met == "answers"
    transport.close()


def test_a_slow_reader_is_waited_for_while_it_reads(server: Gateway, tmp_path: Path) -> None:
    transport = HttpTransport(QUICK)
    sent = frames(tmp_path, 4, 1 << 20)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    server.plan.append(slow_reader)
    assert transport.post(server.url, "secret", sent).met == "answers"
    transport.close()


@pytest.mark.case("T11")
def test_one_who_reads_nothing_ends_at_the_timeout(tmp_path: Path) -> None:
    sent = frames(tmp_path, 4, 4 << 20)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport = HttpTransport(QUICK)
        reply = transport.post(f"http://127.0.0.1:{listener.getsockname()[1]}", "secret", sent)
        assert reply.met == "failed"
        assert 0 < transport.sent_bytes < sum(len(frame) for frame in sent)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://no-such-host.invalid:80", "https://127.0.0.1:1"]
)
def test_nobody_there(transport: HttpTransport, body: list[Buffer], url: str) -> None:
    reply = transport.post(url, "secret", body)
    assert (reply.met, transport.sent_bytes) == ("unreachable", 0)


def test_a_connection_that_was_closed_while_idle_costs_no_failure(
    server: Gateway, transport: HttpTransport, body: list[Buffer]
) -> None:
    server.plan += [good, hung_up]
    assert transport.post(server.url, "secret", body).met == "answers"
    assert transport.post(server.url, "secret", body).met == "answers"
    assert (server.requests, server.connections) == (3, 2)


@pytest.mark.case("T56")
def test_a_name_that_nobody_knows_is_looked_up_once_an_attempt_until_somebody_does(
    server: Gateway, transport: HttpTransport, body: list[Buffer], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    def getaddrinfo(host: str, port: int, **more: object) -> list[object]:
        looked_up.append(host)
        if len(looked_up) <= 5:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", server.server_address)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    met = [transport.post("http://gateway.example", "secret", body).met for _ in range(6)]
    assert met == ["unreachable"] * 5 + ["answers"]
    assert len(looked_up) == 6


@pytest.mark.case("T55")
def test_a_name_is_looked_up_again_when_the_connection_is_old(
    server: Gateway, body: list[Buffer], monkeypatch: pytest.MonkeyPatch
) -> None:
    with gateway() as other:
        hosts = {"gateway.example": server}
        looked_up: list[str] = []

        def getaddrinfo(host: str, port: int, **more: object) -> list[object]:
            looked_up.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", hosts[host].server_address)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        keeping = HttpTransport(QUICK)
        renewing = HttpTransport(msgspec.structs.replace(QUICK, reresolve_s=1e-9))
        for transport in (keeping, renewing):
            transport.post("http://gateway.example", "secret", body)
        hosts["gateway.example"] = other
        before = other.requests
        for transport in (keeping, renewing):
            assert transport.post("http://gateway.example", "secret", body).met == "answers"
        assert (other.requests - before, len(looked_up)) == (1, 3)
        server.plan.append(says(500))
        server.plan.append(broken_off)
        keeping.post("http://gateway.example", "secret", body)
        assert len(looked_up) == 3
        keeping.post("http://gateway.example", "secret", body)
        keeping.post("http://gateway.example", "secret", body)
        assert len(looked_up) == 4
        keeping.close()
        renewing.close()


def test_https_with_a_certificate_that_holds_and_one_that_does_not(
    tmp_path: Path, server: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    _make_certificate(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://localhost:{server.server_address[1]}"
    body = frames(tmp_path)

    # A handshake takes as long as it takes on a busy machine: it is not what is tried here.
    patient = msgspec.structs.replace(QUICK, connect_timeout_s=10.0, io_timeout_s=10.0, attempt_s_max=20.0)

    def post(settings: UploadSettings = patient, ca_file: str = "") -> Reply:
        transport = HttpTransport(settings)
        reply = transport.post(url, "secret", body, ca_file)
        transport.close()
        return reply

    assert post().met == "unreachable" and "gateway.ca_file" in post().error
    assert post(ca_file=str(certificate)).met == "answers"
    assert post(ca_file=str(key)).met == "unreachable" and "PEM file" in post(ca_file=str(key)).error
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert post().met == "answers"
    server.plan += [silent, dripping]
    assert post(QUICK).met == "failed"
    assert post(msgspec.structs.replace(QUICK, attempt_s_max=0.4)).met == "failed"


def _make_certificate(certificate: Path, key: Path) -> None:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
