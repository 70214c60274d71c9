"""Standard streams that are closed, full, or no longer read; and Ctrl-C. Each needs a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

GAPLESS = f"{sys.executable} -c 'from gapless.cli.main import main; main()'"
GENERATE = f"{GAPLESS} services generate sentinel --records 20000"


def shell(script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GAPLESS_")}
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=kept, cwd=tmp_path, timeout=60
    )


@pytest.mark.parametrize(
    ("script", "code", "says"),
    [
        (f"{GENERATE} | head -n 1 >/dev/null; exit ${{PIPESTATUS[0]}}", 0, ""),
        (f"{GENERATE} >&-", 3, "standard output is closed"),
        (f"{GENERATE} >/dev/full", 3, "No space left"),
        (f"{GAPLESS} send --tenant t --table A_CL --token x - <&-", 2, "standard input is closed"),
    ],
)
def test_one_sentence_whatever_becomes_of_the_streams(
    script: str, code: int, says: str, tmp_path: Path
) -> None:
    done = shell(script, tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr and done.stderr.count("\n") == (1 if says else 0)


def test_words_never_go_where_data_go(tmp_path: Path) -> None:
    done = shell(f"{GAPLESS} audit --data {tmp_path}/none 2>&-", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


def test_an_output_that_cannot_hold_every_letter_gets_the_rest_as_code_points(tmp_path: Path) -> None:
    done = shell(f"PYTHONIOENCODING=ascii {GAPLESS} services list", tmp_path)
    assert done.returncode == 0 and "SigninLogs" in done.stdout and done.stdout.isascii()


def test_ctrl_c_leaves_no_traceback() -> None:
    command = [sys.executable, "-c", "from gapless.cli.main import main; main()"]
    arguments = ["services", "generate", "sentinel", "--records", "100000000"]
    with subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Who started the tests in the background may have had the signal ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None and process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=30)
    assert (process.returncode, words) == (130, b"")
