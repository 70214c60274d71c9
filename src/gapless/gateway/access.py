"""From a request's ``Authorization`` header to the token that allows it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request

from gapless.gateway.oauth.access_tokens import AccessTokens, Expired
from gapless.gateway.problems import Problem
from gapless.gateway.tokens import EVERY_TENANT, Scope, Token, TokenStore

_SCHEME = "bearer "


class Access:
    """Answers for every request who asks, and whether they may."""

    def __init__(self, tokens: TokenStore, access_tokens: AccessTokens, now_us: Callable[[], int]) -> None:
        self._tokens = tokens
        self._access_tokens = access_tokens
        self._now_us = now_us

    def token(self, request: Request) -> Token:
        """The request's token. Raises Problem 401 if it has none that is accepted."""
        header = request.headers.get("authorization", "")
        if header[: len(_SCHEME)].lower() != _SCHEME:
            raise Problem(401, "unauthorized", "send a token as 'Authorization: Bearer gl_...'")
        text = header[len(_SCHEME) :].strip()
        token = self._of_client(text) if "." in text else self._tokens.find(text)
        if token is None:
            raise Problem(401, "unauthorized", "this token is unknown or revoked: ask for a new one")
        return token

    def _of_client(self, text: str) -> Token | None:
        """What the client may do that an access token was issued to."""
        try:
            client_id = self._access_tokens.client_of(text, self._now_us())
        except Expired as error:
            raise Problem(401, "unauthorized", str(error)) from error
        client = None if client_id is None else self._tokens.get(client_id)
        return client if client is not None and client.revoked_us is None else None

    def require(self, request: Request, scope: Scope, tenant: str | None = None) -> Token:
        """The request's token, if it is good for ``scope`` (and ``tenant``). Raises Problem 401 or 403."""
        token = self.token(request)
        if not token.allows(scope, token.tenant if tenant is None else tenant):
            where = "" if tenant is None else f" in tenant {tenant!r}"
            raise forbidden(f"this token is of scope {token.scope}: use one that may {scope}{where}")
        return token

    def require_operator(self, request: Request) -> Token:
        """The request's token, if it may administer every tenant. Raises Problem 401 or 403."""
        return self.require(request, "admin", EVERY_TENANT)


def forbidden(text: str) -> Problem:
    """The answer to a token that is known, but not for this."""
    return Problem(403, "forbidden", text)
