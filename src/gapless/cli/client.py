"""The platform as a client on the command line sees it: one HTTP connection, and errors as sentences."""

from __future__ import annotations

import http.client
import ipaddress
import os
from pathlib import Path
from types import TracebackType
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from gapless.model.errors import UNDECODABLE, Busy, GaplessError, Misconfigured, Refused, Unavailable
from gapless.platform.layout import admin_token_path, ca_path, url_path
from gapless.tls import client_context, tls_failure

URL_DEFAULT = "http://127.0.0.1:8420"
_REQUEST_S_MAX = 60.0
_ANSWER_BYTES_MAX = 1 << 28

T = TypeVar("T")


class _Failure(msgspec.Struct):
    code: str
    text: str


class _NotDone(msgspec.Struct):
    error: _Failure


class Client:
    """Requests to the platform at ``url`` with ``token``, one after the other; a context manager.

    ``timeout_s`` bounds each wait for bytes; ``ca_file`` and ``also_ca`` as in ``tls.client_context``.
    Raises Misconfigured for what is no URL, no token or no CA.
    """

    def __init__(
        self, url: str, token: str, ca_file: str = "", also_ca: str = "", *, timeout_s: float = _REQUEST_S_MAX
    ) -> None:
        self._url = url
        self._connection = _connection(url, ca_file, also_ca, timeout_s)
        if not (token.isascii() and token.isprintable() and token):
            raise Misconfigured(["the token holds other characters than a token has: copy it again"])
        self._headers = {"Authorization": f"Bearer {token}"}

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, path: str, answer: type[T]) -> T:
        return self._request("GET", path, None, "", answer)

    def post(self, path: str, message: object, answer: type[T]) -> T:
        """Send ``message`` as JSON."""
        return self._request("POST", path, msgspec.json.encode(message), "application/json", answer)

    def post_bytes(self, path: str, body: bytes, answer: type[T]) -> T:
        return self._request("POST", path, body, "application/octet-stream", answer)

    def delete(self, path: str, answer: type[T]) -> T:
        return self._request("DELETE", path, None, "", answer)

    def _request(self, method: str, path: str, body: bytes | None, media_type: str, answer: type[T]) -> T:
        """Raises Refused, Busy or Unavailable with the platform's own words, or because none came."""
        headers = self._headers if body is None else {**self._headers, "Content-Type": media_type}
        answered = False
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            data = response.read(_ANSWER_BYTES_MAX + 1)
            answered = len(data) <= _ANSWER_BYTES_MAX
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            if failure := tls_failure(error, "--ca"):
                raise Misconfigured([f"{self._url}: {failure}"]) from error
            raise Unavailable(
                f"no answer from {self._url} ({_reason(error)}): start it with `gapless up`, or name "
                "another --url"
            ) from error
        finally:
            if not answered:  # half a request or answer is on the connection: the next one needs another
                self._connection.close()
        if response.status >= 400:
            raise _error(response, data)
        if not answered:
            raise Refused(f"the answer is larger than {_ANSWER_BYTES_MAX} bytes: ask for less")
        try:
            return msgspec.json.decode(data, type=answer)
        except UNDECODABLE as error:
            raise Refused(f"what {self._url} answers is not Gapless ({error}): name another --url") from error


def connect(data: str, url: str | None, token: str | None, ca_file: str | None = None) -> Client:
    """A client of the platform that was named, or of the one in the data directory ``data``.

    Without ``ca_file``, the CA of the platform in ``data`` is good beside the system's. The token in
    ``data`` is for the platform there: it goes to no other host. Raises Misconfigured when there is no token
    to send.
    """
    own_url = _stored(url_path(data)) or URL_DEFAULT
    url = url or own_url
    if not token:
        if url != own_url and not _on_this_machine(url):
            raise Misconfigured([f"no token for {url}: give --token or GAPLESS_TOKEN"])
        token = _stored(admin_token_path(data))
    if not token:
        raise Misconfigured(
            [f"no token: give --token or GAPLESS_TOKEN, or --data of a platform here ({data} has none)"]
        )
    own_ca = ca_path(data)
    return Client(url, token.strip(), ca_file or "", own_ca if os.path.exists(own_ca) else "")


def _stored(path: str) -> str | None:
    """What a small file of the platform says; None where there is none."""
    try:
        return Path(path).read_text("ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise Misconfigured(
            [f"{path} cannot be read ({reason}): become its owner, or give --url and --token elsewhere"]
        ) from error


def _on_this_machine(url: str) -> bool:
    host = _parts(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _connection(url: str, ca_file: str, also_ca: str, timeout_s: float) -> http.client.HTTPConnection:
    parts = _parts(url)
    host = parts.hostname or ""
    try:
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
        context = client_context(ca_file, also=also_ca)
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)
    except http.client.InvalidURL as error:
        raise _no_url(url) from error


def _parts(url: str) -> SplitResult:
    """Raises Misconfigured for what is not scheme, host and port alone."""
    try:
        parts = urlsplit(url)
        port_is_one = parts.port != 0
    except ValueError as error:
        raise _no_url(url) from error
    more = (parts.path.strip("/"), parts.query, parts.fragment, parts.username, parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_one or any(more):
        raise _no_url(url)
    return parts


def _no_url(url: str) -> Misconfigured:
    return Misconfigured([f"--url {url} is not one: write for example {URL_DEFAULT}"])


def _error(response: http.client.HTTPResponse, data: bytes) -> GaplessError:
    try:
        text = msgspec.json.decode(data, type=_NotDone).error.text
    except UNDECODABLE:
        text = f"HTTP {response.status} without a reason: look at what listens at --url"
    if response.status == 429:
        after = response.headers.get("Retry-After", "")
        return Busy(text, float(after) if after.isdecimal() else 1.0)
    return Unavailable(text) if response.status >= 500 else Refused(text)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
