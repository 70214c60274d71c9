"""The platform's own log: one JSON object a line on standard error."""

from __future__ import annotations

import logging
import sys

import structlog


def configure() -> None:
    """Send what this process logs to standard error. Tracebacks show no variables: those hold records."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Printer(),
        cache_logger_on_first_use=False,
    )


class _Printer:
    """Prints lines to standard error as it is at each line. One that cannot be written is lost: nobody ends
    for a word that nobody reads."""

    def msg(self, line: str) -> None:
        try:
            print(line, file=sys.stderr, flush=True)
        except (OSError, ValueError):
            pass

    debug = info = warning = error = critical = exception = log = fatal = failure = err = warn = msg
