"""Options that several commands share, and where their values come from when they are not given."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from gapless.model.errors import Refused
from gapless.model.stream import check_name

DATA_DEFAULT = "gapless-data"


def group(help_: str) -> typer.Typer:
    """A command that has commands of its own."""
    return typer.Typer(help=help_, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def _directory(data: str) -> str:
    if not data:
        raise Refused("--data is empty: name a directory")
    return data


Data = Annotated[
    str,
    typer.Option(
        "--data",
        envvar="GAPLESS_DATA",
        metavar="DIR",
        help="The platform's data directory.",
        callback=_directory,
    ),
]
Url = Annotated[
    str | None,
    typer.Option("--url", envvar="GAPLESS_URL", help="Where the platform listens. Default: DIR/url."),
]
Token = Annotated[
    str | None,
    typer.Option("--token", envvar="GAPLESS_TOKEN", help="Who asks. Default: DIR/admin.token."),
]

Ca = Annotated[
    str | None,
    typer.Option(
        "--ca",
        envvar="GAPLESS_CA",
        metavar="FILE",
        help="CAs, PEM, that vouch for an https URL. Default: the system's, and DIR/tls/ca.pem.",
    ),
]


def _named(tenant: str | None) -> str | None:
    return tenant if tenant is None else check_name("tenant", tenant)


Tenant = Annotated[str, typer.Option("--tenant", help="Whose records they are.", callback=_named)]
TenantOrAll = Annotated[
    str | None,
    typer.Option("--tenant", help="Left out: every tenant, for operators.", callback=_named),
]
Format = Annotated[Literal["table", "json"], typer.Option("--format", help="How to print.")]
From = Annotated[str | None, typer.Option("--from", metavar="TIME", help="ISO 8601; inclusive.")]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="ISO 8601; exclusive.")]


def window_us(from_: str | None, to: str | None) -> tuple[int | None, int | None]:
    """The window that ``--from`` and ``--to`` give. Raises Refused for one that holds no time at all."""
    from_us, to_us = time_us("--from", from_), time_us("--to", to)
    if from_us is not None and to_us is not None and from_us >= to_us:
        raise Refused("the window is empty: give a --from that is before --to")
    return from_us, to_us


def time_us(option: str, text: str | None) -> int | None:
    """A time on the command line in microseconds since the Unix epoch; without a zone it is UTC.
    Raises Refused for what is not ISO 8601."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(
            f"{option} {text!r} is not a time: write it as 2024-09-02T23:00:00Z or 2024-09-02"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
