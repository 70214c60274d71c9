"""The agent's configuration file. Blank or invalid is an error, never "nobody wants logs"."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

from gapless.agent.sources import FileSettings
from gapless.agent.spool import SpoolSettings
from gapless.model.errors import Misconfigured, Refused
from gapless.model.stream import StreamKey, check_name

_KEY = re.compile(r"[0-9a-f]{64}\Z")
T = TypeVar("T")
_SECTIONS = {"agent", "gateway", "spool", "source"}


class AgentSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who the agent is, and where it keeps its spool."""

    name: str
    data_dir: str


class GatewaySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where to send. ``urls`` in the order of preference. ``receipt_key``: the platform's public key in
    hex, with which receipts must be signed."""

    urls: tuple[str, ...]
    token_file: str
    receipt_key: str = ""


class SourceSection(FileSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file source and the stream it makes; ``name`` tells sources of one table apart."""

    type: Literal["file"]
    tenant: str
    table: str
    name: str = "files"


class AgentConfig(msgspec.Struct, frozen=True):
    """All of it, checked."""

    agent: AgentSection
    gateway: GatewaySection
    spool: SpoolSettings
    sources: tuple[SourceSection, ...]

    def stream(self, source: SourceSection) -> StreamKey:
        return StreamKey(source.tenant, source.table, self.agent.name, source.name)


def load_config(path: str) -> AgentConfig:
    """Read and check a file. Raises Misconfigured with every fault at once."""
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured([f"{path} cannot be read ({error}): name a readable UTF-8 file"]) from error
    return parse_config(text)


def parse_config(text: str) -> AgentConfig:
    """Check the text of a configuration. Raises Misconfigured with every fault at once."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured([f"the configuration is not TOML: {error}"]) from error
    faults = [f"[{name}] is not known: remove it" for name in sorted(data.keys() - _SECTIONS)]
    agent = _section(data.get("agent"), AgentSection, "agent", faults)
    gateway = _section(data.get("gateway"), GatewaySection, "gateway", faults)
    spool = _section(data.get("spool", {}), SpoolSettings, "spool", faults)
    listed = data.get("source")
    if not isinstance(listed, list) or not listed:
        faults.append("there is no [[source]]: name at least one")
        listed = []
    sources = [_section(each, SourceSection, f"source[{at}]", faults) for at, each in enumerate(listed)]
    _check(agent, gateway, spool, sources, faults)
    if faults or agent is None or gateway is None or spool is None:
        raise Misconfigured(faults)
    return AgentConfig(agent, gateway, spool, tuple(source for source in sources if source is not None))


def _section(data: Any, kind: type[T], name: str, faults: list[str]) -> T | None:
    if data is None:
        faults.append(f"[{name}] is missing: add it")
        return None
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        faults.append(f"{name}: {error}")
        return None


def _check(
    agent: AgentSection | None,
    gateway: GatewaySection | None,
    spool: SpoolSettings | None,
    sources: list[SourceSection | None],
    faults: list[str],
) -> None:
    if agent is not None:
        _check_name("agent.name", agent.name, faults)
        if not Path(agent.data_dir).is_absolute():
            faults.append("agent.data_dir must be an absolute path")
    if gateway is not None:
        faults += _gateway_faults(gateway)
    if spool is not None:
        faults += [f"spool.{fault}" for fault in spool.faults()]
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
    return faults
