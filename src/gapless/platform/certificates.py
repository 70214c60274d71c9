"""``gapless up --tls``: a CA of this platform's own, made once, and certificates by it for the server.

In ``tls/`` of the data directory, each readable by its owner alone:

* ``ca.pem``: what clients trust;
* ``ca-with-key.pem``: the same with its private key, whose one user is this module;
* ``server.pem``: the server's private key and certificate.

Each file is replaced atomically and is whole by itself, so a crash leaves nothing to repair.

Whoever trusts the CA trusts it for little: its name constraints (RFC 5280, 4.2.1.10) permit the names that it
was made for, and addresses that are private by RFC 1918, 4193, 3927, 4291 and 6598. A name beside those needs
another CA, that everybody must trust anew: it is refused rather than made in silence.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gapless import clock
from gapless.log.disk import OsDisk, read_small, write_atomically
from gapless.model.errors import Misconfigured, Unavailable
from gapless.platform.layout import ca_path, tls_directory
from gapless.platform.server_names import Name, Names

_CA_DAYS = 3650
_SERVER_DAYS = 90
#: With so little left, a certificate is replaced.
_RENEW_DAYS = 30
#: Clocks differ: certificates hold from so long before they are made.
_SKEW = dt.timedelta(hours=1)
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip


class _Issuer(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def provide(directory: str, names: Names, now_us: Callable[[], int] = clock.now_us) -> str:
    """A server certificate for ``names`` under the CA of the platform in ``directory``; the path of the file
    that holds it with its key. What is there is kept while it is good for these names and not near its end.
    Durable on return.

    Raises Misconfigured for a name that the CA must not vouch for or a file that is not what it should be,
    Unavailable if the disk takes nothing.
    """
    path = f"{tls_directory(directory)}/server.pem"
    disk = OsDisk()
    now = dt.datetime.fromtimestamp(now_us() / 1e6, dt.UTC)
    try:
        disk.make_dirs(tls_directory(directory))
        issuer = _issuer(disk, directory, names, now)
        wanted = _permitted(issuer, names)
        if not _holds(read_small(disk, path), issuer, wanted, now):
            key = ec.generate_private_key(ec.SECP256R1())
            write_atomically(disk, path, _pem(key, _server_certificate(issuer, key, wanted, now)))
    except OSError as error:
        raise Unavailable(
            f"{tls_directory(directory)} cannot be written ({error.strerror}): see its disk"
        ) from error
    return path


def _issuer(disk: OsDisk, directory: str, names: Names, now: dt.datetime) -> _Issuer:
    """The CA, made if there is none or it is near its end."""
    path = f"{tls_directory(directory)}/ca-with-key.pem"
    data = read_small(disk, path)
    issuer = None if data is None else _Issuer(*_parsed(data, path))
    if issuer is None or _left(issuer.certificate, now) < dt.timedelta(days=_RENEW_DAYS):
        issuer = _new_issuer(names, now)
        write_atomically(disk, path, _pem(issuer.key, issuer.certificate))
    public = issuer.certificate.public_bytes(serialization.Encoding.PEM)
    if read_small(disk, ca_path(directory)) != public:
        write_atomically(disk, ca_path(directory), public)
    return issuer


def _new_issuer(names: Names, now: dt.datetime) -> _Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Gapless"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Gapless CA of {socket.gethostname()}"[:64]),
        ]
    )
    known = (*names.asked, *names.more)
    permitted: list[x509.GeneralName] = [x509.DNSName(name) for name in known if isinstance(name, str)]
    permitted += [x509.IPAddress(network) for network in _PRIVATE]
    permitted += [
        x509.IPAddress(ipaddress.ip_network(name))
        for name in known
        if not isinstance(name, str) and not _is_private(name)
    ]
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _builder(subject, subject, key, now, _CA_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.NameConstraints(permitted, None), critical=True)
    return _Issuer(builder.sign(key, hashes.SHA256()), key)


def _permitted(issuer: _Issuer, names: Names) -> tuple[Name, ...]:
    """The names that the CA may vouch for. Raises Misconfigured if one that was asked for is not among
    them."""
    constraints = issuer.certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    subtrees = [each.value for each in constraints.permitted_subtrees or ()]

    def permits(name: Name) -> bool:
        if isinstance(name, str):
            dns = [each for each in subtrees if isinstance(each, str)]
            return any(name == each or name.endswith("." + each) for each in dns)
        return any(name in each for each in subtrees if not isinstance(each, str))

    if refused := [str(name) for name in names.asked if not permits(name)]:
        raise Misconfigured(
            [
                f"the CA that clients trust is not for {', '.join(refused)}: remove the directory tls in the "
                "data directory, start again, and have clients trust the new one"
            ]
        )
    return (*names.asked, *(name for name in names.more if name not in names.asked and permits(name)))


def _server_certificate(
    issuer: _Issuer, key: ec.EllipticCurvePrivateKey, names: Sequence[Name], now: dt.datetime
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gapless")])
    builder = _builder(subject, issuer.certificate.subject, key, now, _SERVER_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_general, names))), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
    )
    return builder.sign(issuer.key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _holds(data: bytes | None, issuer: _Issuer, names: Sequence[Name], now: dt.datetime) -> bool:
    """Whether a server's file can go on being used; one that cannot be read is made anew."""
    try:
        certificate, _ = _parsed(data or b"", "")
        certificate.verify_directly_issued_by(issuer.certificate)
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (Misconfigured, InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    same = set(found) == set(map(_general, names))
    return same and _left(certificate, now) >= dt.timedelta(days=_RENEW_DAYS)


def _left(certificate: x509.Certificate, now: dt.datetime) -> dt.timedelta:
    """For how long it is good; nothing at all before it begins."""
    if now < certificate.not_valid_before_utc:
        return dt.timedelta(0)
    return certificate.not_valid_after_utc - now


def _parsed(data: bytes, path: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        key = serialization.load_pem_private_key(data, None)
        certificate = x509.load_pem_x509_certificate(data)
    except (ValueError, TypeError) as error:
        raise Misconfigured([f"{path} is not what was written there: restore it, or remove it"]) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Misconfigured([f"{path} holds a key of another kind: restore it, or remove it"])
    return certificate, key


def _pem(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> bytes:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def _general(name: Name) -> x509.GeneralName:
    return x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name)


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in _PRIVATE)
