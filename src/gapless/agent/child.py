"""A child of the supervisor: forked, reported by, told, stopped, killed."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ, BaseSelector
from typing import Any

import msgspec

from gapless.agent.channel import MESSAGE_BYTES_MAX, Channel, Order, Report, Stopped
from gapless.agent.config import AgentConfig
from gapless.model.errors import GaplessError
from gapless.process import die_with, spare_memory

Main = Callable[[Channel], Any]

_DEFECT = 70


class Child:
    """A running child process, registered with ``selector``. ``keeps_stdin``: it alone may read the agent's
    standard input."""

    def __init__(
        self, name: str, main: Main, config: AgentConfig, selector: BaseSelector, *, keeps_stdin: bool = False
    ) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        supervisor = os.getpid()
        self.name = name
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            os._exit(_child(main, Channel(theirs, config), supervisor, keeps_stdin))
        theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self._selector = selector
        selector.register(ours, EVENT_READ, self)
        self.started_s = time.monotonic()
        self.report = Report()

    def take_reports(self) -> None:
        """Take in what the child said; the last word counts."""
        while True:
            try:
                message = self._socket.recv(MESSAGE_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:  # it will say nothing more
                self._unregister()
                return
            self.report = msgspec.json.decode(message, type=Report)

    def tell(self, order: Order) -> None:
        """Never blocks: a child that does not read finds it out when it is replaced."""
        try:
            self._socket.send(order.encode())
        except OSError:
            pass

    def ended(self) -> str | None:
        """How it ended, in words, its last report taken in; None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        self.take_reports()
        code = os.waitstatus_to_exitcode(status)
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def kill(self) -> None:
        """End it, whatever it does, also when it is stopped; its end is seen by ``ended``."""
        os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        self._unregister()
        self._socket.close()

    def _unregister(self) -> None:
        with suppress(KeyError):
            self._selector.unregister(self._socket)


def _child(main: Main, channel: Channel, supervisor: int, keeps_stdin: bool) -> int:
    """What the forked process does; return its exit code."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGHUP, signal.SIGINT))
        os.setsid()
        die_with(supervisor)
        spare_memory()
        if not keeps_stdin:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        main(channel)
    except Stopped:
        return 0
    except GaplessError as error:
        channel.report(Report(error=str(error)))
        return 1
    except BaseException:
        with suppress(OSError, ValueError):  # a full disk under the log is no reason for another end
            traceback.print_exc(file=sys.stderr)
        return _DEFECT
    return 0
