"""A host with an agent that sends to a real platform, all of it in processes of their own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from platform_rig import COMMAND, SQL, cli, environment

TABLE = "Host_CL"


class Host:
    """A host with an agent: its files are ``logs/*.log``."""

    def __init__(self, directory: Path, data: Path, url: str, ca_file: str = "") -> None:
        self.directory = directory
        self.data = data
        (directory / "logs").mkdir(parents=True)
        code, out, words = cli("token", "create", "--tenant", "contoso", "--scope", "ingest", data=data)
        assert code == 0, words
        (directory / "token").write_bytes(out)
        self.config = directory / "agent.toml"
        self.config.write_text(
            f"""
[agent]
name = "{directory.name}"
data_dir = "{directory}/agent"
[gateway]
urls = ["{url}"]
token_file = "{directory}/token"
ca_file = "{ca_file}"
[[source]]
type = "file"
paths = ["{directory}/logs/*.log"]
tenant = "contoso"
table = "{TABLE}"
"""
        )

    @contextmanager
    def runs(self) -> Iterator[subprocess.Popen[bytes]]:
        with (self.directory / "words").open("ab") as words:
            process = subprocess.Popen(
                [*COMMAND, "agent", "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=words,
                env=environment(self.data),
            )
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), (self.directory / "words").read_text()
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=20)

    def write(self, first: int, count: int) -> None:
        with (self.directory / "logs" / "a.log").open("ab") as file:
            file.write(b"".join(b'{"n":%d}\n' % n for n in range(first, first + count)))

    def status(self) -> dict[str, Any]:
        code, out, words = cli(
            "agent", "status", "--config", str(self.config), "--format", "json", data=self.data
        )
        assert code == 0, words
        found: dict[str, Any] = json.loads(out)
        return found

    def stored(self) -> list[int]:
        """The numbers that are in the table, in order, as often as they are."""
        code, out, _ = cli(
            *SQL, "--tenant", "contoso", "--format", "json",
            f"select (Data->>'$.n')::int n from {TABLE} order by n", data=self.data,
        )  # fmt: skip
        return [row[0] for row in json.loads(out)["rows"]] if code == 0 else []

    def audit(self) -> dict[str, Any]:
        _, out, _ = cli("audit", "--tenant", "contoso", "--format", "json", data=self.data)
        found: dict[str, Any] = json.loads(out) if out else {"verdict": "none", "streams": [], "reasons": []}
        return found
