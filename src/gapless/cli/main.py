"""The command ``gapless``: puts the commands together, and turns every failure into one sentence."""

from __future__ import annotations

import os
import sys

import typer

from gapless.cli import audit, loss, query, send, services, token, up
from gapless.model.errors import Busy, Corrupt, GaplessError, Unavailable

app = typer.Typer(
    name="gapless",
    help="Log collection that proves nothing is missing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("up")(up.up)
app.command("send")(send.send)
app.command("query")(query.query)
app.command("audit")(audit.audit)
app.add_typer(loss.app, name="loss")
app.add_typer(token.app, name="token", help="Tokens: who may do what.")
app.add_typer(services.app, name="services", help="The services whose logs Gapless knows.")

#: Exit codes: wrong as it is; not now, or not there; bytes are not what was written; a defect.
REFUSED, UNAVAILABLE, CORRUPT, DEFECT = 2, 3, 4, 70
_INTERRUPTED = 130

#: What the parser raises for a command line that cannot be; its base class has no public name.
_USAGE_ERRORS = tuple(base for base in typer.BadParameter.__mro__ if hasattr(base, "format_message"))


def main() -> None:
    """Run the command line and exit. No traceback reaches a user."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code."""
    try:
        code = app(arguments, prog_name="gapless", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except GaplessError as error:
        return _fail(str(error), _code(error))
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has enough; the interpreter must not fail at flushing the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(f"{error.filename or 'the system'}: {error.strerror or error}: mend it, then retry", 1)
    except Exception as error:
        if isinstance(error, _USAGE_ERRORS):
            return _misused(error)
        return _fail(f"a defect ({type(error).__name__}: {error}): report it with the command", DEFECT)


def _misused(error: Exception) -> int:
    text: str = error.format_message()  # type: ignore[attr-defined]
    if "\n" in text:  # no command was given: the text is the help
        print(text, file=sys.stderr)
        return REFUSED
    return _fail(f"{text.rstrip('.')}: see --help", REFUSED)


def _fail(text: str, code: int) -> int:
    print(f"gapless: {' '.join(text.split())}", file=sys.stderr)
    return code


def _code(error: GaplessError) -> int:
    match error:
        case Busy() | Unavailable():
            return UNAVAILABLE
        case Corrupt():
            return CORRUPT
        case _:
            return REFUSED
