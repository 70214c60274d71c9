"""What the HTTP API answers when it does not do what was asked: ``{"error": {"code", "text"}}``."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any
from uuid import uuid4

import msgspec
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gapless.model.errors import Busy, Corrupt, GaplessError, Refused, Unavailable

_log = structlog.get_logger("gapless.gateway")

_TEXT_CHARACTERS_MAX = 600

Handler = Callable[[Request], Awaitable[Response]]


class Problem(Refused):
    """A refusal with an HTTP status and a code of its own. ``challenge`` says with 401 how to introduce
    oneself (RFC 9110, 11.6.1)."""

    challenge = "Bearer"

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``content`` as JSON; Structs are written by msgspec."""
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


def status_of(error: GaplessError) -> int:
    """The HTTP status that says what the caller should do about ``error``."""
    match error:
        case Problem():
            return error.status
        case Corrupt():
            return 400
        case Refused():
            return 422
        case Busy():
            return 429
        case Unavailable():
            return 503
        case _:
            return 500


def text_of(error: GaplessError) -> str:
    """What ``error`` says, cut where it quotes too much of what was sent."""
    text = str(error)
    return text if len(text) <= _TEXT_CHARACTERS_MAX else text[:_TEXT_CHARACTERS_MAX] + " ..."


#: From a code, for programs, and a text, for people, to the content of an answer.
Shape = Callable[[str, str], object]


def plain_shape(code: str, text: str) -> object:
    """How Gapless' own API says what it did not do."""
    return {"error": {"code": code, "text": text}}


def problem_response(error: GaplessError, shape: Shape = plain_shape) -> Response:
    """The answer that says what the caller should do about ``error``."""
    status = status_of(error)
    headers: dict[str, str] = {}
    if isinstance(error, Busy):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    elif status == 503:
        headers["Retry-After"] = "1"
    elif status == 401 and isinstance(error, Problem):
        headers["WWW-Authenticate"] = error.challenge
    return json_response(shape(error.code, text_of(error)), status, headers)


def unexpected_response(error: Exception, shape: Shape = plain_shape) -> Response:
    """The answer to a defect: an id that stands beside the traceback in the log, and nothing else."""
    incident = uuid4().hex[:12]
    _log.error("unexpected", incident=incident, exc_info=error)
    text = f"the platform failed at this request: retry it, and give its operator the id {incident}"
    return json_response(shape("unexpected", text), 500)


def guarded(
    handler: Handler, refused: Callable[[str], None] = lambda code: None, shape: Shape = plain_shape
) -> Handler:
    """``handler`` with every failure turned into its answer, of that ``shape``; no traceback leaves.
    ``refused`` is told the code of each."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except GaplessError as error:
            refused(error.code)
            return problem_response(error, shape)
        except ClientDisconnect:
            refused("disconnected")
            return Response(status_code=499)  # nobody reads it
        except Exception as error:
            refused("unexpected")
            return unexpected_response(error, shape)

    return answer


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts = {404: "there is nothing at this path", 405: "this path does not take this method"}
    text = texts.get(error.status_code, error.detail) + ": see /v1/openapi.json"
    codes = {404: "not_found", 405: "method"}
    code = codes.get(error.status_code, "http")
    return json_response({"error": {"code": code, "text": text}}, error.status_code, error.headers)


def problem_handlers() -> dict[Any, Any]:
    """Starlette ``exception_handlers`` for what no route of ours answers (404, 405)."""
    return {HTTPException: _http_problem}
