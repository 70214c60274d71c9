"""Access tokens: what a client is given for its secret, for a short time.

A JSON Web Token (RFC 7519) signed with HMAC-SHA256. It says which client it is for and when it ends; what
the client may do is looked up each time, so that a client that is revoked is out at once. Only tokens with
the very header that is written here are looked at, so nobody can ask for another algorithm.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import msgspec

from gapless.gateway.tokens import Token
from gapless.model.errors import Refused

_HEADER = b'{"alg":"HS256","typ":"JWT"}'
_CHARACTERS_MAX = 8192


class Claims(msgspec.Struct, frozen=True):
    """What an access token says: issuer, audience, tenant (``tid``), client (``appid``), and from when to
    when it holds, in seconds since the Unix epoch. ``aud`` is for clients: the platform takes any."""

    iss: str
    aud: str
    tid: str
    appid: str
    iat: int
    nbf: int
    exp: int


class Expired(Refused):
    """An access token of which nothing is wrong but that its time is over."""


class AccessTokens:
    """Issues access tokens that hold for ``lifetime_s``, and tells them from others. ``key``: 32 bytes."""

    def __init__(self, key: bytes, lifetime_s: int) -> None:
        self._key = key
        self.lifetime_s = lifetime_s

    def issue(self, client: Token, issuer: str, audience: str, now_us: int) -> tuple[str, int]:
        """A token for ``client``, and when it ends, in seconds since the Unix epoch."""
        now_s = now_us // 1_000_000
        claims = Claims(
            iss=issuer,
            aud=audience,
            tid=client.tenant,
            appid=client.id,
            iat=now_s,
            nbf=now_s,
            exp=now_s + self.lifetime_s,
        )
        signed = b".".join(map(_encoded, (_HEADER, msgspec.json.encode(claims))))
        return b".".join((signed, _encoded(self._mac(signed)))).decode(), claims.exp

    def client_of(self, text: str, now_us: int) -> str | None:
        """The id of the client that a token was issued to; None for what was not issued here. Raises Expired
        for one whose time is over."""
        signed, _, mac = text.rpartition(".")
        if len(text) > _CHARACTERS_MAX or not text.isascii():
            return None
        head, _, payload = signed.encode().partition(b".")
        if head != _encoded(_HEADER) or not hmac.compare_digest(
            mac.encode(), _encoded(self._mac(signed.encode()))
        ):
            return None
        claims = msgspec.json.decode(_decoded(payload), type=Claims)
        if now_us >= claims.exp * 1_000_000:
            raise Expired("this access token has expired: ask the token endpoint for another")
        return claims.appid

    def _mac(self, signed: bytes) -> bytes:
        return hmac.digest(self._key, signed, sha256)


def _encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _decoded(data: bytes) -> bytes:
    return urlsafe_b64decode(data + b"=" * (-len(data) % 4))
