"""Endpoints: each says once what it is, and both its route and its description come from that.

So no route can be without a description. The document is OpenAPI 3.1, whose schemas are JSON Schema as
msgspec writes it for the very types that requests are decoded with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from gapless.gateway.problems import Handler

BINARY = "application/octet-stream"
JSON = "application/json"
TEXT = "text/plain"

_ERRORS = {
    400: "the request cannot be read",
    401: "no token, or one that is not accepted",
    403: "the token is not for this",
    404: "there is no such thing",
    408: "the body did not arrive in time",
    413: "too much at once: send less",
    422: "wrong as it is: do not send it again unchanged",
    415: "a content encoding that is not taken",
    429: "not now: send it again after Retry-After seconds",
    503: "something this depends on does not answer: send it again",
    504: "it took longer than it may",
}


class Failure(msgspec.Struct, frozen=True):
    """``code`` is for programs, ``text`` says what to do."""

    code: str
    text: str


class NotDone(msgspec.Struct, frozen=True):
    """The answer to a request that was not done."""

    error: Failure


class Endpoint(NamedTuple):
    """One method of one path. ``body`` and ``answer`` are types, or a media type for what is not JSON;
    ``errors`` are the statuses that it answers with besides ``status``, in the shape of ``failure``."""

    method: str
    path: str
    handler: Handler
    summary: str
    description: str = ""
    scope: str = ""
    body: Any = None
    answer: Any = None
    answer_text: str = "done"
    status: int = 200
    errors: tuple[int, ...] = ()
    failure: type = NotDone


def document(
    endpoints: Sequence[Endpoint],
    more_paths: Mapping[str, Mapping[str, Any]] | None = None,
    more_schemas: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The OpenAPI document of ``endpoints`` and of what others add: path items and named schemas."""
    types = [t for e in endpoints for t in (e.body, e.answer, e.failure) if _is_type(t)]
    types = list(dict.fromkeys([*types, NotDone]))
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schema_of)
    for path, item in (more_paths or {}).items():
        paths.setdefault(path, {}).update(item)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gapless",
            "version": "1",
            "summary": "Log collection that proves nothing is missing.",
        },
        "paths": paths,
        "components": {
            "schemas": {**components, **(more_schemas or {})},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": endpoint.summary, "responses": {}}
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.scope:
        operation["security"] = [{"token": []}]
        operation["description"] = f"{endpoint.description} Scope: {endpoint.scope}.".strip()
    names = [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")]
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": _content(endpoint.body, schema_of)}
    done: dict[str, Any] = {"description": endpoint.answer_text}
    if endpoint.answer is not None:
        done["content"] = _content(endpoint.answer, schema_of)
    operation["responses"][str(endpoint.status)] = done
    for status in sorted({*endpoint.errors, *((401, 403) if endpoint.scope else ())}):
        operation["responses"][str(status)] = {
            "description": _ERRORS[status],
            "content": _content(endpoint.failure, schema_of),
        }
    return operation


def _is_type(body: Any) -> bool:
    return body is not None and not isinstance(body, str) and body is not dict


def _content(body: Any, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    if isinstance(body, str):
        return {body: {}}
    if body is dict:
        return {JSON: {"schema": {"type": "object"}}}
    return {JSON: {"schema": schema_of[body]}}
