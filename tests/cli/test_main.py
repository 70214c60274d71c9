"""What a user sees of the command line when there is no platform."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gapless.cli.client import connect
from gapless.cli.main import run
from gapless.cli.options import time_us
from gapless.cli.output import printable
from gapless.model.errors import Misconfigured, Refused
from gapless.services.catalogue import services

DECLARE = (
    "loss", "declare", "--tenant", "t", "--stream", "0" * 32, "--epoch", "0" * 32, "--reason", "why",
    "--token", "gl_x",
)  # fmt: skip


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
        (["query", "--tenant", "t", "print 1"], 2, "no token"),
        (["query", "--tenant", "t", "--token", "gl_x", "--from", "noon", "print 1"], 2, "--from"),
        (["query", "--tenant", "t", "--token", "gl_x", "--url", "ftp://x", "print 1"], 2, "--url"),
        (
            ["query", "--tenant", "t", "--token", "gl_x", "--url", "http://127.0.0.1:1", "print 1"],
            3,
            "gapless up",
        ),
        (["send", "--tenant", "t", "--table", "Nope", "-"], 2, "no table 'Nope'"),
        (["services", "generate", "nope"], 2, "no service"),
        (["query", "--tenant", "../t", "--token", "gl_x", "print 1"], 2, "tenant '../t' is not a name"),
        (["query", "--tenant", "t", "--token", "gl_x", "print \udcff"], 2, "UTF-8"),
        (["audit", "--tenant", "", "--token", "gl_x"], 2, "is not a name"),
        (["audit", "--table", "Nope", "--token", "gl_x"], 2, "no table 'Nope'"),
        (["audit", "--from", "2025-01-01", "--to", "2024-01-01", "--token", "gl_x"], 2, "window is empty"),
        (["audit", "--token", "gl_x", "--url", "http://127.0.0.1:0"], 2, "--url"),
        (["audit", "--token", "gl_x", "--url", "http://a b"], 2, "--url"),
        (["audit", "--token", "gl_x", "--url", "http://u:p@127.0.0.1"], 2, "--url"),
        (["audit", "--token", "gl_x", "--url", f"http://{'a' * 80}.localhost"], 3, "--url"),
        (["audit", "--token", "gl\n_x", "--data", "x"], 2, "token"),
        (["audit", "--data", ""], 2, "--data is empty"),
        (["show", "--tenant", "t", "--table", "A_CL", "--id", "1/2", "--token", "x"], 2, "STREAM/EPOCH/SEQ"),
        (["show", "--tenant", "t", "--table", "A_CL"], 2, "--help"),
        ([*DECLARE, "--range", "5:5"], 2, "FIRST:NEXT"),
        ([*DECLARE, "--range", "0:" + "9" * 5000], 2, "FIRST:NEXT"),
        ([*DECLARE, "--range", "0:5", "--reason", " "], 2, "--reason"),
        (["send", "--tenant", "t", "--table", "A_CL", "--timeout-s", "nan", "-"], 2, "--timeout-s"),
        (["token", "create", "--tenant", "t", "--scope", "root"], 2, "--help"),
        (["services", "generate", "sentinel", "--start", ""], 2, "--start"),
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


def test_the_token_of_the_platform_here_goes_to_no_other_host(tmp_path: Path) -> None:
    (tmp_path / "admin.token").write_text("gl_secret\n")
    (tmp_path / "url").write_text("http://10.0.0.1:8420\n")
    with pytest.raises(Misconfigured, match="no token for"):
        connect(str(tmp_path), "http://elsewhere.example", None)
    for own in (None, "http://10.0.0.1:8420", "http://localhost:1", "http://[::1]:1"):
        with connect(str(tmp_path), own, None):
            pass


def test_a_token_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "admin.token").mkdir()
    with pytest.raises(Misconfigured, match=r"admin\.token cannot be read"):
        connect(str(tmp_path), None, None)


@pytest.mark.parametrize("name", ["/nowhere/at/all", "/", "/nowhere\x1b[2J"])
def test_a_file_that_cannot_be_used_is_named(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["send", "--tenant", "t", "--table", "A_CL", "--token", "gl_x", name]) == 2
    words = capfd.readouterr().err
    assert printable(name) in words and words.count("\n") == 1 and "\x1b" not in words


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
