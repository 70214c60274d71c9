"""Where batches go, with what token, and whose receipts count: what each attempt captures at its start."""

from __future__ import annotations

import re
from typing import NamedTuple

from gapless.agent.config import AgentConfig
from gapless.agent.layout import receipt_key_path
from gapless.log.disk import Disk, read_small, write_atomically
from gapless.model.errors import Unavailable

_KEY = re.compile(r"[0-9a-f]{64}\Z")
_TOKEN_BYTES_MAX = 8192


class Target(NamedTuple):
    """``token`` is empty as long as none could be read, ``receipt_key`` as long as none is known, ``ca_file``
    where the system's CAs are trusted."""

    urls: tuple[str, ...]
    token: str
    receipt_key: str
    ca_file: str = ""


class Targets:
    """Makes the target from the configuration, the token file and the pinned key. ``error`` is what is
    wrong with the two files. A token that was read stays in force until there is another."""

    def __init__(self, disk: Disk, data_dir: str) -> None:
        self._disk = disk
        self._key_path = receipt_key_path(data_dir)
        self._pinned = ""
        self._token = ""
        self._token_error = self._key_error = ""

    @property
    def error(self) -> str:
        return self._key_error or self._token_error

    def read(self, config: AgentConfig) -> Target:
        """The target as of now: the token file is read each time, so a new token needs no restart."""
        gateway = config.gateway
        self._read_token(gateway.token_file)
        key = gateway.receipt_key or self._read_key()
        return Target(gateway.urls, self._token, key, gateway.ca_file)

    def pin(self, key: str) -> None:
        """Require this key from now on, unless there is one by now; durable on return. Raises Unavailable,
        also where the file holds something that is no key: nobody but people can tell what it was.

        A crash before leaves no key: it is asked for again, and no receipt was taken meanwhile.
        """
        if self._read_key():
            return
        if self._key_error:
            raise Unavailable(self._key_error)
        try:
            write_atomically(self._disk, self._key_path, key.encode() + b"\n")
        except OSError as error:
            raise Unavailable(f"{self._key_path} was not written ({error.strerror}): retry") from error
        self._pinned = key

    def _read_key(self) -> str:
        """The key in the file, which people may restore or remove while the agent runs; while it cannot be
        read, or is none, the one that it held before."""
        self._key_error = ""
        try:
            data = read_small(self._disk, self._key_path)
        except OSError as error:
            self._key_error = f"{self._key_path} cannot be read ({error.strerror}): make it readable"
            return self._pinned
        if data is None:
            self._pinned = ""
            return ""
        key = data.decode("ascii", "replace").strip()
        if not is_key(key):
            self._key_error = f"{self._key_path} does not hold a key: restore it, or set gateway.receipt_key"
            return self._pinned
        self._pinned = key
        return key

    def _read_token(self, path: str) -> None:
        try:
            token = self._disk.head(path, _TOKEN_BYTES_MAX).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            self._token_error = f"the token file {path} cannot be read ({error}): make it readable"
            return
        if not token or not token.isprintable():
            self._token_error = f"the token file {path} does not hold a token: write one into it"
            return
        self._token, self._token_error = token, ""


def is_key(text: str) -> bool:
    """Whether it can be a public key: 64 lower-case hex digits."""
    return _KEY.match(text) is not None
