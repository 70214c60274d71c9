"""What holds a query's process, shown by queries that pry: they stand in for a taken-over engine."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec
import pytest
from query_lake import SECRET

from gapless.model.errors import Refused, Unavailable
from gapless.query.confine import landlock_version
from gapless.query.frames import Answered, Failed, Ready, header, read_frame
from gapless.query.request import QueryLimits, QueryRequest, TableFiles

_WORKER = """
import os, resource, sys
import msgspec
from gapless.query import worker
from gapless.query.request import QueryResult

class Prying:
    def __init__(self, request, connection):
        self.paths = [path for files in request.tables for path in files.paths]
        self.text = request.text

    def run(self):
        try:
            row = str(pry(self.text))
        except OSError as error:
            row = type(error).__name__
        rows = msgspec.Raw(msgspec.json.encode([[row]]))
        return QueryResult(columns=[], rows_json=rows, truncated=False, elapsed_us=1, scanned_files=0)

worker.Query = Prying
sys.exit(worker.main())
"""


def answers_of(prying: str, tables: tuple[TableFiles, ...], texts: list[str]) -> list[Answered | Failed]:
    """Have a worker answer ``texts``, each by the one row that ``prying``, a function's body, returns."""
    script = "def pry(text):\n" + textwrap.indent(textwrap.dedent(prying), "    ") + _WORKER
    limits = QueryLimits(memory_bytes_max=64 << 20)
    requests = [QueryRequest(text=text, language="sql", tables=tables, limits=limits) for text in texts]
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdin is not None and process.stdout is not None
        first = read_frame(process.stdout)
        assert first is not None
        msgspec.json.decode(first, type=Ready)
        for frame in map(msgspec.json.encode, requests):
            process.stdin.write(header(frame) + frame)
        process.stdin.close()
        answers = process.stdout
        frames = iter(lambda: read_frame(answers), None)
        found: list[Answered | Failed] = []
        for frame in frames:
            answer = msgspec.json.decode(frame, type=Answered | Failed)
            if isinstance(answer, Answered):
                rows = msgspec.Raw(next(frames))
                answer = Answered(msgspec.structs.replace(answer.result, rows_json=rows))
            found.append(answer)
        return found


def told(prying: str, tables: tuple[TableFiles, ...], text: str = "") -> str:
    (answer,) = answers_of(prying, tables, [text])
    assert isinstance(answer, Answered)
    return str(answer.result.rows[0][0])


@pytest.mark.skipif(not landlock_version(), reason="the kernel has no Landlock")
def test_a_query_process_opens_its_own_files_alone(
    tables: tuple[TableFiles, ...], lake: Path, secret_file: Path
) -> None:
    prying = "return open(text, 'rb').read()[:4]"
    assert told(prying, tables, tables[0].paths[0]) == "b'PAR1'"
    for path in (secret_file, lake / "theirs" / "notes.csv", Path("/etc/passwd"), Path("/proc/self/environ")):
        assert told(prying, tables, str(path)) == "PermissionError"


def test_a_query_process_writes_nothing(tables: tuple[TableFiles, ...], tmp_path: Path) -> None:
    assert told("return open(text, 'w').write('x') or 'written'", tables, str(tmp_path / "x")) != "written"
    assert told("return resource.getrlimit(resource.RLIMIT_FSIZE)", tables) == "(0, 0)"
    assert told("return resource.getrlimit(resource.RLIMIT_CORE)", tables) == "(0, 0)"


def test_a_query_process_gains_no_privilege(tables: tuple[TableFiles, ...]) -> None:
    get_no_new_privileges = 39
    prying = f"import ctypes\nreturn ctypes.CDLL(None).prctl({get_no_new_privileges}, 0, 0, 0, 0)"
    assert told(prying, tables) == "1"


def test_a_query_process_cannot_read_the_queries_of_others(tables: tuple[TableFiles, ...]) -> None:
    assert told("return os.readlink('/proc/self/fd/0')", tables) == "/dev/null"


def test_nothing_of_a_query_is_left_for_the_next(tables: tuple[TableFiles, ...]) -> None:
    prying = """
        seen = os.environ.get("LEFT")
        os.environ["LEFT"] = text
        return seen
    """
    for answer in answers_of(prying, tables, ["a", "b"]):
        assert isinstance(answer, Answered)
        assert answer.result.rows == [["None"]]


def test_what_a_library_prints_is_no_answer(tables: tuple[TableFiles, ...]) -> None:
    prying = """
        try:
            os.write(1, b"noise")
        except OSError:
            pass  # standard error, where it goes, may be a file
        return "answer"
    """
    assert told(prying, tables) == "answer"


@pytest.mark.parametrize(
    ("prying", "kind"),
    [
        ("raise MemoryError", Unavailable),
        ("raise ValueError(text)", Unavailable),
        ("raise worker.GaplessError(text)", Unavailable),
        ("from gapless.model.errors import Refused\nraise Refused('no')", Refused),
    ],
)
def test_a_failure_is_told_by_its_kind(tables: tuple[TableFiles, ...], prying: str, kind: type[Any]) -> None:
    (answer,) = answers_of(prying, tables, [SECRET])
    assert isinstance(answer, Failed)
    assert isinstance(answer.error(), kind)


def test_an_end_without_an_answer_ends_the_worker(tables: tuple[TableFiles, ...]) -> None:
    assert answers_of("os._exit(3)", tables, ["a", "b"]) == []
