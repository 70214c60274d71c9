"""The same files through rsyslog and syslog-ng, where they are installed, set to lose nothing.

rsyslog: files, a queue on disk, RELP to a second rsyslog. syslog-ng: files, a reliable disk buffer, TCP to a
reader. Both are spared what they would do line by line, at some megabytes per second: rsyslog to sync its
queue and its receiver's file, syslog-ng to be answered (its protocol has no receipts). Only the sender is
counted, as with the agent; where the time is over before all has come, what came counts, and the sender's
CPU for what waits in its queue with it. Each runs in the foreground with a configuration of its own.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.inputs import Input
from bench.parts import line_of, process, wait_until
from bench.report import version_of
from bench.rounds import Measured, Meter, let_appear, stage, workspace

_RSYSLOG_SENDER = """
global(workDirectory="{work}/queue" maxMessageSize="64k")
module(load="imfile" mode="polling" pollingInterval="1")
module(load="omrelp")
template(name="line" type="string" string="%msg%")
input(type="imfile" file="{work}/in/*/*.log" tag="bench" ruleset="out" addMetadata="off" escapeLF="off")
ruleset(name="out") {{
  action(type="omrelp" target="127.0.0.1" port="{port}" template="line" queue.type="Disk"
    queue.filename="out" queue.maxDiskSpace="8g" queue.maxFileSize="64m"
    queue.checkpointInterval="1000" queue.dequeueBatchSize="1000" action.resumeRetryCount="-1")
}}
"""
_RSYSLOG_RECEIVER = """
global(workDirectory="{work}/receiver" maxMessageSize="64k")
module(load="imrelp")
template(name="line" type="string" string="%rawmsg%\\n")
input(type="imrelp" address="127.0.0.1" port="{port}" ruleset="in")
ruleset(name="in") {{
  action(type="omfile" file="{work}/received" template="line")
}}
"""
_SYSLOG_NG = """@version: 3.35
options {{ log-msg-size(65536); stats-freq(0); }};
source files {{
  wildcard-file(base-dir("{work}/in") filename-pattern("*.log") recursive(yes) flags(no-parse)
    follow-freq(1) log-iw-size(10000));
}};
destination out {{
  network("127.0.0.1" port({port}) transport("tcp") template("${{MESSAGE}}\\n")
    disk-buffer(reliable(yes) disk-buf-size(8589934592) mem-buf-size(67108864) dir("{work}/queue")));
}};
log {{ source(files); destination(out); flags(flow-control); }};
"""


#: Directory, records, bytes of raw log, and after how many seconds to stop although not all of it came.
PeerRound = Callable[[str, Input, int, float], Measured]

NAMES = ("rsyslog", "syslog-ng")


def installed() -> dict[str, tuple[str, PeerRound]]:
    """The peers that are here: version, and what measures a round."""
    found: dict[str, tuple[str, PeerRound]] = {}
    if program := _which("rsyslogd"):
        found["rsyslog"] = (version_of(program, "-v").split("  ")[0], rsyslog_round)
    if program := _which("syslog-ng"):
        found["syslog-ng"] = (version_of(program, "--version"), syslog_ng_round)
    return found


def rsyslog_round(work: str, kind: Input, raw_bytes: int, seconds: float) -> Measured:
    """What the sending rsyslog uses."""
    with workspace(work):
        port = _free_port()
        for name in ("queue", "receiver", "in"):
            os.makedirs(f"{work}/{name}")
        receiver = _configured(work, "receiver.conf", _RSYSLOG_RECEIVER, port)
        sender = _configured(work, "sender.conf", _RSYSLOG_SENDER, port)
        with _rsyslog(work, "receiver", receiver), _rsyslog(work, "sender", sender) as pid:
            return _measured(work, kind, raw_bytes, seconds, pid, lambda: _size(f"{work}/received"))


def syslog_ng_round(work: str, kind: Input, raw_bytes: int, seconds: float) -> Measured:
    """What syslog-ng uses."""
    with workspace(work):
        os.makedirs(f"{work}/queue")
        os.makedirs(f"{work}/in")
        with process((sys.executable, "-m", "bench.sink", f"{work}/received"), f"{work}/sink.err") as sink:
            configuration = _configured(work, "syslog-ng.conf", _SYSLOG_NG, int(line_of(sink)))
            arguments = (_which("syslog-ng"), "-F", "--no-caps", "-f", configuration, "-R", f"{work}/persist",
                         "-p", f"{work}/pid", "-c", f"{work}/control")  # fmt: skip
            with process(arguments, f"{work}/syslog-ng.err") as running:
                return _measured(
                    work, kind, raw_bytes, seconds, running.pid, lambda: _number(f"{work}/received")
                )


def _measured(
    work: str, kind: Input, raw_bytes: int, seconds: float, pid: int, received: Callable[[], int]
) -> Measured:
    written = stage(work, kind, raw_bytes)
    meter = Meter([pid], lambda pid: "sender")
    with meter.memory:
        let_appear(work, f"{work}/in")
        wait_until(lambda: received() > 0, 60, "the first record")
        meter.start()
        by_s = time.monotonic() + seconds
        came = 0
        while came < written.raw_bytes and time.monotonic() < by_s:
            time.sleep(0.05)
            came = max(came, received())
        return meter.stop(came)


@contextmanager
def _rsyslog(work: str, name: str, configuration: str) -> Iterator[int]:
    arguments = (_which("rsyslogd"), "-n", "-f", configuration, "-i", f"{work}/{name}.pid")
    with process(arguments, f"{work}/{name}.err") as running:
        yield running.pid


def _configured(work: str, name: str, text: str, port: int) -> str:
    Path(f"{work}/{name}").write_text(text.format(work=work, port=port))
    return f"{work}/{name}"


def _which(program: str) -> str:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _size(path: str) -> int:
    return os.stat(path).st_size if os.path.exists(path) else 0


def _number(path: str) -> int:
    text = Path(path).read_text() if os.path.exists(path) else ""
    return int(text or 0)
