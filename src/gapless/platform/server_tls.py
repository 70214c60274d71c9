"""The server's side of TLS: its certificate, also when it is replaced while the server runs."""

from __future__ import annotations

import os
import ssl

import structlog

from gapless.model.errors import Misconfigured

_log = structlog.get_logger("gapless.platform")

#: For clients without TLS 1.3, whose own ciphers are all good.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class ServerTls:
    """``context`` serves the certificate in the file ``certificate``, with its key there or in ``key``: TLS
    1.2 and 1.3. Raises Misconfigured if the files do not go together."""

    def __init__(self, certificate: str, key: str | None = None) -> None:
        self._files = (certificate, key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_ciphers(_CIPHERS)
        self._seen = self._stat()
        try:
            self.context.load_cert_chain(certificate, key)
        except OSError as error:
            raise Misconfigured(
                [f"{certificate} and its key cannot be used ({error}): name a certificate chain and its key"]
            ) from error

    def renew(self) -> None:
        """Use the files as they are now, if they were replaced: connections that are open go on. What cannot
        be used is in the log, and the certificate before stays."""
        try:
            seen = self._stat()
            if seen == self._seen:
                return
            self._seen = seen
            # Tried elsewhere first: one that fails half way would spoil the context in use.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._files)
            self.context.load_cert_chain(*self._files)
        except OSError as error:
            _log.error("certificate_not_replaced", file=self._files[0], error=str(error))
        else:
            _log.info("certificate_replaced", file=self._files[0])

    def _stat(self) -> tuple[tuple[int, int, int], ...]:
        stats = [os.stat(path) for path in self._files if path is not None]
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)
