"""The agent's configuration file. Blank or invalid is an error, never "nobody wants logs"."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from gapless.agent.dispatch import UploadSettings
from gapless.agent.sources import FileSettings
from gapless.agent.sources.settings import READ_BYTES_MOST
from gapless.agent.spool_settings import SpoolSettings
from gapless.log.disk import Disk, OsDisk
from gapless.model.errors import Misconfigured, Refused
from gapless.model.stream import StreamKey, check_name

_FILE_BYTES_MAX = 16 << 20
_KEY = re.compile(r"[0-9a-f]{64}\Z")
T = TypeVar("T")
_SECTIONS = {"agent", "gateway", "spool", "upload", "source"}


class AgentSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who the agent is, where it keeps its spool, and how it watches itself.

    ``name``: what tells its streams from those of other agents of the tenant. With another name they are
    other streams, which read their sources from the beginning; those it had stay silent until an operator
    decommissions them.
    ``data_dir``: an absolute path, for this agent alone.
    ``commit_interval_s``: how often what was read is made durable, and may be sent.
    ``claim_interval_s``: how often it says what is in its streams.
    ``stalled_s``: a process of the agent that has work and finishes no step of it for so long is replaced.
    """

    name: str
    data_dir: str
    commit_interval_s: float = 0.2
    claim_interval_s: float = 2.0
    stalled_s: float = 12.0


class GatewaySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where to send.

    ``urls``: in the order of preference.
    ``token_file``: holds the token; it is read again when it changes.
    ``receipt_key``: the platform's public key in hex, with which receipts must be signed. Without it the
    key that the platform shows at first contact is kept and required from then on.
    ``ca_file``: an absolute path; only what the CAs in it (PEM) vouch for is trusted at an https URL. It is
    read again for each connection. Without it the system's CAs are trusted.
    """

    urls: tuple[str, ...]
    token_file: str
    receipt_key: str = ""
    ca_file: str = ""


class FileSection(
    FileSettings, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="file"
):
    """Files to follow, and the stream that they make.

    ``tenant``, ``table``: whose records they are, and where they go.
    ``name``: tells sources of one table apart. With another name, table or tenant it is another stream, which
    reads its files from the beginning (``start_at``).
    """

    tenant: str
    table: str
    name: str = "files"


class StdinSection(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="stdin"
):
    """What is piped into the agent, and the stream that it makes. A pipe cannot be read twice: what was
    read and not yet durable when the agent is killed is gone.

    ``tenant``, ``table``: whose records they are, and where they go.
    ``name``: tells sources of one table apart.
    ``line_bytes_max``: a longer line is cut into pieces of this many bytes, marked "part" and "last_part".
    """

    tenant: str
    table: str
    name: str = "stdin"
    line_bytes_max: int = 8 * 1024 * 1024

    def faults(self) -> list[str]:
        """Everything that is wrong, each named by its field."""
        if 1 <= self.line_bytes_max <= READ_BYTES_MOST:
            return []
        return [f"line_bytes_max must be from 1 to {READ_BYTES_MOST}"]


SourceSection = FileSection | StdinSection


class AgentConfig(msgspec.Struct, frozen=True):
    """All of it, checked. ``text`` is what it was read from."""

    agent: AgentSection
    gateway: GatewaySection
    spool: SpoolSettings
    upload: UploadSettings
    sources: tuple[SourceSection, ...]
    text: str

    def stream(self, source: SourceSection) -> StreamKey:
        return StreamKey(source.tenant, source.table, self.agent.name, source.name)

    def streams(self) -> dict[StreamKey, SourceSection]:
        """Every stream, with what it is collected from."""
        return {self.stream(source): source for source in self.sources}


def load_config(path: str) -> AgentConfig:
    """Read and check a file. Raises Misconfigured with every fault at once."""
    return parse_config(read_config(OsDisk(), path))


def read_config(disk: Disk, path: str) -> str:
    """The text of a file. Raises Misconfigured if it cannot be read."""
    try:
        data = disk.head(path, _FILE_BYTES_MAX + 1)
        if len(data) > _FILE_BYTES_MAX:
            raise Misconfigured([f"{path} has more than {_FILE_BYTES_MAX} bytes: name fewer sources in it"])
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured([f"{path} cannot be read ({error}): name a readable UTF-8 file"]) from error


def parse_config(text: str) -> AgentConfig:
    """Check the text of a configuration. Raises Misconfigured with every fault at once."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Misconfigured([f"the configuration is not TOML: {error}"]) from error
    faults = [f"[{name}] is not known: remove it" for name in sorted(data.keys() - _SECTIONS)]
    agent = _section(data.get("agent"), AgentSection, "agent", faults)
    gateway = _section(data.get("gateway"), GatewaySection, "gateway", faults)
    spool = _section(data.get("spool", {}), SpoolSettings, "spool", faults)
    upload = _section(data.get("upload", {}), UploadSettings, "upload", faults)
    listed = data.get("source")
    if not isinstance(listed, list) or not listed:
        faults.append("there is no [[source]]: name at least one")
        listed = []
    sources = [_source(each, f"source[{at}]", faults) for at, each in enumerate(listed)]
    _check(agent, gateway, spool, upload, sources, faults)
    if faults or agent is None or gateway is None or spool is None or upload is None:
        raise Misconfigured(faults)
    return AgentConfig(
        agent, gateway, spool, upload, tuple(source for source in sources if source is not None), text
    )


def _section(data: Any, kind: type[T], name: str, faults: list[str]) -> T | None:
    if data is None:
        faults.append(f"[{name}] is missing: add it")
        return None
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        faults.append(f"{name}: {error}")
        return None


def _source(data: Any, name: str, faults: list[str]) -> SourceSection | None:
    source: SourceSection | None = _section(data, SourceSection, name, faults)  # type: ignore[arg-type]
    return source


def _check(
    agent: AgentSection | None,
    gateway: GatewaySection | None,
    spool: SpoolSettings | None,
    upload: UploadSettings | None,
    sources: list[SourceSection | None],
    faults: list[str],
) -> None:
    if agent is not None:
        _check_name("agent.name", agent.name, faults)
        if not Path(agent.data_dir).is_absolute():
            faults.append("agent.data_dir must be an absolute path")
        for field in ("commit_interval_s", "claim_interval_s", "stalled_s"):
            if not 0.01 <= getattr(agent, field) <= 3600:
                faults.append(f"agent.{field} must be between 0.01 and 3600")
    if gateway is not None:
        faults += _gateway_faults(gateway)
    if spool is not None:
        faults += [f"spool.{fault}" for fault in spool.faults()]
    if upload is not None:
        faults += [f"upload.{fault}" for fault in upload.faults()]
    seen: dict[tuple[str, str, str], int] = {}
    for at, source in enumerate(sources):
        if source is None:
            continue
        for field in ("tenant", "table", "name"):
            _check_name(f"source[{at}].{field}", getattr(source, field), faults)
        faults += [f"source[{at}].{fault}" for fault in source.faults()]
        other = seen.setdefault((source.tenant, source.table, source.name), at)
        if other != at:
            faults.append(f"source[{at}] is the same stream as source[{other}]: give it a name of its own")
    if sum(isinstance(source, StdinSection) for source in sources) > 1:
        faults.append("there are several sources of type stdin: keep one")


def _check_name(what: str, name: str, faults: list[str]) -> None:
    try:
        check_name(what, name)
    except Refused as error:
        faults.append(str(error))


def _gateway_faults(gateway: GatewaySection) -> list[str]:
    faults = [] if gateway.urls else ["gateway.urls is empty: name at least one"]
    for at, url in enumerate(gateway.urls):
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good:
            faults.append(f"gateway.urls[{at}] {url!r} is not an http or https URL")
    if not gateway.token_file:
        faults.append("gateway.token_file is empty: name the file that holds the token")
    if gateway.receipt_key and not _KEY.match(gateway.receipt_key):
        faults.append("gateway.receipt_key must be 64 lower-case hex digits")
    if gateway.ca_file and not Path(gateway.ca_file).is_absolute():
        faults.append("gateway.ca_file must be an absolute path")
    return faults
