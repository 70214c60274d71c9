"""A drill as a process: nothing of it is left behind, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gapless.cli.main import run
from gapless.drills.act import Act, ActPlan
from gapless.drills.microsoft_2024_09 import now
from gapless.drills.outcome import ActOutcome
from gapless.drills.tenant import AgentPlan
from gapless.drills.workload import generate
from gapless.model.claim import Restart
from waiting import until

COMMAND = (sys.executable, "-c", "from gapless.cli.main import main; main()", "drill")


def processes_of(directory: Path) -> Iterator[int]:
    """Those that were started with a path below ``directory``."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(directory) in (entry / "cmdline").read_bytes():
                yield int(entry.name)
        except (FileNotFoundError, ProcessLookupError):
            pass


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_all_processes_end_with_the_drill(tmp_path: Path, number: signal.Signals) -> None:
    drill = subprocess.Popen(
        [*COMMAND, "run", "microsoft-2024-09"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    try:
        assert drill.stderr is not None
        for line in drill.stderr:
            if b"all is well" in line:  # one platform runs, with its agents; the next is being started
                break
        assert len(list(processes_of(tmp_path))) > 6
        drill.send_signal(number)
        out, _ = drill.communicate(timeout=60)
    finally:
        drill.kill()
        drill.communicate()
    assert out == b""
    until(lambda: not list(processes_of(tmp_path)))
    if number != signal.SIGKILL:
        assert drill.returncode == 130
        assert not list(tmp_path.iterdir())


@pytest.mark.case("T8", "microsoft-2024-09")
@pytest.mark.system
def test_the_product_notices_the_fault_and_repairs_it_without_loss(tmp_path: Path) -> None:
    records = generate(("contoso",), records_per_log=20, seed=1, start_us=time.time_ns() // 1000)
    said: list[str] = []
    plan = ActPlan(AgentPlan("now", {"when_full": "block"}, stalled_s=9.0), books=True)

    async def play() -> ActOutcome:
        async with Act("now", plan, tmp_path, records, said.append) as act:
            await act.start()
            await now(act)
            return await act.outcome()

    outcome = asyncio.run(play())
    assert (outcome.emitted, outcome.stored) == (20 * len(records), 20 * len(records)), said
    assert (outcome.missing, outcome.declared_lost, outcome.duplicates, outcome.strangers) == (0, 0, 0, 0)
    assert outcome.exact and outcome.verdicts == {"contoso": "complete"}
    assert outcome.noticed_after_s is not None and outcome.repaired_after_s is not None
    restarts = (tmp_path / "contoso" / "data" / "restarts.json").read_bytes()
    assert "uploader" in {each.child for each in msgspec.json.decode(restarts, type=tuple[Restart, ...])}


def test_the_drills_are_listed(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["drill", "list"]) == 0
    assert b"microsoft-2024-09" in capfdbinary.readouterr().out


def test_what_cannot_be_run_is_refused_in_a_sentence(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["drill", "run", "nope"]) == 2
    assert b"microsoft-2024-09" in capfdbinary.readouterr().err
    (tmp_path / "file").touch()
    assert run(["drill", "run", "microsoft-2024-09", "--keep", str(tmp_path)]) == 2
    assert b"not empty" in capfdbinary.readouterr().err
