"""The platform's own CA: what it vouches for, what it keeps, and what clients make of it."""

from __future__ import annotations

import socket
import ssl
import stat
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from gapless import clock
from gapless.model.errors import Misconfigured
from gapless.platform.certificates import provide
from gapless.platform.layout import ca_path, tls_directory
from gapless.platform.server_names import Names, names_for, names_in, public_name
from gapless.platform.server_tls import ServerTls
from gapless.tls import client_context, tls_failure

DAY_US = 86_400 * 1_000_000
LOCAL = Names((), ("localhost", IPv4Address("127.0.0.1"), IPv6Address("::1")))


def served(tls: ServerTls, ca: str, name: str = "localhost") -> bytes:
    """The certificate that a client sees who calls the server ``name``. Raises SSLError if it will not."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(ca).wrap_bio(to_client, to_server, server_hostname=name)
    server = tls.context.wrap_bio(to_server, to_client, server_side=True)
    ends = [client, server]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                pass
    seen = client.getpeercert(binary_form=True)
    assert seen is not None
    return seen


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(tls_directory(str(directory))).iterdir()}


def test_it_is_made_once_for_its_owner_alone_and_holds_for_its_names(tmp_path: Path) -> None:
    path = provide(str(tmp_path), LOCAL)
    made = contents(tmp_path)
    assert set(made) == {"ca.pem", "ca-with-key.pem", "server.pem"}
    for name in made:
        assert stat.S_IMODE((tmp_path / "tls" / name).stat().st_mode) == 0o600
    assert provide(str(tmp_path), LOCAL) == path
    assert contents(tmp_path) == made
    tls = ServerTls(path)
    for name in ("localhost", "127.0.0.1", "::1"):
        assert served(tls, ca_path(str(tmp_path)), name)
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        served(tls, ca_path(str(tmp_path)), "elsewhere.example")
    assert "a name that it is for" in tls_failure(caught.value, "--ca")
    provide(str(tmp_path / "other"), LOCAL)
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        served(tls, ca_path(str(tmp_path / "other")))
    assert "name the CA with --ca" in tls_failure(caught.value, "--ca")


def test_a_server_certificate_is_replaced_near_its_end_or_for_other_names(tmp_path: Path) -> None:
    provide(str(tmp_path), LOCAL)
    first = contents(tmp_path)
    provide(str(tmp_path), LOCAL, lambda: clock.now_us() + 59 * DAY_US)
    assert contents(tmp_path) == first
    provide(str(tmp_path), LOCAL, lambda: clock.now_us() + 61 * DAY_US)
    second = contents(tmp_path)
    assert second["server.pem"] != first["server.pem"] and second["ca.pem"] == first["ca.pem"]
    # The clock was wrong: what begins in the future holds for nobody.
    provide(str(tmp_path), LOCAL)
    third = contents(tmp_path)
    assert third["server.pem"] != second["server.pem"]
    more = LOCAL._replace(asked=(IPv4Address("10.1.2.3"),))
    path = provide(str(tmp_path), more)
    assert IPv4Address("10.1.2.3") in names_in(path)
    assert contents(tmp_path)["ca.pem"] == first["ca.pem"]
    (tmp_path / "tls" / "server.pem").write_text("damaged")
    provide(str(tmp_path), more)
    assert served(ServerTls(path), ca_path(str(tmp_path)), "10.1.2.3")


def test_the_ca_vouches_for_no_name_that_it_was_not_made_for(tmp_path: Path) -> None:
    provide(str(tmp_path), LOCAL)
    for name in ("bank.example", IPv4Address("8.8.8.8")):
        with pytest.raises(Misconfigured, match=r"trust the new one"):
            provide(str(tmp_path), LOCAL._replace(asked=(name,)))
        path = provide(str(tmp_path), LOCAL._replace(more=(*LOCAL.more, name)))
        assert name not in names_in(path), "good to have, and not to be had"
    path = provide(str(tmp_path / "new"), LOCAL._replace(asked=("logs.example",)))
    assert served(ServerTls(path), ca_path(str(tmp_path / "new")), "logs.example")


def test_clients_hold_the_ca_to_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provide(str(tmp_path), LOCAL)
    monkeypatch.setattr("gapless.platform.certificates._permitted", lambda issuer, names: names.asked)
    stolen = provide(str(tmp_path), Names(("bank.example",), ()))
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        served(ServerTls(stolen), ca_path(str(tmp_path)), "bank.example")


def test_a_ca_that_is_damaged_is_said_and_left_alone(tmp_path: Path) -> None:
    provide(str(tmp_path), LOCAL)
    (tmp_path / "tls" / "ca-with-key.pem").write_text("damaged")
    with pytest.raises(Misconfigured, match="restore it"):
        provide(str(tmp_path), LOCAL)
    assert (tmp_path / "tls" / "ca-with-key.pem").read_text() == "damaged"


def test_a_server_takes_up_a_new_certificate_and_no_bad_one(tmp_path: Path) -> None:
    path = provide(str(tmp_path), LOCAL)
    tls = ServerTls(path)
    ca = ca_path(str(tmp_path))
    before = served(tls, ca)
    provide(str(tmp_path), LOCAL._replace(asked=(IPv4Address("10.1.2.3"),)))
    assert served(tls, ca) == before
    tls.renew()
    after = served(tls, ca)
    assert after != before
    good = Path(path).read_bytes()
    Path(path).write_bytes(good[: len(good) // 2])
    tls.renew()
    assert served(tls, ca) == after
    with pytest.raises(Misconfigured, match="certificate chain"):
        ServerTls(path)


def test_names_are_those_of_the_machine_and_what_it_is_told() -> None:
    names = names_for("0.0.0.0", ["Logs.Example.", "10.0.0.9"])
    assert names.asked == ("logs.example", IPv4Address("10.0.0.9"))
    assert {"localhost", socket.gethostname().lower()} <= set(names.more)
    assert names_for("10.0.0.5").asked == (IPv4Address("10.0.0.5"),)
    for bad in ("", "a b", "-a.example", "*.example", "a" * 64 + ".example"):
        with pytest.raises(Misconfigured):
            names_for("localhost", [bad])


@pytest.mark.parametrize(
    ("host", "own", "certified", "called"),
    [
        ("127.0.0.1", "127.0.0.1", [], "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1", [], "127.0.0.1"),
        ("::", "::1", [], "::1"),
        ("10.0.0.5", "10.0.0.5", [], "10.0.0.5"),
        ("0.0.0.0", "127.0.0.1", ["localhost", IPv4Address("127.0.0.1")], "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1", ["logs.example", "localhost"], "localhost"),
        ("0.0.0.0", "127.0.0.1", ["*.example", "logs.example"], "logs.example"),
        ("logs.example", "10.0.0.5", ["*.example"], "logs.example"),
        ("10.0.0.5", "10.0.0.5", ["localhost", "logs.example"], "localhost"),
        ("10.0.0.5", "10.0.0.5", ["*.example"], "10.0.0.5"),
    ],
)
def test_the_url_names_the_server_as_its_certificate_does(
    host: str, own: str, certified: list[str | IPv4Address], called: str
) -> None:
    assert public_name(host, own, certified) == called
