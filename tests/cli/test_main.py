"""What a user sees of the command line when there is no platform."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gapless.cli.main import run
from gapless.cli.options import time_us
from gapless.model.errors import Refused
from gapless.services.catalogue import services


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GAPLESS_URL", "GAPLESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GAPLESS_DATA", str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["send"], 2, "--help"),
        (["nope"], 2, "--help"),
        (["query", "--tenant", "t", "--language", "cobol", "x"], 2, "--help"),
        (["query", "--tenant", "t", "select 1"], 2, "no token"),
        (["query", "--tenant", "t", "--token", "gl_x", "--from", "noon", "select 1"], 2, "--from"),
        (["query", "--tenant", "t", "--token", "gl_x", "--url", "ftp://x", "select 1"], 2, "--url"),
        (
            ["query", "--tenant", "t", "--token", "gl_x", "--url", "http://127.0.0.1:1", "select 1"],
            3,
            "gapless up",
        ),
        (["send", "--tenant", "t", "--table", "Nope", "-"], 2, "no table 'Nope'"),
        (["services", "generate", "nope"], 2, "no service"),
        (["up", "--listen", "0.0.0.0:0"], 2, "--insecure"),
        (["up", "--listen", "here"], 2, "HOST:PORT"),
        (["up", "--listen", "127.0.0.1:0", "--tls-key", "x"], 2, "--tls-cert"),
    ],
)
def test_every_error_is_one_sentence(
    arguments: list[str], code: int, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    out, words = capfd.readouterr()
    assert out == ""
    assert says in words and words.startswith("gapless: ") and words.count("\n") == 1


def test_a_file_that_is_not_there_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["send", "--tenant", "t", "--table", "A_CL", "--token", "gl_x", "/nowhere/at/all"]
    assert run(arguments) != 0
    assert "/nowhere/at/all" in capfd.readouterr().err


def test_services_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["services", "list"]) == 0
    out = capfd.readouterr().out
    assert all(table in out for service in services() for table in service.tables)


def test_generated_records_are_the_same_each_time(capfd: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for seed in ("3", "3", "4"):
        assert run(["services", "generate", "sentinel", "--records", "20", "--seed", seed]) == 0
        outputs.append(capfd.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]
    assert len([json.loads(line) for line in outputs[0].splitlines()]) == 20


def test_times_are_utc_unless_they_say_otherwise() -> None:
    assert time_us("--from", None) is None
    assert time_us("--from", "1970-01-02") == 86_400_000_000
    assert time_us("--from", "1970-01-01T01:00:00.000001+01:00") == 1
    with pytest.raises(Refused, match="--to"):
        time_us("--to", "yesterday")
