"""``gapless up``: start the platform."""

from __future__ import annotations

from shlex import quote
from typing import Annotated

import typer

from gapless.cli.options import DATA_DEFAULT, Data
from gapless.cli.output import write
from gapless.platform import logs
from gapless.platform.children import STALLED_S
from gapless.platform.up import Serving, UpSettings, run


def up(
    data: Data = DATA_DEFAULT,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Port 0 takes a free one.")
    ] = "127.0.0.1:8420",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen without TLS beyond this machine.")
    ] = False,
    tls: Annotated[
        bool,
        typer.Option(
            "--tls", help="TLS with a certificate by a CA that is made once, in tls/ of the data directory."
        ),
    ] = False,
    tls_name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="With --tls: another name or address by which clients reach this machine."
        ),
    ] = None,
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
    settings = UpSettings(data, listen, insecure, tls, tuple(tls_name or ()), tls_cert, tls_key, stalled_s)
    run(settings, _announce)


def _announce(serving: Serving) -> None:
    write(f"ready {serving.url}\n".encode())
    if serving.ca:
        # Python's requests, OpenSSL, and Node.js.
        names = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
        trusted = " ".join(f"{name}={quote(serving.ca)}" for name in names)
        write(f"clients trust it with: export {trusted}\n".encode())
