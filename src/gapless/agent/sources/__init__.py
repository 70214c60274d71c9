"""Where an agent's records come from. Each source is polled, read within a budget, and restored from the
cursors that were made durable together with its records."""

from gapless.agent.sources.events import Chunk, FileCursor, Problem, Skipped
from gapless.agent.sources.files import FileSource
from gapless.agent.sources.observe import Attention, Observed, observe
from gapless.agent.sources.oshost import OsHost
from gapless.agent.sources.pipe import KeptPipe
from gapless.agent.sources.port import SourceHost
from gapless.agent.sources.settings import FileSettings
from gapless.agent.sources.stdin import StdinSource

__all__ = [
    "Attention",
    "Chunk",
    "FileCursor",
    "FileSettings",
    "FileSource",
    "KeptPipe",
    "Observed",
    "OsHost",
    "Problem",
    "Skipped",
    "SourceHost",
    "StdinSource",
    "observe",
]
