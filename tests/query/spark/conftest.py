"""A lake of two tenants, and one Spark for all tests, where Spark can run."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gapless.model.tables import known_tables
from gapless.query.request import QueryLimits, QueryRequest, TableFiles
from gapless.services.generate import table_lines
from lake.lake_harness import NOW_US, World, batch, stream_of

START_US = 1_725_148_800_000_000  # 2024-09-01
TABLES = {"SigninLogs": 900, "AuditLogs": 300, "AzureActivity": 300}
#: A record each so often.
_STEP_S = 20.0

Ask = Callable[..., QueryRequest]


@pytest.fixture(scope="session")
def session() -> Iterator[Any]:
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java: install a JRE (Debian: default-jre-headless)")
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("Spark is not installed: make spark, or pip install 'gapless[spark]'")
    from gapless.query.spark.engine import open_session

    found = open_session("local[2]", spark_sql_shuffle_partitions="2", spark_log_level="ERROR")
    yield found
    found.stop()


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[TableFiles, ...]:
    """The tables of contoso by the lake's catalogue, whose other tenant has rows of its own."""
    world = World(Path(tmp_path_factory.mktemp("world")))
    for tenant, seed in (("contoso", 1), ("fabrikam", 2)):
        for name, records in TABLES.items():
            lines = list(
                table_lines(name, records=records, seed=seed, start_us=START_US, rate_per_s=1 / _STEP_S)
            )
            stream, half = stream_of(tenant, name), records // 2
            # Two batches, so that there are several files.
            world.append(batch(lines[:half], stream=stream))
            world.append(batch(lines[half:], stream=stream, first=half))
    with contextlib.closing(world.open()) as lake:
        while lake.step(NOW_US).entries:
            pass
        contents = {name: lake.catalog.content("contoso", name) for name in TABLES}
    return tuple(
        TableFiles(known_tables()[name], tuple(file.path for file in content.files))
        for name, content in contents.items()
    )


@pytest.fixture(scope="session")
def ask(tables: tuple[TableFiles, ...]) -> Ask:
    """Make a request of contoso."""

    def make(text: str, **more: Any) -> QueryRequest:
        more.setdefault("limits", QueryLimits(time_s_max=300.0))
        return QueryRequest(text=text, language="kql", tables=tables, **more)

    return make
