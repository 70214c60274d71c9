"""Posting the outbox: what the auditor tells goes through the gateway into the journal.

At least once by itself, once in effect: whenever it is not known whether the gateway took a message, the
poster waits until the ledger has folded all that the journal had after the failure. If the message was among
it, the fold has removed it from the outbox by then. (A gateway that hangs and takes it later still makes a
second entry; its id is the same, and it changes nothing.)
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa
import structlog

from gapless.failpoint import reached
from gapless.model.errors import Busy, Refused, Unavailable
from gapless.platform.auditor_store import Message, connect, outbox
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
        self._rows_max = rows_max
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._idle_s = idle_s
        self._engine = connect(ledger_directory(directory), pooled=False)  # the ledger may make it anew
        self._writer = self._engine.execution_options(writing=True)
        self._caught_up_s = float("-inf")
        self._doubt_s = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="poster", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the request under way, which is bounded."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self._timeout_s)
        self._engine.dispose()

    def caught_up(self, begun_s: float) -> None:
        """A step of the ledger, begun at ``begun_s`` (monotonic), has folded all that was durable then."""
        self._caught_up_s = begun_s

    def post_some(self) -> int:
        """Post what is first in the outbox, if there is no doubt about it; return how many messages that was.
        Raises Unavailable or Busy: the rest waits, and is in doubt."""
        if self._caught_up_s <= self._doubt_s:
            return 0
        with self._engine.begin() as connection:
            query = sa.select(outbox.c.n, outbox.c.kind, outbox.c.message).order_by(outbox.c.n)
            rows = [Message(*row) for row in connection.execute(query.limit(self._rows_max))]
        # A loss is a request of its own; findings go together as far as they stand together.
        run = next((at for at, row in enumerate(rows) if row.kind != "finding"), len(rows))
        run = run or min(1, len(rows))
        try:
            self._post(rows[:run])
        except (Unavailable, Busy):
            self._doubt_s = time.monotonic()
            raise
        return run

    def _post(self, rows: list[Message]) -> None:
        """Post rows of one kind, and remove them from the outbox. What the gateway will not take for what it
        is would stand before all that follows: it is put in the log, and removed."""
        if not rows:
            return
        try:
            if rows[0].kind == "loss":
                self._request("/v1/losses", rows[0].message)
            else:
                self._request("/v1/findings", b"[" + b",".join(row.message for row in rows) + b"]")
        except Refused as error:
            if len(rows) > 1:
                middle = len(rows) // 2
                self._post(rows[:middle])
                self._post(rows[middle:])
                return
            _log.error("message_refused", error=str(error), message=rows[0].message.decode()[:2000])
        reached("outbox", "posted", Unavailable)
        # A crash before this leaves rows whose entries are in the journal: the fold removes them.
        with self._writer.begin() as connection:
            posted = sa.tuple_(outbox.c.n, outbox.c.message)  # numbers begin again in a file made anew
            connection.execute(outbox.delete().where(posted.in_([(row.n, row.message) for row in rows])))

    def _request(self, path: str, body: bytes) -> None:
        """Raises Refused for what the gateway will never take, else Unavailable or Busy."""
        connection = _connection(self._url, self._timeout_s)
        token = self._admin_token()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            words = response.read(_ANSWER_BYTES_MAX).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the gateway at {self._url} does not answer: {error}") from error
        finally:
            connection.close()
        if response.status < 300:
            return
        if response.status == 429:
            after = response.headers.get("Retry-After", "")
            raise Busy(words, float(after) if after.isdecimal() else self._pause_s)
        if response.status in (400, 413, 422):
            raise Refused(words)
        raise Unavailable(f"the gateway at {self._url} answers {response.status}: {words}")

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
