"""An audit for people: the verdict and why, the totals, the streams, and what to do next.

The worst comes first everywhere, and lists are cut; ``--format json`` has all of it.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from gapless.cli.output import printable

_COUNTS = ("claimed", "journaled", "stored", "quarantined", "lost", "pending", "missing")
_TERMS = ("stored", "quarantined", "filtered", "expired", "lost", "renumbered", "pending", "missing")
_ALWAYS = ("claimed", "stored")
_COLOURS = {"complete": "bold green", "incomplete": "bold red", "unknown": "bold yellow"}
_SILENT = ("agent silent", "stream dead", "claims down")
_STALLED = ("upload stalled", "reader stuck", "spool filling")

_LISTED_MAX = 10
_STREAMS_MAX = 500

Row = dict[str, Any]


def report_parts(report: Row, columns: int) -> Iterator[RenderableType]:
    """What to print of the answer of ``GET /v1/audit``, for lines of ``columns`` characters."""
    streams = sorted(report["streams"], key=_worst_first)
    yield _headline(report)
    yield from _listed(report["reasons"])
    yield from _section("open findings", (_finding(each) for each in report.get("findings") or ()))
    yield ""
    yield _totals(report["totals"])
    if streams:
        yield ""
        yield from _streams(streams[:_STREAMS_MAX], columns)
        if len(streams) > _STREAMS_MAX:
            yield f"and {len(streams) - _STREAMS_MAX:,} more, none worse: --format json lists them all"
    yield from _section("gaps", (_gap(row, gap) for row in streams for gap in row["gaps"]))
    yield from _section("declared losses", (_loss(row, loss) for row in streams for loss in row["losses"]))
    if report["verdict"] != "complete":
        yield from _section("next", _next(streams, report.get("findings") or ()))


def _worst_first(row: Row) -> tuple[Any, ...]:
    trouble = row["state"] in _SILENT + _STALLED
    names = (row["tenant"], row["table"], row["agent"], row["source"], row["epoch"])
    return (-row["missing"], -row["lost"], not trouble, -row["pending"], *names)


def _headline(report: Row) -> Text:
    verdict, totals = report["verdict"], report["totals"]
    through = _seconds(report.get("through"))
    until = f"through {through or 'no time that can be said'}"
    match verdict:
        case "complete":
            words = f"every record that was claimed is accounted for, {until}"
        case "incomplete":
            words = (
                f"{totals['missing']:,} records missing, {totals['lost']:,} declared lost; settled {until}"
            )
        case _:
            words = f"nobody can vouch for the whole of the window; settled {until}"
    return Text.assemble(
        (verdict, _COLOURS.get(verdict, "bold")), f": {words}, as of {_seconds(report['as_of'])}"
    )


def _totals(totals: Row) -> str:
    """The equation of the books: where everything that was claimed is."""
    terms = [
        f"{name} {totals[name]:,}" for name in _TERMS if totals.get(name) or name in ("stored", "missing")
    ]
    return f"claimed {totals['claimed']:,} = {' + '.join(terms)}; journaled {totals['journaled']:,}"


def _streams(streams: list[Row], columns: int) -> Iterator[RenderableType]:
    """The streams as a table, without the counts that are 0 everywhere or as a list where it is too wide."""
    epochs = Counter(row["stream"] for row in streams)
    names = [(_table(row), _source(row, epochs[row["stream"]] > 1), row["state"]) for row in streams]
    told = tuple(name for name in _COUNTS if name in _ALWAYS or any(row[name] for row in streams))
    for counts in (_COUNTS, told):
        drawn = _drawn(streams, names, counts)
        if Console(width=10_000).measure(drawn).maximum <= columns:
            yield drawn
            return
    for row, (table, source, state) in zip(streams, names, strict=True):
        yield printable(f"{table} from {source}: {state}")
        yield "  " + ", ".join(f"{name} {row[name]:,}" for name in told if row[name] or name in _ALWAYS)


def _drawn(streams: list[Row], names: list[tuple[str, str, str]], counts: tuple[str, ...]) -> Table:
    drawn = Table(show_edge=False, pad_edge=False)
    for name in ("tenant/table", "agent/source", "state"):
        drawn.add_column(name, no_wrap=True)
    for name in counts:
        drawn.add_column(name, justify="right", no_wrap=True)
    for row, cells in zip(streams, names, strict=True):
        style = "red" if row["missing"] or row["lost"] else "yellow" if row["state"] in _SILENT else None
        texts = (Text(printable(cell)) for cell in cells)
        drawn.add_row(*texts, *(f"{row[name]:,}" for name in counts), style=style)
    return drawn


def _seconds(time: str | None) -> str | None:
    """A time without its fraction of a second."""
    return time and f"{time[:19]}Z"


def _table(row: Row) -> str:
    return f"{row['tenant']}/{row['table']}"


def _source(row: Row, with_epoch: bool = False) -> str:
    epoch = f" ({row['epoch'][:8]})" if with_epoch else ""
    return f"{row['agent']}/{row['source']}{epoch}"


def _finding(finding: Row) -> str:
    return f"{finding.get('kind')} since {_seconds(finding.get('opened'))}: {finding.get('text')}"


def _gap(row: Row, gap: Row) -> str:
    bracket = f"read between {_seconds(gap['not_before']) or '?'} and {_seconds(gap['not_after']) or '?'}"
    where = f"{_table(row)} from {_source(row)}"
    return f"[{gap['first']}, {gap['next']}) of {where}: {bracket}, gone: {gap['edge']}"


def _loss(row: Row, loss: Row) -> str:
    ranges = ", ".join(f"[{first}, {next_})" for first, next_ in loss["ranges"]) or "an unknown number"
    why = f"{loss['cause']}: {loss['evidence']}" if loss["evidence"] else loss["cause"]
    return f"{ranges} of {_table(row)} from {_source(row)}: {why}, declared {_seconds(loss['declared'])}"


def _next(streams: list[Row], findings: Iterable[Row]) -> Iterator[str]:
    """What to do about it, the most useful first."""
    if not streams:
        yield "nothing was ever sent here: check --tenant and --table, or send something with `gapless send`"
    gap = next(((row, gap) for row in streams for gap in row["gaps"]), None)
    if gap is not None:
        row, seqs = gap
        agents = _some(row["agent"] for row in streams if row["gaps"])
        yield f"what is known of one: {_showing(row, seqs)}"
        yield f"look on {agents}: what a spool still holds (`gapless agent status`) arrives by itself"
        yield f"what cannot be had any more: {_declaration(row, seqs)}"
    silent = [row["agent"] for row in streams if row["state"] in _SILENT]
    if silent:
        yield f"see that the agent runs on {_some(silent)}: nobody vouches for what it does not claim;"
        yield "if it is gone for good: gapless stream decommission --stream STREAM --reason TEXT"
    stalled = [row["agent"] for row in streams if row["state"] in _STALLED]
    if stalled:
        yield f"`gapless agent status` on {_some(stalled)} says what holds it up"
    if any(row.get("open_end") for row in streams):
        yield "an epoch whose end nothing tells stays unknown: see whether a spool was lost or restored;"
        yield "if nobody can say more: gapless epoch accept --tenant T --stream S --epoch E --reason TEXT"
    refused = [each["agent"] for each in findings if each.get("kind") == "refused_batches"]
    if refused:
        yield "what the gateway refuses stays in the spool, and is tried again:"
        yield f"`gapless agent status` on {_some(refused)} says why"
    if any(row["pending"] for row in streams) and not (gap or silent or stalled or refused):
        yield "what is pending is on its way: ask again in a moment"
    lost = [loss["not_after"] for row in streams for loss in row["losses"] if row["lost"]]
    if lost and not gap:
        later = max((time for time in lost if time), default=None)
        yield "what was declared lost stays so" + (f"; --from {later} looks past it" if later else "")


def _declaration(row: Row, gap: Row) -> str:
    which = {"tenant": row["tenant"], "stream": row["stream"], "epoch": row["epoch"]}
    seqs = f"{gap['first']}:{gap['next']}"
    return f"gapless loss declare {_options(which, range=seqs)} --reason TEXT"


def _showing(row: Row, gap: Row) -> str:
    which = {"tenant": row["tenant"], "table": row["table"]}
    identity = f"{row['stream']}/{row['epoch']}/{gap['first']}"
    return f"gapless show {_options(which, id=identity)}"


def _options(which: Row, **more: str) -> str:
    return " ".join(f"--{name} {shlex.quote(value)}" for name, value in {**which, **more}.items())


def _some(names: Iterable[str]) -> str:
    """The first few of ``names``, each once."""
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return ", ".join(distinct[:3]) + more


def _section(title: str, lines: Iterable[str]) -> Iterator[RenderableType]:
    listed = list(lines)
    if listed:
        yield ""
        yield Text(title, style="bold")
        yield from _listed(listed)


def _listed(lines: list[str]) -> Iterator[str]:
    for line in lines[:_LISTED_MAX]:
        yield f"  {printable(line)}"
    if len(lines) > _LISTED_MAX:
        yield f"  and {len(lines) - _LISTED_MAX:,} more: --format json lists them all"
