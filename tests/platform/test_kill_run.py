"""Everything is killed, again and again, in any order, while files are written and rotated: in the end every
record is stored exactly once, by the ids that the records carry, and the audit says complete.

``GAPLESS_KILL_RUN_RECORDS``, ``GAPLESS_KILL_RUN_FILES`` and ``GAPLESS_KILL_RUN_S`` (for how long it is
written and killed) make it as large as one likes; ``make kill-run`` is a million records over fifty files.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random

import pytest
from platform_rig import SQL, Process, cli, free_port

from waiting import until

RECORDS = int(os.environ.get("GAPLESS_KILL_RUN_RECORDS", 24_000))
FILES = int(os.environ.get("GAPLESS_KILL_RUN_FILES", 8))
WRITING_S = float(os.environ.get("GAPLESS_KILL_RUN_S", 12))
SEED = int(os.environ.get("GAPLESS_KILL_RUN_SEED", 20240902))
LINES_PER_FILE_MAX = 5_000  # then it is rotated
PAD = "x" * 200
SETTLE_S = 60 + RECORDS / 5_000


class Files:
    """Writes dense numbers into files, in pieces that do not end where lines end, and rotates them."""

    def __init__(self, directory: Path, random: Random) -> None:
        self._directory = directory
        self._random = random
        self._written = [0] * FILES
        self._in_file = [0] * FILES

    def write_some(self) -> int:
        """Append to one file; return how many records are begun in all."""
        at = self._random.randrange(FILES)
        left = RECORDS // FILES - self._written[at]
        count = min(left, self._random.randint(1, 400))
        first = self._written[at]
        lines = b"".join(
            b'{"file":%d,"n":%d,"pad":"%s"}\n' % (at, n, PAD.encode()) for n in range(first, first + count)
        )
        cut = self._random.randint(0, len(lines))
        with self._path(at).open("ab", buffering=0) as file:
            file.write(lines[:cut])
            time.sleep(0.001)  # somebody may read what ends in the middle of a line
            file.write(lines[cut:])
        self._written[at] += count
        self._in_file[at] += count
        if self._in_file[at] >= LINES_PER_FILE_MAX:
            self._rotate(at)
        return sum(self._written)

    def _rotate(self, at: int) -> None:
        path = self._path(at)
        generations = sorted(self._directory.glob(f"{path.name}.*"), key=lambda p: -int(p.suffix[1:]))
        for old in generations:
            old.rename(path.with_name(f"{path.name}.{int(old.suffix[1:]) + 1}"))
        path.rename(path.with_name(f"{path.name}.1"))
        self._in_file[at] = 0

    def _path(self, at: int) -> Path:
        return self._directory / f"app-{at}.log"


@contextmanager
def killing(processes: list[Process], random: Random, every_s: tuple[float, float]) -> Iterator[list[str]]:
    """Kills at random until the block is left."""
    killed: list[str] = []
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(random.uniform(*every_s)):
            killed.append(random.choice(processes).kill_one(random))

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def _configured(tmp_path: Path, port: int, token: str) -> Path:
    (tmp_path / "token").write_text(token)
    path = tmp_path / "agent.toml"
    path.write_text(
        f"""
[agent]
name = "host-7"
data_dir = "{tmp_path}/agent"
[gateway]
urls = ["http://127.0.0.1:{port}", "http://localhost:{port}"]
token_file = "{tmp_path}/token"
[spool]
size_bytes_max = 1_073_741_824
segment_bytes_max = 1_048_576
[[source]]
type = "file"
paths = ["{tmp_path}/logs/app-*.log*"]
tenant = "contoso"
table = "App_CL"
"""
    )
    return path


@pytest.mark.system
def test_whatever_is_killed_every_record_is_stored_once(tmp_path: Path) -> None:
    random, data = Random(SEED), tmp_path / "data"
    port = free_port()
    (tmp_path / "logs").mkdir()
    with ExitStack() as ended:
        platform = Process(["up", "--listen", f"127.0.0.1:{port}"], data, tmp_path / "up.log")
        ended.callback(platform.kill)
        token = _patiently(
            lambda: cli("token", "create", "--tenant", "contoso", "--scope", "ingest", data=data)
        )
        config = _configured(tmp_path, port, token)
        agent = Process(["agent", "run", "--config", str(config)], data, tmp_path / "agent.log")
        ended.callback(agent.kill)
        files = Files(tmp_path / "logs", random)
        with killing([platform, agent, agent], Random(SEED + 1), (0.5, 3.0)) as killed:
            began_s = time.monotonic()
            while (written := files.write_some()) < RECORDS // FILES * FILES:
                time.sleep(max(0.0, began_s + WRITING_S * written / RECORDS - time.monotonic()))
            until(lambda: len(killed) >= WRITING_S / 3)
        text = (
            "select (Data->>'$.file')::int f, count(*), count(distinct Data->>'$.n'), "
            "min((Data->>'$.n')::int), max((Data->>'$.n')::int) from App_CL group by 1 order by 1"
        )
        each = RECORDS // FILES
        wanted = [[at, each, each, 0, each - 1] for at in range(FILES)]
        found: list[object] = []

        def stored() -> bool:
            code, out, _ = cli(*SQL, "--tenant", "contoso", "--format", "json", text, data=data)
            found[:] = json.loads(out)["rows"] if code == 0 else []
            return found == wanted

        with suppress(AssertionError):
            until(stored, SETTLE_S)
        assert found == wanted
        until(lambda: cli("audit", "--tenant", "contoso", data=data)[0] == 0)
        code, out, words = cli("audit", "--tenant", "contoso", "--format", "json", data=data)
        totals = json.loads(out)["totals"]
        assert code == 0, words
        assert (totals["stored"], totals["missing"], totals["lost"], totals["pending"]) == (
            each * FILES, 0, 0, 0,
        )  # fmt: skip


def _patiently(attempt: Callable[[], tuple[int, bytes, str]]) -> str:
    answers: list[str] = []

    def answered() -> bool:
        code, out, _ = attempt()
        answers.append(out.decode().strip())
        return code == 0

    until(answered)
    return answers[-1]
