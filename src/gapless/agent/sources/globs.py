"""Path patterns: ``*``, ``?``, ``[...]`` within a name, ``**`` alone for any depth of directories.

As in a shell, wildcards do not match a leading dot: name hidden files in full.
"""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache

_WILD = re.compile(r"[*?\[]")


def pattern_faults(pattern: str, *, exclude: bool = False) -> list[str]:
    """What is wrong with a pattern, a sentence each. An exclude pattern may be a bare file name."""
    faults = []
    if not pattern:
        return ["is empty: write an absolute path such as /var/log/app/*.log"]
    if "\0" in pattern:
        faults.append("contains a NUL byte: remove it")
    if not pattern.startswith("/") and not (exclude and "/" not in pattern):
        faults.append("is not absolute: start it with /")
    if pattern.endswith("/"):
        faults.append("names a directory: add a file pattern such as *.log")
    parts = pattern.split("/")
    if any("**" in part and part != "**" for part in parts):
        faults.append("has ** beside other characters: ** must stand alone between slashes")
    if parts[-1] == "**":
        faults.append("ends in **: add a file pattern such as **/*.log")
    if any(part in (".", "..") for part in parts):
        faults.append("contains . or .. as a directory: write the path out")
    if any(_has_open_bracket(part) for part in parts):
        faults.append("has a [ that is never closed: close it, or write [[] for the character itself")
    return faults


def split_pattern(pattern: str) -> tuple[str, ...]:
    """The components of an absolute pattern below the root, with runs of ``**`` made one."""
    parts: list[str] = []
    for part in pattern.split("/"):
        if part and not (part == "**" and parts[-1:] == ["**"]):
            parts.append(part)
    return tuple(parts)


def is_wild(part: str) -> bool:
    """Whether a component is a pattern, not a name."""
    return _WILD.search(part) is not None


@lru_cache(maxsize=1024)
def name_matcher(part: str) -> re.Pattern[str]:
    """A compiled test for one component; use its ``match``."""
    hidden = "" if part.startswith(".") else r"(?!\.)"
    return re.compile(hidden + fnmatch.translate(part))


@lru_cache(maxsize=16_384)
def path_matches(pattern: str, path: str) -> bool:
    """Whether an absolute path matches ``pattern`` (a pattern without a slash: whether its name does)."""
    if "/" not in pattern:
        return name_matcher(pattern).match(path.rpartition("/")[2]) is not None
    return _matches(split_pattern(pattern), tuple(path.split("/")[1:]))


def _matches(parts: tuple[str, ...], names: tuple[str, ...]) -> bool:
    if not parts:
        return not names
    if parts[0] == "**":
        return _matches(parts[1:], names) or (
            bool(names) and not names[0].startswith(".") and _matches(parts, names[1:])
        )
    if not names or name_matcher(parts[0]).match(names[0]) is None:
        return False
    return _matches(parts[1:], names[1:])


def _has_open_bracket(part: str) -> bool:
    """Whether a ``[`` is left open, by the rules of fnmatch (a ``]`` right after it is a member)."""
    at = part.find("[")
    while at >= 0:
        start = at + 1
        if part[start : start + 1] == "!":
            start += 1
        end = part.find("]", start + 1)
        if end < 0:
            return True
        at = part.find("[", end + 1)
    return False
