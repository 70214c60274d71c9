"""What the kernel is told about a process that runs one query: it may compute, and read its files.

Everything here can only be taken away, never given back, and binds what the process does from then on
whatever code runs in it: a fault in the engine that gives an attacker the process gives him nothing else.
Linux only; Landlock (kernel 5.13 and later) is used where the kernel has it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Iterable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38

# linux/landlock.h; the numbers of these system calls are the same on all architectures.
_SYS_LANDLOCK_CREATE_RULESET = 444
_SYS_LANDLOCK_ADD_RULE = 445
_SYS_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1
_LANDLOCK_ACCESS_FS_READ_FILE = 1 << 2
#: How many kinds of file access each version of Landlock can take away: the lowest bits of a mask.
_FILE_ACCESS_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NETWORK_FROM_VERSION, _ALL_NETWORK = 4, 0b11
_SCOPES_FROM_VERSION, _ALL_SCOPES = 6, 0b11

_libc = ctypes.CDLL(None, use_errno=True)


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneathAttributes(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def die_with_parent(parent_pid: int) -> None:
    """Have this process killed when its parent ends, even if that is killed itself."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent_pid:  # it ended before the line above
        os.kill(os.getpid(), signal.SIGKILL)


def limit_resources(data_bytes_more: int) -> None:
    """From here on: ``data_bytes_more`` of memory at most, no file written, no core, no new privilege; and
    where memory runs out for all, this process goes first."""
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    Path("/proc/self/oom_score_adj").write_text("1000")
    data_bytes_max = _data_bytes() + data_bytes_more
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes_max, data_bytes_max))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))


def landlock_version() -> int:
    """The version of Landlock that the kernel offers, 0 where it offers none."""
    version = _libc.syscall(
        _SYS_LANDLOCK_CREATE_RULESET,
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint32(_LANDLOCK_CREATE_RULESET_VERSION),
    )
    return max(0, int(version))


def allow_only_reading(paths: Iterable[str]) -> None:
    """From here on this thread, and those it starts, open the files at ``paths`` for reading and nothing
    else: no other file, no directory, no TCP port, no other process. Does nothing without Landlock.

    Raises FileNotFoundError if one of the paths is gone.
    """
    version = landlock_version()
    if not version:
        return
    attributes = _RulesetAttributes(
        handled_access_fs=(1 << _FILE_ACCESS_BITS.get(version, 16)) - 1,
        handled_access_net=_ALL_NETWORK if version >= _NETWORK_FROM_VERSION else 0,
        scoped=_ALL_SCOPES if version >= _SCOPES_FROM_VERSION else 0,
    )
    ruleset = _checked(
        _libc.syscall(
            _SYS_LANDLOCK_CREATE_RULESET,
            ctypes.byref(attributes),
            ctypes.c_size_t(_size_known_to(version)),
            ctypes.c_uint32(0),
        ),
        "landlock_create_ruleset",
    )
    for path in paths:
        _allow_reading(ruleset, path)
    _checked(
        _libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)),
        "landlock_restrict_self",
    )
    os.close(ruleset)


def _size_known_to(version: int) -> int:
    """How much of the attributes a kernel of this version knows; it refuses more unless the rest is 0."""
    return ctypes.sizeof(_RulesetAttributes) if version >= _NETWORK_FROM_VERSION else 8


def _allow_reading(ruleset: int, path: str) -> None:
    file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathBeneathAttributes(_LANDLOCK_ACCESS_FS_READ_FILE, file)
        _checked(
            _libc.syscall(
                _SYS_LANDLOCK_ADD_RULE,
                ctypes.c_int(ruleset),
                ctypes.c_int(_LANDLOCK_RULE_PATH_BENEATH),
                ctypes.byref(rule),
                ctypes.c_uint32(0),
            ),
            "landlock_add_rule",
        )
    finally:
        os.close(file)


def _data_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmData in /proc/self/status")


def _checked(result: int, call: str) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")
    return result
