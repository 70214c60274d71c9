"""What is wrong with a KQL text, and where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from gapless.model.errors import Refused

_NAMES_SHOWN_MAX = 12


class KqlError(Refused):
    """A text that is not answered: it is no KQL, or it needs something that is not there.

    ``missing`` is the name of what is not supported ("operator scan", "function geo_point_to_s2cell"), or
    None where the text itself is at fault. ``at`` is an offset into the text until ``located`` has run.
    """

    def __init__(self, what: str, at: int, missing: str | None = None) -> None:
        super().__init__(what)
        self.what, self.at, self.missing = what, at, missing

    def located(self, text: str) -> KqlError:
        """The same error, with line and column (from 1) before its sentence."""
        before = text[: self.at]
        line_start = before.rfind("\n") + 1
        where = f"line {before.count(chr(10)) + 1}, column {self.at - line_start + 1}"
        return KqlError(f"{where}: {self.what}", self.at, self.missing)


def unsupported(name: str, at: int, instead: str = "") -> KqlError:
    """The refusal of something that KQL has and this engine lacks."""
    return KqlError(f"{name} is not supported{': ' + instead if instead else ''}", at, name)


def suggestion(name: str, known: Iterable[str]) -> str:
    """ ": did you mean X?" for the nearest of ``known``; else the first of them."""
    names = list(dict.fromkeys(known))
    folded = {each.lower(): each for each in names}
    close = [folded[each] for each in difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.6)]
    if close:
        return f": did you mean {', '.join(close)}?"
    shown = ", ".join(names[:_NAMES_SHOWN_MAX])
    return f": there are {shown}{', ...' if len(names) > _NAMES_SHOWN_MAX else ''}" if shown else ""
