"""Options that several commands share, and where their values come from when they are not given."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from gapless.model.errors import Refused

DATA_DEFAULT = "gapless-data"

Data = Annotated[
    str, typer.Option("--data", envvar="GAPLESS_DATA", metavar="DIR", help="The platform's data directory.")
]
Url = Annotated[
    str | None,
    typer.Option("--url", envvar="GAPLESS_URL", help="Where the platform listens. Default: DIR/url."),
]
Token = Annotated[
    str | None,
    typer.Option("--token", envvar="GAPLESS_TOKEN", help="Who asks. Default: DIR/admin.token."),
]
Tenant = Annotated[str, typer.Option("--tenant", help="Whose records they are.")]


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
