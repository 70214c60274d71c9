"""What a server is called: by those who connect to it, and in its certificate."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from cryptography import x509

from gapless.model.errors import Misconfigured

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_DNS_NAME = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)*{_LABEL}\Z")

Name = str | IPv4Address | IPv6Address


class Names(NamedTuple):
    """What clients call the server. ``asked`` were named by somebody, ``more`` are good to have."""

    asked: tuple[Name, ...]
    more: tuple[Name, ...]


def names_for(host: str, also: Sequence[str] = ()) -> Names:
    """The names of a server that listens on ``host``, and is called ``also`` by some. Raises Misconfigured
    for what is neither name nor address."""
    asked = [_name(text) for text in also]
    more: list[Name] = ["localhost", IPv4Address("127.0.0.1"), IPv6Address("::1")]
    with suppress(Misconfigured):  # a machine may be called anything
        more.append(_name(socket.gethostname()))
    listening = _name(host)
    if isinstance(listening, str) or not listening.is_unspecified:
        asked.append(listening)
    else:
        more += _own_addresses()
    return Names(tuple(dict.fromkeys(asked)), tuple(dict.fromkeys(more)))


def _name(text: str) -> Name:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        name = text.lower().removesuffix(".")
        if not _DNS_NAME.match(name):
            raise Misconfigured([f"{text!r} is no name of a host: give a DNS name or an address"]) from None
        return name


def _own_addresses() -> list[Name]:
    """The addresses that this machine speaks to others from; nothing is sent to find out."""
    found: list[Name] = []
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            found.append(ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]))
    return found


def names_in(path: str) -> tuple[Name, ...]:
    """The names that the first certificate in the file ``path`` is for. Raises Misconfigured if it holds
    none."""
    try:
        with open(path, "rb") as file:
            certificate = x509.load_pem_x509_certificate(file.read())
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    except (OSError, ValueError) as error:
        raise Misconfigured([f"{path} holds no certificate that can be read: name a PEM file"]) from error
    addresses = (str(address) for address in found.get_values_for_type(x509.IPAddress))
    return (*found.get_values_for_type(x509.DNSName), *map(ipaddress.ip_address, addresses))


def own_address(listener: socket.socket) -> str:
    """An address under which this machine reaches what it listens on."""
    address = ipaddress.ip_address(listener.getsockname()[0])
    if not address.is_unspecified:
        return str(address)
    return "127.0.0.1" if address.version == 4 else "::1"


def public_name(host: str, own: str, certified: Sequence[Name] = ()) -> str:
    """What to call a server in its URL, that listens on ``host``, is reached at ``own`` from this machine,
    and has a certificate for ``certified`` (none: no TLS): a name that both is its own and is in the
    certificate, if there is one."""
    anywhere = host in ("0.0.0.0", "::")
    candidates = [own if anywhere else host]
    if certified and (anywhere or ipaddress.ip_address(own).is_loopback):
        candidates.append("localhost")
    for candidate in candidates:
        if not certified or any(_is_for(name, candidate) for name in certified):
            return candidate
    return next((str(name) for name in certified if not str(name).startswith("*")), candidates[0])


def _is_for(name: Name, candidate: str) -> bool:
    """Whether a certificate for ``name`` holds for ``candidate``; see RFC 9525, 6.3."""
    if isinstance(name, str) and name.startswith("*."):
        return candidate.partition(".")[2] == name[2:]
    return candidate == str(name)
