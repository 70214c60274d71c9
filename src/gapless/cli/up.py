"""``gapless up``: start the platform."""

from __future__ import annotations

from typing import Annotated

import typer

from gapless.cli.options import DATA_DEFAULT, Data
from gapless.cli.output import write
from gapless.platform import logs
from gapless.platform.children import STALLED_S
from gapless.platform.up import UpSettings, run


def up(
    data: Data = DATA_DEFAULT,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Port 0 takes a free one.")
    ] = "127.0.0.1:8420",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen without TLS beyond this machine.")
    ] = False,
    tls_cert: Annotated[str | None, typer.Option(metavar="FILE", help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="Private key, PEM.")] = None,
    stalled_s: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="A process that finishes no step of its work for so long is replaced."
        ),
    ] = STALLED_S,
) -> None:
    """Start the platform; it prints "ready" and its URL once it serves, and runs until it is stopped."""
    logs.configure()
    run(UpSettings(data, listen, insecure, tls_cert, tls_key, stalled_s), _announce)


def _announce(url: str) -> None:
    write(f"ready {url}\n".encode())
