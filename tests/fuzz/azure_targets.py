"""What Azure's clients send, and Azure writes. A target takes any bytes, and raises only for a defect."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress

from gapless.gateway.bodies import decode_json
from gapless.gateway.oauth.access_tokens import AccessTokens
from gapless.gateway.problems import Problem
from gapless.gateway.tokens import mint
from gapless.gateway.uploads.azure_rules import streams_of
from gapless.gateway.uploads.payloads import expand, lines_of, records_of
from gapless.gateway.uploads.rules import RuleRequest, new_rule
from gapless.model.errors import Refused
from gapless.query.log_analytics.prefer import preferences
from gapless.query.log_analytics.timespan import window_us

_BYTES_MAX = 1 << 20
_ACCESS = AccessTokens(b"k" * 32, 60)

UPLOADS = [
    b'[{"TimeGenerated": "2024-09-02T23:00:00Z", "n": 1, "s": "a\\nb"}, {"d": {"e": [null, true]}}]',
    b'\xef\xbb\xbf[\n {"n": 1.5e3},\r\n {"\xc3\xa9": "\\ud83d\\ude00"}\n]',
    b"[]",
]

RULES = [
    b'{"properties": {"streamDeclarations": {"Custom-App": {"columns": [{"name": "n", "type": "dateTime"}]}},'
    b'"dataFlows": [{"streams": ["Custom-App"], "transformKql": "source | where n > ago(1d)", "outputStream":'
    b'"Custom-App_CL"}]}}',
    b'{"tenant": "contoso", "streams": [{"name": "Custom-App", "table": "App_CL", "columns":'
    b'[{"name": "n", "type": "long"}], "transform": "source | extend m = n + 1"}]}',
]

HEADERS = [
    b"wait=60, include-statistics=true",
    b"PT1H/2024-09-02T23:00:00.1234567Z",
    b"2024-09-02T23:00:00+02:00/2024-09-03",
    _ACCESS.issue(mint("contoso", (), "read", by="x", now_us=1, client=True)[0], "i", "a", 1)[0].encode(),
]


def upload_body(data: bytes) -> None:
    """``POST /dataCollectionRules/...``: what is taken is what was sent, a line for each record."""
    for body, encoding in ((data, ""), (gzip.compress(data, mtime=0), "gzip")):
        assert expand(body, encoding, bytes_max=_BYTES_MAX) == data
    with suppress(Problem, RecursionError):  # which the gateway answers as Refused
        lines = lines_of(records_of(data)).split(b"\n")
        sent = json.loads(data.decode("utf-8-sig"))
        assert [json.loads(line) for line in lines[:-1]] == sent and lines[-1] == b""


def rule(data: bytes) -> None:
    """A data collection rule: as Azure writes it, and as it is asked for."""
    with suppress(Refused):
        new_rule(RuleRequest("contoso", streams_of(data)), by="x", now_us=1)
    with suppress(Refused):
        new_rule(decode_json(data, RuleRequest, "a rule"), by="x", now_us=1)


def headers(data: bytes) -> None:
    """Small texts: preferences, windows of time, and access tokens."""
    text = data.decode("latin-1")
    with suppress(Refused):
        preferences(text)
    for now_us in (0, 1_790_000_000_000_000):
        with suppress(Refused):
            window_us(text, now_us)
        with suppress(Refused):
            assert _ACCESS.client_of(text, now_us) is None or data in HEADERS


def gzipped(data: bytes) -> None:
    """A body that is nearly gzip."""
    with suppress(Problem):
        assert len(expand(data, "gzip", bytes_max=_BYTES_MAX)) <= _BYTES_MAX


GZIPPED = [gzip.compress(upload, mtime=0) for upload in UPLOADS] + [gzip.compress(bytes(2 << 20), mtime=0)]
