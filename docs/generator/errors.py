"""errors.md: the kinds of failure and their stable codes."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import gapless
from gapless.cli import main
from gapless.gateway.answers import Forked
from gapless.gateway.problems import status_of
from gapless.model.errors import Busy, Corrupt, GaplessError, Misconfigured, Refused, Unavailable
from gapless.query.failures import BadMeaning, BadSyntax, OutOfMemory, OutOfTime
from generator.markdown import page, prose, table
from generator.platform import served

_EXAMPLES = (Refused("-"), Busy("-"), Unavailable("-"), Corrupt("-"), Misconfigured(["-"]))

_QUERIES_REFUSED = (BadSyntax("-"), BadMeaning("-"), OutOfTime("-"), OutOfMemory("-"))

#: Packages whose Problems are answers over HTTP.
_SPEAKING = ("gateway", "platform")

#: What to do about each code that is no kind's.
ADVICE = {
    "AuthenticationFailed": "There is no Authorization header: send a token. At the Log Analytics endpoints, "
    "in that API's shape; what else they refuse has its codes, too.",
    "ContentLengthLimitExceeded": "The upload is over the limit, before or after decompression: send fewer "
    "records at a time. In Azure's shape, as are the other four in camel case.",
    "InvalidPayload": "The upload is not a JSON array of objects, or not what its Content-Encoding says: "
    "correct it.",
    "InvalidStream": "The rule has no such stream: `gapless dcr show` lists those that it has.",
    "OperationFailed": "The token is not for this rule or table, or there is no such rule.",
    "UnsupportedContentEncoding": "Send the upload with Content-Encoding gzip, or with none.",
    "body": "The body is not the JSON that is expected here: correct it.",
    "fork": "Other bytes were received before under the same seqs: open a new epoch. Never at HTTP level; in "
    "a result of `POST /v1/batches`.",
    "forbidden": "The token is known, but not for this scope, tenant or table: use another.",
    "invalid_client": "The client or its secret is unknown or revoked: make one with "
    "`gapless token create --client`. At the token endpoints, in their own shape.",
    "unsupported_grant_type": "The token endpoint gives tokens for client_credentials alone. In OAuth's own "
    "shape.",
    "http": "Any other error of the HTTP server, with its own status: see `text`.",
    "method": "The path does not take this method: see `/v1/openapi.json`.",
    "not_found": "There is no such path or thing: see `/v1/openapi.json`, or list what there is.",
    "query_memory": "The query needs more memory than it may: narrow its window, or aggregate before you "
    "sort and join.",
    "query_semantics": "The query names what is not there, or what is not supported: `text` says where.",
    "query_syntax": "The query cannot be read: `text` says where.",
    "query_timeout": "The query took longer than it may: narrow its window, or filter before you join.",
    "timeout": "The body did not arrive in time: send it again.",
    "too_large": "The body is over the limit: send less at a time.",
    "too_many": "There are too many batches in one body: send fewer.",
    "unauthorized": "There is no token, or it is unknown or revoked: send one that is accepted.",
    "unexpected": "A defect. `text` holds an id; the traceback stands beside it in the platform's log. "
    "Retry, and report it.",
}

_EXIT_CODES = (
    (0, "Done. `audit`: the window is complete."),
    (1, "`audit`: the window is incomplete. `drill run`: it did not show what it claims."),
    (
        main.REFUSED,
        "Refused or misconfigured, or a file that cannot be used: correct it. `audit`: also that nobody can "
        "know whether the window is complete.",
    ),
    (main.UNAVAILABLE, "Busy or unavailable, or the system refused something: the same may succeed later."),
    (main.CORRUPT, "Corrupt: stop, and audit."),
    (main.DEFECT, "A defect: report it with the command."),
    (130, "Interrupted."),
)


def errors_page() -> str:
    return page(
        "Errors",
        "Every error is one sentence that says what to do. Commands print it to standard error; the HTTP API "
        "answers with it as `text`, beside a `code` for programs.",
        "## Kinds",
        table(("kind", "what to do", "code", "HTTP status", "exit code"), map(_kind, _EXAMPLES)),
        "A configuration is checked at start, so `misconfigured` is never an answer over HTTP. With 429 "
        "and 503 comes `Retry-After`, in seconds.",
        "## Codes of HTTP answers",
        table(("code", "HTTP status", "what to do"), [(f"`{c}`", s, ADVICE.get(c, "")) for c, s in codes()]),
        "## Exit codes",
        table(("exit code", "meaning"), [(str(code), text) for code, text in _EXIT_CODES]),
    )


def codes() -> list[tuple[str, str]]:
    """Every code that is no kind's, with the HTTP statuses it comes with, as text."""
    found: dict[str, set[int]] = {Forked.code: set(), "http": set(), "unexpected": {500}}
    found |= {refusal.code: {status_of(refusal)} for refusal in _QUERIES_REFUSED}
    for status, code in (*_problems(), *served().strays):
        found.setdefault(code, set()).add(status)
    return [(code, ", ".join(map(str, sorted(found[code])))) for code in sorted(found)]


def _problems() -> Iterator[tuple[int, str]]:
    """Status and code of every ``Problem(status, code, text)`` in the code."""
    [root] = gapless.__path__
    for package in _SPEAKING:
        for path in sorted(Path(root, package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                match node:
                    case ast.Call(
                        func=ast.Name(id="Problem"),
                        args=[ast.Constant(value=int(status)), ast.Constant(value=str(code)), *_],
                    ):
                        yield status, code


def _kind(error: GaplessError) -> tuple[str, ...]:
    status = "" if isinstance(error, Misconfigured) else str(status_of(error))
    text = prose(inspect.getdoc(type(error)) or "")
    return type(error).__name__, text, f"`{error.code}`", status, str(main._code(error))
