"""The API's description says what the API is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gapless.gateway.routes import ingest_routes

from .support import Platform, batch, platform


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Platform]:
    with platform(tmp_path) as running:
        yield running


def test_every_route_is_described_and_nothing_else(running: Platform) -> None:
    described = running.get("/v1/openapi.json").json()["paths"]
    routes = {
        (route.path, method.lower())
        for route in ingest_routes(running.gateway)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert {(path, method) for path, item in described.items() for method in item} == routes
    assert ("/v1/batches", "post") in routes


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_description_hangs_together(running: Platform) -> None:
    document = running.get("/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    assert set(references(document)) == {f"#/components/schemas/{name}" for name in schemas}
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation["summary"] and operation["responses"]
            assert all(response["description"] for response in operation["responses"].values())
            if path.startswith("/v1/"):  # elsewhere, clients identify themselves in other ways
                assert ("security" in operation) == ("401" in operation["responses"])


def test_what_needs_a_token_is_what_the_description_says(running: Platform) -> None:
    paths = running.get("/v1/openapi.json").json()["paths"].items()
    for path, item in ((path, item) for path, item in paths if path.startswith("/v1/")):
        for method, operation in item.items():
            answer = running.request(method, path.replace("{id}", "x"))
            assert (answer.status_code == 401) == ("security" in operation)


def test_answers_are_of_the_schema_they_are_said_to_be(running: Platform) -> None:
    schemas = running.get("/v1/openapi.json").json()["components"]["schemas"]
    result = running.results(batch(0, 10))[0]
    assert set(result) <= set(schemas["Result"]["properties"])
    assert set(running.get("/healthz").json()) == set(schemas["Health"]["properties"])
    assert set(running.get("/v1/nothing").json()["error"]) == set(schemas["Failure"]["properties"])


def test_others_add_their_paths(running: Platform) -> None:
    item = {"get": {"summary": "Ask", "responses": {"200": {"description": "an answer"}}}}
    routes = ingest_routes(
        running.gateway, more_paths={"/v1/query": item}, more_schemas={"Answer": {"type": "object"}}
    )
    (route,) = [route for route in routes if route.path == "/v1/openapi.json"]
    document = running.portal.call(route.endpoint, None).body.decode()
    assert '"/v1/query":{"get":{"summary":"Ask"' in document
    assert '"Answer":{"type":"object"}' in document
