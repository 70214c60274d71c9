"""The configuration: good as documented, and every fault at once."""

from __future__ import annotations

import msgspec
import pytest

from gapless.agent.config import AgentSection, FileSection, load_config, parse_config
from gapless.agent.dispatch import UploadSettings
from gapless.agent.spool_settings import SpoolSettings
from gapless.model.errors import Misconfigured

GOOD = """
[agent]
name = "host-7"
data_dir = "/var/lib/gapless-agent"
[gateway]
urls = ["http://127.0.0.1:8420"]
token_file = "/etc/gapless/token"
[spool]
size_bytes_max = 10_737_418_240
when_full = "block"
[[source]]
type = "file"
paths = ["/var/log/entra/*.json"]
tenant = "contoso"
table = "SigninLogs"
"""


def test_the_documented_file() -> None:
    config = parse_config(GOOD)
    assert config.stream(config.sources[0]).agent == "host-7"
    assert config.sources[0].paths == ("/var/log/entra/*.json",)


@pytest.mark.case("cloudflare-2024-11")
@pytest.mark.parametrize("text", ["", "  \n", "# nothing", "[agent"])
def test_blank_or_broken_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured):
        parse_config(text)


def test_a_file_that_is_not_there_is_refused(tmp_path: object) -> None:
    with pytest.raises(Misconfigured):
        load_config(f"{tmp_path}/none.toml")


def test_every_fault_at_once() -> None:
    bad = GOOD.replace("host-7", "a b").replace("http://127", "ftp://127").replace('"block"', '"drop"')
    bad = bad.replace("/var/log/entra", "relative") + GOOD[GOOD.index("[[source]]") :] * 2 + "[more]\n"
    with pytest.raises(Misconfigured) as caught:
        parse_config(bad)
    text = "\n".join(caught.value.faults)
    for word in ("agent.name", "gateway.urls[0]", "spool", "source[0].paths", "same stream", "[more]"):
        assert word in text


def test_standard_input_is_a_source_but_once() -> None:
    piped = '[[source]]\ntype = "stdin"\ntenant = "contoso"\ntable = "SigninLogs"\n'
    config = parse_config(GOOD + piped)
    assert [key.source for key in config.streams()] == ["files", "stdin"]
    with pytest.raises(Misconfigured, match="several sources of type stdin"):
        parse_config(GOOD + piped + piped + 'name = "other"')


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(Misconfigured, match=r"source\[0\].*syslog"):
        parse_config(GOOD.replace('"file"', '"syslog"'))


NUMBERS = [
    (section, field.name, field.default)
    for section, kind in {
        "agent": AgentSection, "spool": SpoolSettings, "upload": UploadSettings, "source": FileSection,
    }.items()
    for field in msgspec.structs.fields(kind)
    if type(field.default) in (int, float)
]  # fmt: skip
EDGES = ("-1", "0", "1", "1e-9", "0.5", "1e18", "9223372036854775807", "inf", "-inf", "nan", "1e400")


def with_setting(section: str, name: str, value: str) -> str:
    """The good configuration with one number in it."""
    good = GOOD.replace("size_bytes_max = 10_737_418_240\n", "")
    header = f"[{section}]\n" if section != "source" else '[[source]]\ntype = "file"\n'
    if header not in good:
        return f"{header}{name} = {value}\n{good}"
    return good.replace(header, f"{header}{name} = {value}\n")


@pytest.mark.case("T15")
@pytest.mark.parametrize(("section", "name", "default"), NUMBERS)
def test_every_number_is_taken_or_refused_by_its_name(section: str, name: str, default: float) -> None:
    assert parse_config(with_setting(section, name, repr(default)))
    taken = []
    for value in EDGES:
        try:
            parse_config(with_setting(section, name, value))
            taken.append(value)
        except Misconfigured as error:
            assert any(name in fault for fault in error.faults), (value, error.faults)
    assert not {"-1", "-inf", "nan", "inf", "1e400", "1e18"}.intersection(taken)
    if section != "spool":  # of which a disk has what it has
        assert "9223372036854775807" not in taken
