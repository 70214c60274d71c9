"""Whatever is sent, the answer is one that was meant: never a 500, never an entry that cannot be folded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.gateway.fold import fold
from gapless.gateway.settings import GatewaySettings
from gapless.log.frame import encode
from gapless.model.batch import payload_digest
from gapless.model.entry import Kind
from gapless.model.signing import Signed

from .support import EPOCH, STREAM, Agent, Platform, batch, body, frame, platform

PATHS = ["/v1/batches", "/v1/claims", "/v1/tokens", "/v1/losses", "/v1/findings", "/v1/decommissions"]

HOSTILE = settings(max_examples=100, deadline=None)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory: Path = tmp_path_factory.mktemp("platform")
    bounds = GatewaySettings(body_bytes_max=200_000, claims_bytes_max=200_000, index_interval_s=0.01)
    with platform(directory, settings=bounds) as running:
        yield running
        # Nothing that came in stops whoever reads the journal.
        fold(running.entries(), 0)


def meant(answer: httpx.Response) -> httpx.Response:
    assert answer.status_code in (200, 201, 400, 413, 422), (answer.status_code, answer.text)
    if answer.status_code >= 400:
        assert set(answer.json()["error"]) == {"code", "text"}
        assert "Traceback" not in answer.text
    return answer


numbers = st.sampled_from([0, -1, 1, 10, 2**31, 2**53, 2**62, 2**63, 2**64, 10**40, -(10**40)])
texts = st.one_of(
    st.sampled_from(["", "a", "contoso", "SigninLogs", "X_CL", EPOCH, "../etc", "a\x00b", "é" * 200]),
    st.text(max_size=20),
)
leaves = st.one_of(st.none(), st.booleans(), numbers, st.floats(allow_nan=False), texts)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


def altered(value: Any, at: list[int], new: Any) -> Any:
    """``value`` with one of its inner values replaced; ``at`` is the way to it."""
    if not at or not isinstance(value, (dict, list)) or not value:
        return new
    if isinstance(value, dict):
        key = sorted(value)[at[0] % len(value)]
        return value | {key: altered(value[key], at[1:], new)}
    index = at[0] % len(value)
    return [*value[:index], altered(value[index], at[1:], new), *value[index + 1 :]]


ways = st.lists(st.integers(0, 30), min_size=1, max_size=4)


@pytest.mark.case("T25")
@HOSTILE
@given(st.sampled_from(PATHS), st.binary(max_size=300))
def test_bytes(running: Platform, path: str, content: bytes) -> None:
    meant(running.post(path, content=content, headers=running.admin))


@HOSTILE
@given(st.sampled_from(PATHS), trees)
def test_json(running: Platform, path: str, content: Any) -> None:
    meant(running.post(path, content=msgspec.json.encode(content), headers=running.admin))


@HOSTILE
@given(st.integers(0, 7), st.binary(max_size=50), st.binary(max_size=50))
def test_frames_of_anything(running: Platform, kind: int, meta: bytes, payload: bytes) -> None:
    content = b"".join(bytes(piece) for piece in encode(kind, meta, payload))
    meant(running.post("/v1/batches", content=content, headers=running.admin))


@HOSTILE
@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), min_size=1, max_size=3))
def test_damaged_bodies(running: Platform, changes: list[tuple[int, int]]) -> None:
    content = bytearray(body(batch(0, 10), batch(10, 20)))
    for at, value in changes:
        content[at % len(content)] = value
    meant(running.post("/v1/batches", content=bytes(content), headers=running.admin))


@HOSTILE
@given(ways, trees)
def test_headers_with_one_thing_wrong(running: Platform, at: list[int], new: Any) -> None:
    header, payload = batch(0, 10)
    good = msgspec.to_builtins(header) | {"parts": [["f", 0, 100, 10]], "marks": [[3, "part"]]}
    meta = msgspec.json.encode(altered(good, at, new))
    content = b"".join(bytes(piece) for piece in encode(Kind.BATCH, meta, payload))
    meant(running.post("/v1/batches", content=content, headers=running.admin))


@HOSTILE
@given(st.binary(max_size=60), st.integers(0, 200), st.booleans())
def test_payloads_of_anything(running: Platform, payload: bytes, raw_bytes: int, magic: bool) -> None:
    payload = (bytes.fromhex("28b52ffd") if magic else b"") + payload
    header, _ = batch(0, 1)
    header = msgspec.structs.replace(header, digest=payload_digest(payload), raw_bytes=raw_bytes)
    meant(running.post("/v1/batches", content=frame(header, payload), headers=running.admin))


@HOSTILE
@given(ways, trees)
def test_claims_with_one_thing_wrong(running: Platform, at: list[int], new: Any) -> None:
    agent = Agent()
    good = msgspec.json.decode(agent.claims(EPOCH).statement)
    good["losses"] = [
        {
            "id": "l",
            "stream": msgspec.to_builtins(STREAM),
            "epoch": EPOCH,
            "cause": "operator",
            "declared_us": 1,
            "not_before_us": 1,
            "not_after_us": 1,
            "ranges": [[1, 2]],
        }
    ]
    good["restarts"] = [{"child": "uploader", "at_us": 1, "reason": "stuck"}]
    statement = msgspec.json.encode(altered(good, at, new))
    signature = agent.signer._key.sign(statement).hex()
    signed = Signed(statement.decode(), agent.signer.public_key, signature)
    meant(running.claim(signed))


@HOSTILE
@given(st.text(max_size=50))
def test_tokens_of_any_text(running: Platform, text: str) -> None:
    value = text.encode("utf-8").replace(b"\r", b"").replace(b"\n", b"")
    answer = running.get("/v1/tokens", headers=[(b"authorization", b"Bearer " + value)])
    assert answer.status_code == 401


@HOSTILE
@given(st.sampled_from(["", "-1", "0", "1e3", "１２", "9" * 30, "200001", "\xb2"]))
def test_content_lengths_of_any_text(running: Platform, length: str) -> None:
    headers = [(b"authorization", running.admin["Authorization"].encode())]
    headers.append((b"content-length", length.encode("utf-8")))
    meant(running.post("/v1/batches", content=body(batch(0, 10)), headers=headers))
