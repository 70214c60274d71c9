"""An audit as people read it: the verdict and why first, what to do last, whatever the terminal."""

from __future__ import annotations

import io
import shlex
from contextlib import redirect_stdout
from typing import Any

import pytest

from gapless.cli.audit_report import report_parts
from gapless.cli.output import draw

COUNTS = ("claimed", "journaled", "stored", "quarantined", "lost", "pending", "missing")
GAP = {
    "first": 100,
    "next": 120,
    "not_before": "2024-09-02T22:00:00.000000Z",
    "not_after": None,
    "edge": "spool to journal",
}


def stream(number: int, **changed: Any) -> dict[str, Any]:
    row = {
        "tenant": "contoso", "table": "SigninLogs", "agent": f"host-{number}", "source": "entra.json",
        "stream": f"{number:032x}", "epoch": f"{number + 1:032x}", "state": "quiet",
        "claimed": 12345, "journaled": 12345, "stored": 12345, "quarantined": 0, "lost": 0, "pending": 0,
        "missing": 0, "watermark": None, "unclosed": False, "open_end": None,
        "gaps": [], "losses": [],
    }  # fmt: skip
    return row | changed


def report(rows: list[dict[str, Any]], verdict: str, **more: Any) -> dict[str, Any]:
    return {
        "as_of": "2024-09-02T23:00:05.000000Z",
        "verdict": verdict,
        "through": "2024-09-02T22:58:01.000000Z",
        "reasons": [],
        "totals": {name: sum(row[name] for row in rows) for name in COUNTS},
        "streams": rows,
        **more,
    }


def printed(audit: dict[str, Any], columns: int) -> str:
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with redirect_stdout(out):
        draw(*report_parts(audit, columns))
    assert isinstance(out.buffer, io.BytesIO)
    return out.buffer.getvalue().decode()


@pytest.mark.parametrize("columns", [30, 60, 80, 120, 200])
@pytest.mark.parametrize("streams", [1, 60])
def test_nothing_is_cut_off_whatever_the_terminal(columns: int, streams: int) -> None:
    rows = [stream(number) for number in range(streams)]
    rows[-1] |= {"missing": 20, "stored": 12325, "gaps": [GAP]}
    text = printed(report(rows, "incomplete"), columns)
    assert all(f"{row['agent']}/entra.json" in text for row in rows)
    assert "12,325" in text and "…" not in text


def test_the_verdict_comes_first_and_what_to_do_last() -> None:
    rows = [stream(1), stream(2, missing=20, gaps=[GAP])]
    lines = printed(report(rows, "incomplete", reasons=["20 records missing"]), 200).splitlines()
    assert lines[0].startswith("incomplete: 20 records missing") and lines[1] == "  20 records missing"
    assert "2024-09-02T22:58:01Z" in lines[0]
    assert lines.index("next") > lines.index("gaps")
    worst, fine = (next(at for at, line in enumerate(lines) if f"host-{n}/" in line) for n in (2, 1))
    assert worst < fine


def test_the_commands_to_run_next_can_be_pasted() -> None:
    text = printed(report([stream(2, missing=20, gaps=[GAP])], "incomplete"), 60)
    commands = [line.partition(": ")[2] for line in text.splitlines() if ": gapless " in line]
    shown, declared = (shlex.split(command) for command in commands)
    assert shown[:2] == ["gapless", "show"] and shown[-1] == f"{2:032x}/{3:032x}/100"
    assert declared[declared.index("--range") + 1] == "100:120"


def test_complete_needs_nothing_to_be_done() -> None:
    text = printed(report([stream(1)], "complete"), 200)
    assert text.startswith("complete: ") and "\nnext" not in text and "gaps" not in text


def test_no_streams_at_all_says_what_to_look_at() -> None:
    text = printed(report([], "unknown"), 80)
    assert text.startswith("unknown: ") and "gapless send" in text


def test_silence_names_the_agents() -> None:
    rows = [stream(number, state="agent silent") for number in range(5)]
    text = printed(report(rows, "unknown"), 200)
    assert "host-0, host-1, host-2 and 2 more" in text


def test_what_the_gateway_refuses_is_not_called_on_its_way() -> None:
    finding = {
        "kind": "refused_batches",
        "agent": "host-1",
        "text": "refused",
        "opened": "2024-09-02T22:58:01Z",
    }
    rows = [stream(1, pending=30, stored=12315), stream(2)]
    text = printed(report(rows, "unknown", findings=[finding]), 200)
    assert "on its way" not in text and "`gapless agent status` on host-1 says why" in text
    assert "on its way" in printed(report(rows, "unknown"), 200)


def test_findings_are_shown_where_there_are_some_and_lists_are_cut() -> None:
    finding = {"kind": "gap", "text": "it is gone", "opened": "2024-09-02T22:58:01.000000Z"}
    text = printed(report([stream(1)], "complete", findings=[finding] * 12), 200)
    assert text.count("gap since 2024-09-02T22:58:01Z: it is gone") == 10 and "and 2 more" in text
    assert "findings" not in printed(report([stream(1)], "complete"), 200)


def test_words_from_elsewhere_cannot_drive_the_terminal() -> None:
    loss = {"id": "x", "cause": "operator", "ranges": [], "declared": None, "evidence": "\x1b[2J\u202e"}
    loss["not_after"] = None
    text = printed(report([stream(1, lost=3, losses=[loss])], "incomplete", reasons=["\x1b]0;x\x07"]), 200)
    assert not set(text) & {"\x1b", "\x07", "\u202e"} and "\\u{1b}[2J" in text


def test_epochs_of_one_stream_are_told_apart() -> None:
    rows = [stream(1, epoch="a" * 32), stream(1, epoch="b" * 32)]
    text = printed(report(rows, "complete"), 200)
    assert "(aaaaaaaa)" in text and "(bbbbbbbb)" in text
