"""Posting the outbox: what the auditor tells goes through the gateway into the journal.

What is posted when is decided in ``auditor_posting``.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from gapless.model.errors import Busy, GaplessError, Refused, Unavailable
from gapless.platform.auditor_outbox import LedgerOutbox
from gapless.platform.auditor_posting import Posting, error_of
from gapless.platform.layout import admin_token_path, ledger_directory

_log = structlog.get_logger("gapless.ledger")

_ANSWER_BYTES_MAX = 64 << 10


class Poster:
    """Posts the outbox of the platform in ``directory``, from a thread of its own, to the gateway at ``url``:
    an address of this machine.

    ``rows_max`` messages a request; ``timeout_s`` bounds each wait for bytes; ``pause_s`` between attempts
    that fail, ``idle_s`` between looks at an outbox that was empty.
    """

    def __init__(
        self,
        directory: str,
        url: str,
        *,
        rows_max: int = 256,
        timeout_s: float = 10.0,
        pause_s: float = 1.0,
        idle_s: float = 0.25,
    ) -> None:
        self._directory = directory
        self._url = url
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._idle_s = idle_s
        self._outbox = LedgerOutbox(ledger_directory(directory))
        self.posting = Posting(self._outbox, time.monotonic, rows_max=rows_max)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="poster", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the request under way, which is bounded."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self._timeout_s)
        self._outbox.close()

    def post_some(self) -> int:
        """Post what is due; return how many messages that was. Raises Unavailable or Busy: the rest waits."""
        request = self.posting.next()
        if request is None:
            return 0
        error: GaplessError | None = None
        try:
            self._request(request.path, request.body)
        except GaplessError as failure:
            error = failure
        self.posting.finished(request, error)
        if error is not None and not isinstance(error, Refused):
            raise error
        return len(request.rows)

    def _request(self, path: str, body: bytes) -> None:
        """Raises Refused for what the gateway will never take, else Unavailable or Busy."""
        connection = _connection(self._url, self._timeout_s)
        token = self._admin_token()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            text = response.read(_ANSWER_BYTES_MAX).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the gateway at {self._url} does not answer: {error}") from error
        finally:
            connection.close()
        refusal = error_of(response.status, response.headers.get("Retry-After", ""), text)
        if refusal is not None:
            raise refusal

    def _admin_token(self) -> str:
        path = admin_token_path(self._directory)
        try:
            return Path(path).read_text("utf-8").strip()
        except OSError as error:
            raise Unavailable(f"{path} is not there yet: start the platform's gateway") from error

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stopping.wait(wait_s):
            try:
                wait_s = 0.0 if self.post_some() else self._idle_s
            except (Unavailable, Busy) as error:
                _log.warning("findings_wait", error=str(error)[:500])
                wait_s = max(self._pause_s, min(getattr(error, "retry_after_s", 0.0), 60.0))
            except Exception:  # whatever it is, what is told later must not wait for a restart
                _log.exception("posting_failed")
                wait_s = self._pause_s


def _connection(url: str, timeout_s: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, port, timeout=timeout_s)
    # The certificate names the platform as clients know it, which this address need not be. What answers at
    # an address of this machine, on the port whose socket the supervisor holds, is the platform.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
