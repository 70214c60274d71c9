"""Tokens: who may do what, for which tenant and tables.

A token is ``gl_`` and 43 URL-safe characters: 256 random bits. Only its SHA-256 is kept, and tokens are
found by that hash, so that no comparison runs over the secret itself. The store is a small file of its
own, replaced atomically: rebuilding the index must not lose it.

A client is a token whose text, its secret, opens nothing by itself: it is exchanged for access tokens (see
``gapless.gateway.oauth``).
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from threading import Lock
from typing import Literal

import msgspec

from gapless.log.disk import Disk, read_small, write_atomically
from gapless.model.errors import UNDECODABLE, Corrupt, Refused, Unavailable
from gapless.model.stream import StreamKey, check_name
from gapless.model.tables import table_schema

Scope = Literal["ingest", "read", "admin"]

#: The tenant of tokens that are for all of them.
EVERY_TENANT = "*"

#: Who made the token that stands in the file ``admin.token``.
FIRST_START = "first start"

_TOKENS_MAX = 100_000


class Token(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is known of a token; ``sha256`` is that of its text. No ``tables`` are all of the tenant's.
    ``client``: its text is a client's secret."""

    id: str
    sha256: str
    tenant: str
    scope: Scope
    created_us: int
    by: str
    tables: tuple[str, ...] = ()
    revoked_us: int | None = None
    client: bool = False

    @property
    def holders(self) -> tuple[str, ...]:
        """Whose a request with it is, for ``Budget.hold``: a tenant's, and in it the token's. What operators
        ask for has no share."""
        return () if self.tenant == EVERY_TENANT else (f"tenant {self.tenant}", f"token {self.id}")

    def allows(self, scope: Scope, tenant: str) -> bool:
        """Whether it is good for ``scope`` in ``tenant``; ``admin`` includes the other two."""
        return self.scope in (scope, "admin") and self.tenant in (tenant, EVERY_TENANT)

    def allows_table(self, table: str) -> bool:
        return not self.tables or table in self.tables

    def allows_ingest(self, stream: StreamKey) -> bool:
        """Whether records of ``stream`` may enter with it."""
        return self.allows("ingest", stream.tenant) and self.allows_table(stream.table)


class _File(msgspec.Struct, frozen=True):
    v: int
    tokens: tuple[Token, ...]


def digest_of(secret: str) -> str:
    """What is kept of a token's text."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def mint(
    tenant: str, tables: tuple[str, ...], scope: Scope, *, by: str, now_us: int, client: bool = False
) -> tuple[Token, str]:
    """A new token and its text; nobody accepts it before it was given to ``TokenStore.add``.

    Raises Refused for names that cannot be, for a token of every tenant that is not ``admin``, and for a
    client of every tenant.
    """
    if client and tenant == EVERY_TENANT:
        raise Refused("a client is of one tenant: name it")
    if tenant != EVERY_TENANT:
        check_name("tenant", tenant)
    elif scope != "admin":
        raise Refused(
            f"only an admin token can be for every tenant: name one, or use --scope admin ({scope})"
        )
    for table in tables:
        table_schema(table)
    secret = ("gls_" if client else "gl_") + secrets.token_urlsafe(32)
    token = Token(
        id=str(uuid.uuid4()) if client else secrets.token_hex(8),
        sha256=digest_of(secret),
        tenant=tenant,
        scope=scope,
        created_us=now_us,
        by=by,
        tables=tuple(dict.fromkeys(tables)),
        client=client,
    )
    return token, secret


class TokenStore:
    """The tokens of a platform, in the file ``path``. Thread-safe; changes are durable on return.

    Opening raises Corrupt if the file is not a token store.
    """

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._lock = Lock()
        self._by_digest = {token.sha256: token for token in self._load()}
        self._by_id = {token.id: token for token in self._by_digest.values()}

    def find(self, secret: str) -> Token | None:
        """The token with this text, unless it is unknown, revoked or a client."""
        token = self._by_digest.get(digest_of(secret))
        return token if token is not None and token.revoked_us is None and not token.client else None

    def client(self, secret: str) -> Token | None:
        """The client with this secret, unless it is unknown, revoked or none."""
        token = self._by_digest.get(digest_of(secret))
        return token if token is not None and token.revoked_us is None and token.client else None

    def all(self) -> list[Token]:
        """Every token ever made, oldest first, the revoked ones too."""
        return list(self._by_digest.values())

    def get(self, token_id: str) -> Token | None:
        return self._by_id.get(token_id)

    def add(self, token: Token) -> None:
        """Accept a token from now on. Raises Refused when there are too many, Unavailable if the disk
        does not take it: then it is not accepted."""
        if len(self._by_digest) >= _TOKENS_MAX:
            raise Refused(
                f"there are {_TOKENS_MAX} tokens already, the revoked ones included: use one of them"
            )
        self._put(token)

    def revoke(self, token: Token, now_us: int) -> Token:
        """Accept a token no more; one that is revoked already stays as it is. Raises Unavailable if the
        disk does not take it: then it is still accepted."""
        if token.revoked_us is None:
            token = msgspec.structs.replace(token, revoked_us=now_us)
            self._put(token)
        return token

    def _put(self, token: Token) -> None:
        with self._lock:
            tokens = {**self._by_digest, token.sha256: token}
            data = msgspec.json.encode(_File(1, tuple(tokens.values())))
            try:
                write_atomically(self._disk, self._path, data)
            except OSError as error:
                raise Unavailable(
                    f"{self._path} cannot be written ({error.strerror}): look at its disk"
                ) from error
            self._by_digest = tokens
            self._by_id = {**self._by_id, token.id: token}

    def _load(self) -> tuple[Token, ...]:
        data = read_small(self._disk, self._path)
        if data is None:
            return ()
        try:
            file = msgspec.json.decode(data, type=_File)
        except UNDECODABLE as error:
            raise Corrupt(f"{self._path} is not a list of tokens: restore it from a backup") from error
        if file.v != 1:
            raise Corrupt(
                f"{self._path} is of format {file.v}, which is not known here: upgrade the platform"
            )
        return file.tokens


def admin_needed(store: TokenStore, disk: Disk, path: str) -> bool:
    """Whether ``path`` holds no token that may administer every tenant."""
    data = read_small(disk, path)
    token = store.find(data.decode("ascii", "replace").strip()) if data is not None else None
    return token is None or not token.allows("admin", EVERY_TENANT)


def write_admin(disk: Disk, path: str, secret: str) -> None:
    """Put an admin token where its owner finds it; readable by the owner alone, durable on return."""
    write_atomically(disk, path, secret.encode() + b"\n")
