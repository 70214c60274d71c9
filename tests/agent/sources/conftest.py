from __future__ import annotations

from collections.abc import Iterator

import pytest
from source_rig import RIGS


@pytest.fixture(autouse=True)
def _close_sources() -> Iterator[None]:
    yield
    while RIGS:
        RIGS.pop().source.close()
