"""http.md: the HTTP API, from the OpenAPI document that the platform serves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import gapless.log.frame
from generator.markdown import page, prose, table
from generator.platform import served

_METHODS = ("get", "post", "put", "patch", "delete")


def http_page() -> str:
    document = served().openapi
    operations = [_operation(path, method, said) for path, method, said in _operations(document)]
    schemas = document["components"]["schemas"]
    layout = inspect.getdoc(gapless.log.frame) or ""
    return page(
        "HTTP API",
        "The platform serves this description of itself at `/v1/openapi.json` (OpenAPI "
        f"{document['openapi']}). Tokens go into `Authorization: Bearer ...`. What could not be done is "
        'answered with `{"error": {"code", "text"}}`; the codes are in [errors.md](errors.md). Times are '
        "integers, microseconds since the Unix epoch, where a name ends in `_us`.",
        table(
            ("request", "what it does"),
            [(f"`{m.upper()} {p}`", str(said["summary"])) for p, m, said in _operations(document)],
        ),
        "## Errors",
        _failures(document),
        *operations,
        "## The frames of POST /v1/batches",
        f"```text\n{layout}\n```",
        "## Schemas",
        *(_schema(name, schemas[name]) for name in sorted(schemas)),
    )


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, item in sorted(document["paths"].items()):
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _operation(path: str, method: str, said: Mapping[str, Any]) -> str:
    parts = [f"## {method.upper()} {path}", prose(f"{said['summary']}. {said.get('description', '')}")]
    if "requestBody" in said:
        parts.append(f"Body: {_content(said['requestBody'])}")
    failures = []
    for status, answer in sorted(said["responses"].items()):
        if int(status) < 400:
            parts.append(f"Answer: {status}, {answer['description']}. {_content(answer)}".rstrip())
        else:
            failures.append(status)
    if failures:
        parts.append(f"Errors: {', '.join(failures)}.")
    return "\n\n".join(parts)


def _failures(document: Mapping[str, Any]) -> str:
    """What the statuses of errors mean: the same for every request."""
    meanings = {
        (status, str(answer["description"]))
        for _, _, said in _operations(document)
        for status, answer in said["responses"].items()
        if int(status) >= 400
    }
    return table(("status", "meaning"), sorted(meanings))


def _content(said: Mapping[str, Any]) -> str:
    contents = said.get("content", {})
    return ", ".join(
        f"{_type(body['schema'])}" if "schema" in body else f"`{media}`" for media, body in contents.items()
    )


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    parts = [f"### {name}"]
    if "description" in schema:
        parts.append(prose(schema["description"]))
    rows = []
    for field, kind in schema.get("properties", {}).items():
        needed = field in schema.get("required", ())
        default = "required" if needed else _default(kind)
        rows.append((f"`{field}`", _type(kind), default))
    if rows:
        parts.append(table(("field", "type", "default"), rows))
    else:
        parts.append(f"A JSON {_type(schema)}.")
    return "\n\n".join(parts)


def _default(kind: Mapping[str, Any]) -> str:
    return f"`{kind['default']!r}`" if "default" in kind else "may be absent"


def _type(kind: Mapping[str, Any]) -> str:
    """A JSON schema in words."""
    if "$ref" in kind:
        name = kind["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "enum" in kind:
        return " or ".join(f'`"{value}"`' for value in kind["enum"])
    if "anyOf" in kind:
        return " or ".join(_type(each) for each in kind["anyOf"])
    if "prefixItems" in kind:
        return f"array of {', '.join(_type(each) for each in kind['prefixItems'])}"
    if kind.get("type") == "array":
        return f"array of {_type(kind.get('items', {}))}"
    return str(kind.get("type", "any JSON value"))
