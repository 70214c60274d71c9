"""``gapless agent``: run one on this host, and ask how it is."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from gapless import clock
from gapless.agent.config import AgentConfig, load_config
from gapless.agent.status import AgentStatus, Running, agent_status
from gapless.agent.supervisor import run as run_agent
from gapless.cli.options import Format, group
from gapless.cli.output import draw, printable, utc, write
from gapless.platform import logs

app = group("The agent that follows log files and ships them.")

Config = Annotated[str, typer.Option("--config", metavar="FILE", help="The agent's configuration, TOML.")]


@app.command()
def run(config: Config) -> None:
    """Follow what the configuration names and ship it, until it is stopped.

    A changed configuration comes into force by itself, or with SIGHUP; one with faults is refused and the
    last good one stays.
    """
    logs.configure()
    run_agent(config, announce=lambda: print(f"agent runs with {printable(config)}", flush=True))


@app.command()
def status(
    config: Config,
    format_: Format = "table",
) -> None:
    """Show what an agent on this host holds and does, also while the platform is down."""
    loaded = load_config(config)
    now_us = clock.now_us()
    found = agent_status(loaded, now_us)
    if format_ == "json":
        write(msgspec.json.encode(found) + b"\n")
    else:
        draw(_summary(loaded, found, now_us), "", _streams(found), *_troubles(found, now_us))


def _summary(config: AgentConfig, found: AgentStatus, now_us: int) -> Table:
    table = Table.grid(padding=(0, 3))
    running = found.running
    rows = {
        "agent": f"{found.agent} ({config.agent.data_dir})",
        "state": _state(running, now_us),
        "spool": f"{_bytes(found.spool_used_bytes)} of {_bytes(found.spool_limit_bytes)}, "
        + ("not filling" if found.fills_in_s is None else f"full in {_duration(found.fills_in_s)}"),
        "unsent": f"{found.unsent_records} records in {found.unsent_batches} batches, "
        f"{_bytes(found.unsent_bytes)}",
        "oldest unsent": "none" if found.oldest_unsent_us is None else _ago(found.oldest_unsent_us, now_us),
        "last receipt": "none yet" if found.last_receipt_us is None else _ago(found.last_receipt_us, now_us),
    }
    if running is not None:
        rows["processes"] = ", ".join(
            f"{name} {child.pid or 'starting'}"
            + (f" (replaced {child.restarts} times)" if child.restarts else "")
            for name, child in running.children.items()
        )
        urls = {child.report.url for child in running.children.values() if child.report and child.report.url}
        rows["sends to"] = ", ".join(sorted(urls)) or "nowhere yet"
    for name, value in rows.items():
        table.add_row(name, Text(printable(value)))
    return table


def _state(running: Running | None, now_us: int) -> str:
    if running is None:
        return "not running: what follows is what it left"
    return f"running for {_duration((now_us - running.started_us) / 1e6)}, pid {running.pid}"


def _streams(found: AgentStatus) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for name in ("tenant/table", "source"):
        table.add_column(name, overflow="fold")
    for name in ("records", "unsent", "files", "unread"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("stream", overflow="fold")
    for stream in found.streams:
        unread = "?" if stream.unread_bytes is None else _bytes(stream.unread_bytes)
        cells = (str(stream.next), str(stream.unsent_records), str(stream.files), unread)
        table.add_row(Text(f"{stream.tenant}/{stream.table}"), Text(stream.source), *cells, stream.stream)
    return table


def _troubles(found: AgentStatus, now_us: int) -> list[str]:
    """What a person should look at, a line each."""
    lines = []
    if found.refused_batches:
        lines.append(f"the gateway refuses {found.refused_batches} batches: {found.refused_text}")
    if found.losses_untold:
        lines.append(f"{found.losses_untold} declared losses are not answered by the platform yet")
    running = found.running
    if running is not None:
        lines += [f"the configuration file is refused: {fault}" for fault in running.config_faults]
        for name, child in running.children.items():
            if child.report is None:
                continue
            if child.report.error:
                since = _ago(child.report.error_since_us, now_us)
                lines.append(f"{name}: {child.report.error} (since {since})")
            lines += [f"{name}: {problem}" for problem in child.report.problems]
        lines += [
            f"{restart.child} was replaced {_ago(restart.at_us, now_us)}: {restart.reason}"
            for restart in running.last_restarts
        ]
    return ["", *(printable(line) for line in lines)] if lines else []


def _ago(at_us: int, now_us: int) -> str:
    return f"{utc(at_us)}, {_duration((now_us - at_us) / 1e6)} ago"


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
