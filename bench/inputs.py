"""What is sent: 1 KB sign-ins as JSON and 160-byte syslog lines, in files, the same in every run.

A block of records is made once and repeated from another record on in each file: no compressor has a window
that reaches from one repetition to the next, and no two files begin alike. Records bear the present day's
date, so that no retention expires them. zstd -1 compresses the JSON about 9x and the lines about 5x.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import NamedTuple

_BLOCK_BYTES = 48_000_000
_SEED = 2024


class Input(NamedTuple):
    """A kind of records, and the table that they go to."""

    name: str
    table: str
    record: Callable[[Random, int], bytes]


class Written(NamedTuple):
    """Files that were written: bytes and records of all of them."""

    raw_bytes: int
    records: int


@cache
def block(kind: Input) -> bytes:
    """About ``_BLOCK_BYTES`` of records, each ended by a newline."""
    random = Random(_SEED)
    records: list[bytes] = []
    size = 0
    while size < _BLOCK_BYTES:
        records.append(kind.record(random, len(records)))
        size += len(records[-1])
    return b"".join(records)


def pieces(kind: Input, start: int, raw_bytes: int) -> Iterator[memoryview]:
    """About ``raw_bytes`` of whole records from the block, beginning somewhere in it that ``start`` tells."""
    data = block(kind)
    at = data.index(b"\n", (start * 7_368_787) % (len(data) // 2)) + 1
    while raw_bytes > 0:
        end = data.rfind(b"\n", at, at + raw_bytes) + 1
        if not end:
            return
        yield memoryview(data)[at:end]
        raw_bytes -= end - at
        at = 0


def write_files(kind: Input, directory: str, raw_bytes: int, *, files: int = 4, start: int = 0) -> Written:
    """Write ``files`` files with about ``raw_bytes`` altogether into a new directory."""
    os.makedirs(directory)
    size = records = 0
    for number in range(files):
        with open(f"{directory}/{start + number:06}.log", "wb") as file:
            for piece in pieces(kind, start + number, raw_bytes // files):
                file.write(piece)
                size += len(piece)
                records += bytes(piece).count(b"\n")
    return Written(size, records)


def _day() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


_APPS = [f"Application {number}" for number in range(40)]
_CITIES = [
    ("Zurich", "CH"),
    ("Madrid", "ES"),
    ("Oslo", "NO"),
    ("Austin", "US"),
    ("Osaka", "JP"),
    ("Lyon", "FR"),
]
_AGENTS = [
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0"
    for major in range(110, 130)
]
_RESULTS = [("0", "")] * 18 + [("50126", "Invalid username or password."), ("53003", "Blocked by policy.")]


def _hex(random: Random, length: int) -> str:
    return f"{random.getrandbits(4 * length):0{length}x}"


def _guid(random: Random) -> str:
    digits = _hex(random, 32)
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _signin(random: Random, number: int) -> bytes:
    user = min(4999, int(random.paretovariate(0.7)))
    app = min(39, int(random.paretovariate(0.9)))
    city, country = _CITIES[user % len(_CITIES)]
    code, description = _RESULTS[random.randrange(len(_RESULTS))]
    second = number % 86_400
    at = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{random.randrange(10**6):06}0Z"
    record = {
        "TimeGenerated": f"{_day()}T{at}",
        "OperationName": "Sign-in activity",
        "Category": "SignInLogs",
        "ResultType": code,
        "ResultDescription": description,
        "DurationMs": random.randrange(2000),
        "CorrelationId": _guid(random),
        "Id": _guid(random),
        "OriginalRequestId": _guid(random),
        "UniqueTokenIdentifier": _hex(random, 40),
        "Identity": f"User {user}",
        "UserPrincipalName": f"user{user}@contoso.example",
        "UserId": f"00000000-aaaa-4bbb-8ccc-{user:012}",
        "UserType": "Member" if user % 9 else "Guest",
        "AppDisplayName": _APPS[app],
        "AppId": f"11111111-aaaa-4bbb-8ccc-{app:012}",
        "ClientAppUsed": "Browser" if random.random() < 0.8 else "Mobile Apps and Desktop clients",
        "IPAddress": f"203.0.{user % 250}.{random.randrange(250)}",
        "UserAgent": _AGENTS[user % len(_AGENTS)],
        "ConditionalAccessStatus": "success" if random.random() < 0.7 else "notApplied",
        "IsInteractive": True,
        "LocationDetails": {"city": city, "countryOrRegion": country, "state": ""},
        "DeviceDetail": {"deviceId": "", "operatingSystem": "Windows 10", "isCompliant": bool(user % 3)},
        "Status": {"errorCode": int(code)},
    }
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


_HOSTS = [f"web-{number:02}" for number in range(30)]
_PATHS = ["/", "/login", "/api/v2/orders", "/api/v2/items", "/static/app.js", "/health"]


def _syslog(random: Random, number: int) -> bytes:
    second = number // 50 % 86_400
    at = f"{_day()}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{random.randrange(1000):03}Z"
    host = _HOSTS[int(30 * random.random() ** 2)]
    text = (
        f"<134>1 {at} {host} nginx {1000 + number % 7} - - 203.0.{random.randrange(250)}."
        f"{random.randrange(250)} GET {_PATHS[random.randrange(6)]} 200 {random.randrange(40_000)} "
        f"{random.random():.3f} rid={_hex(random, 16)} {_AGENTS[random.randrange(20)]}"
    )
    return text[:159].encode() + b"\n"


JSON = Input("1 KB JSON", "SigninLogs", _signin)
SYSLOG = Input("160 B syslog", "Syslog_CL", _syslog)
INPUTS = (JSON, SYSLOG)
