"""A warm query worker: ``python -m gapless.query.worker``, spoken to over its standard input and output.

It holds an engine that is ready to go, and forks for each query: so a query starts in a few milliseconds,
in a process of its own that nothing of another query is or was in, and that ends with it. The worker itself
reads no text and no file of anybody.
"""

from __future__ import annotations

import os
import sys
from typing import IO, NoReturn

import duckdb
import msgspec

from gapless.model.errors import GaplessError, Unavailable
from gapless.query.check import check
from gapless.query.confine import allow_only_reading, die_with_parent, landlock_version, limit_resources
from gapless.query.engine import Query
from gapless.query.frames import Answered, Failed, Ready, header, read_frame
from gapless.query.languages import prepare
from gapless.query.request import QueryRequest, QueryResult
from gapless.query.sandbox import open_connection

#: What a process needs beside its query and its answer: stacks, the interpreter.
_OVERHEAD_BYTES = 192 << 20

#: How many times the answer is in memory at the most: by rows, as one array, in its frame, and half done.
_ANSWER_COPIES = 4

#: Room for as deeply nested expressions as the engine's parser lets through (1,000, several frames each).
_RECURSION_MAX = 10_000


def main() -> int:
    """Serve queries until standard input ends. Returns the status to exit with."""
    die_with_parent(os.getppid())
    sys.setrecursionlimit(_RECURSION_MAX)
    queries, answers = sys.stdin.buffer, _take_standard_output()
    connection = open_connection()
    check(connection, "SELECT 1", ())  # what the engine prepares at its first use, all forks have then
    prepare()
    _send(answers, msgspec.json.encode(Ready(landlock_version())))
    while (frame := read_frame(queries)) is not None:
        worker_pid = os.getpid()
        query_pid = os.fork()
        if query_pid == 0:
            _answer_and_exit(worker_pid, connection, frame, answers)
        _, status = os.waitpid(query_pid, 0)
        if status:
            # The query's process may have died with half an answer sent: the pipe cannot be used again.
            return 1
    return 0


def _take_standard_output() -> IO[bytes]:
    """Standard output for answers alone: what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _answer_and_exit(
    worker_pid: int, connection: duckdb.DuckDBPyConnection, frame: bytes, answers: IO[bytes]
) -> NoReturn:
    status = 1
    try:
        die_with_parent(worker_pid)
        _forget_standard_input()
        for payload in _answer(connection, frame):
            _send(answers, payload)
        status = 0
    finally:
        # No cleaning up: the engine's threads end with the process, and nothing is to be kept.
        os._exit(status)


def _forget_standard_input() -> None:
    """The queries of others come in over it."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _answer(connection: duckdb.DuckDBPyConnection, frame: bytes) -> tuple[bytes, ...]:
    """The frames of the answer."""
    answered = _answered(connection, frame)
    if isinstance(answered, Failed):
        return (msgspec.json.encode(answered),)
    bare = msgspec.structs.replace(answered, rows_json=msgspec.Raw(b"[]"))
    return msgspec.json.encode(Answered(bare)), bytes(answered.rows_json)


def _answered(connection: duckdb.DuckDBPyConnection, frame: bytes) -> QueryResult | Failed:
    try:
        request = msgspec.json.decode(frame, type=QueryRequest)
        limits = request.limits
        limit_resources(limits.memory_bytes_max + _ANSWER_COPIES * limits.result_bytes_max + _OVERHEAD_BYTES)
        # All forks have the same state of the random generator: each needs a seed of its own.
        connection.execute("SELECT setseed($1)", [int.from_bytes(os.urandom(6)) / 2**48])
        query = Query(request, connection)
        allow_only_reading(query.paths)
        return query.run()
    except GaplessError as error:
        return Failed.of(error)
    except FileNotFoundError:
        return Failed.of(Unavailable("a data file was replaced while the query began: run it again"))
    except MemoryError:
        return Failed.of(Unavailable("the query process ran out of memory: narrow --from and --to"))
    except Exception as error:
        return Failed.of(
            Unavailable(f"the query process failed ({type(error).__name__}): run the query again")
        )


def _send(answers: IO[bytes], payload: bytes) -> None:
    answers.write(header(payload))
    answers.write(payload)
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
