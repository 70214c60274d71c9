"""The command ``gapless``: puts the commands together, and turns every failure into one sentence."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import Any

_INTERRUPTED = 130

try:
    import typer
    from typer.core import TyperGroup

    from gapless.cli.output import drop_output, printable, write
    from gapless.model.errors import Busy, Corrupt, GaplessError, Unavailable
except KeyboardInterrupt:  # loading takes long enough to be interrupted
    raise SystemExit(_INTERRUPTED) from None

_FLAGS: dict[str, Any] = {
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "add_completion": False,
}

#: Each is a module of this package that has an ``app`` or a function of its name.
COMMANDS = (
    "up",
    "agent",
    "token",
    "send",
    "query",
    "tables",
    "show",
    "audit",
    "loss",
    "stream",
    "epoch",
    "dcr",
    "services",
    "drill",
)


class _Commands(TyperGroup):
    """Loads a command when it is asked for: an agent must not carry what queries need."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"gapless.cli.{cmd_name}")
        app = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(**_FLAGS)
            app.command(cmd_name)(getattr(module, cmd_name))
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="gapless",
    cls=_Commands,
    help="Log collection that proves nothing is missing.",
    no_args_is_help=True,
    **_FLAGS,
)


@app.callback()
def _gapless() -> None:
    """Log collection that proves nothing is missing."""


#: Exit codes: wrong as it is; not now, or not there; bytes are not what was written; a defect.
REFUSED, UNAVAILABLE, CORRUPT, DEFECT = 2, 3, 4, 70

#: What the parser raises for a command line that cannot be; its base class has no public name.
_USAGE_ERRORS = tuple(base for base in typer.BadParameter.__mro__ if hasattr(base, "format_message"))

#: A file that somebody named and that is not one; other failures of the system may pass.
_WRONG_FILE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)


def main() -> None:
    """Run the command line and exit. No traceback reaches a user."""
    if not _streams_are_open():
        sys.exit(UNAVAILABLE)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code."""
    try:
        code = app(arguments, prog_name="gapless", standalone_mode=False)
        write(b"")
        return code if isinstance(code, int) else 0
    except GaplessError as error:
        return _fail(str(error), _code(error))
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except BrokenPipeError:
        drop_output()
        return 0
    except OSError as error:
        return _fail_of_system(error)
    except UnicodeEncodeError:
        return _fail("the command line holds bytes that are not UTF-8: write it in UTF-8", REFUSED)
    except Exception as error:
        if isinstance(error, _USAGE_ERRORS):
            return _misused(error)
        return _fail(f"a defect ({type(error).__name__}: {error}): report it with the command", DEFECT)


def _streams_are_open() -> bool:
    """Whether there is a standard output. A descriptor that is closed is taken by ``/dev/null`` first: else
    the next file that is opened takes its place, and words go into it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free, which is this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (as long as the process)
    if sys.stdout is None:
        _fail("standard output is closed: redirect it to a file, or to /dev/null", UNAVAILABLE)
        return False
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    return True


def _misused(error: Exception) -> int:
    text: str = error.format_message()  # type: ignore[attr-defined]
    if "\n" in text and text.startswith("Usage:"):  # no command was given: the text is the help
        print(text, file=sys.stderr)
        return REFUSED
    return _fail(f"{text.rstrip('.')}: see --help", REFUSED)


def _fail_of_system(error: OSError) -> int:
    reason = error.strerror or str(error)
    if isinstance(error, _WRONG_FILE) and error.filename is not None:
        return _fail(f"{os.fsdecode(error.filename)}: {reason}: name one that can be used", REFUSED)
    what = "the system" if error.filename is None else os.fsdecode(error.filename)
    return _fail(f"{what}: {reason}: mend it, then retry", UNAVAILABLE)


def _fail(text: str, code: int) -> int:
    print(f"gapless: {printable(' '.join(text.split()))}", file=sys.stderr)
    return code


def _code(error: GaplessError) -> int:
    match error:
        case Busy() | Unavailable():
            return UNAVAILABLE
        case Corrupt():
            return CORRUPT
        case _:
            return REFUSED
