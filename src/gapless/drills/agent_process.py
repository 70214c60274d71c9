"""An agent with the fault in its uploader, as one process which ends with the drill.

Arguments: the drill's pid, the configuration file, the file that the fault marks, and ``then`` or ``now``:
an agent as it was in 2024 (no claims, nobody who replaces what is stuck, a spool that overwrites), or the
product as it is.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from gapless.agent.channel import Channel
from gapless.agent.collect import collect
from gapless.agent.dispatch import UploadSettings
from gapless.agent.supervisor import Parts, run
from gapless.agent.transport import HttpTransport
from gapless.agent.upload import upload
from gapless.drills.faults import LockedTransport, OverwritingSpool, Router
from gapless.model.errors import GaplessError
from gapless.platform import logs
from gapless.process import die_with

#: A slow line: longer than the second in which an agent looks at its files once, so that there is always an
#: upload under way.
_UPLOAD_S = 1.2


def main(parent_pid: str, config: str, mark: str, age: str) -> int:
    die_with(int(parent_pid))
    logs.configure()
    faulty = partial(_faulty_upload, Path(mark))
    then = Parts(
        collect=partial(collect, new_spool=OverwritingSpool), upload=faulty, claim=None, watched=False
    )
    try:
        run(config, then if age == "then" else Parts(upload=faulty), _announce)
    except GaplessError as error:
        print(f"gapless: {error}", file=sys.stderr)
        return 1
    return 0


def _announce() -> None:
    print("ready", flush=True)


def _faulty_upload(mark: Path, channel: Channel) -> None:
    """An uploader's main whose threads share the faulty locks."""
    router = Router(mark, _UPLOAD_S)

    def new_transport(settings: UploadSettings) -> LockedTransport:
        return LockedTransport(HttpTransport(settings), router)

    upload(channel, new_transport)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
