"""The five kinds of failure, named by what the caller should do about them.

Every message is one sentence that says what to do. ``code`` is the stable name a program can match on.
"""

from __future__ import annotations

import msgspec

#: What decoding raises for bytes that are not the JSON they should be, not UTF-8, or nested too deep.
UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class GaplessError(Exception):
    """Base of all errors that a caller is meant to see."""

    code = "error"


class Refused(GaplessError):
    """Your input is wrong as it is: do not retry it unchanged."""

    code = "refused"


class Busy(GaplessError):
    """Not now: retry the same request after ``retry_after_s`` seconds."""

    code = "busy"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(GaplessError):
    """Something this depends on does not answer: retry, the request itself is fine."""

    code = "unavailable"


class Corrupt(GaplessError):
    """Bytes on disk or on the wire are not what was written: stop using them, and audit."""

    code = "corrupt"


class Misconfigured(GaplessError):
    """Settings are wrong; found at start. ``faults`` names every field that is wrong, all at once."""

    code = "misconfigured"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults
