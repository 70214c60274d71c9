"""What the catalogue promises to its readers and its one writer."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gapless.lake.balance import imbalances
from gapless.lake.catalog import Catalog
from gapless.lake.changes import NewFile, NewPosting, StepCommit
from gapless.lake.commits import CatalogWriter
from gapless.lake.facts import EpochKey, Notice
from gapless.model.errors import Corrupt, Misconfigured, Unavailable

KEY = EpochKey("contoso", "App_CL", "s" * 32, "e" * 32)


@pytest.fixture
def catalog(tmp_path: Path) -> CatalogWriter:
    return CatalogWriter(str(tmp_path / "lake"))


def commit(
    catalog: CatalogWriter,
    *ranges: tuple[int, int],
    key: EpochKey = KEY,
    account: str = "stored",
    duplicates: int = 0,
) -> None:
    position = catalog.position()
    step = StepCommit(position, position + 10)
    for first, next_ in ranges:
        step.post(NewPosting(key, account, first, next_, position, position + 10))  # type: ignore[arg-type]
    if duplicates:
        step.duplicates[key] = duplicates
    records = sum(next_ - first for first, next_ in ranges)
    if records:
        path = f"tables/{key.tenant}/{key.table}/{position}.parquet"
        holds = {key[2:]: np.array(ranges)}
        step.files.append(
            NewFile(key.tenant, key.table, "2024-09-02", path, records, records, 9, 5, 7, 8, "", holds)
        )
    catalog.commit_step(step, position + 1)


def ranges_of(catalog: Catalog) -> list[tuple[int, int]]:
    with catalog.reading() as connection:
        return [
            (row[0], row[1])
            for row in connection.exec_driver_sql("SELECT first, next FROM accounted ORDER BY 1")
        ]


def test_ranges_are_kept_merged(catalog: CatalogWriter) -> None:
    commit(catalog, (0, 5))
    commit(catalog, (7, 9), (20, 30))
    assert ranges_of(catalog) == [(0, 5), (7, 9), (20, 30)]
    commit(catalog, (5, 7))
    assert ranges_of(catalog) == [(0, 9), (20, 30)]
    commit(catalog, (30, 31), (9, 20))
    assert ranges_of(catalog) == [(0, 31)]
    assert imbalances(catalog) == []


@pytest.mark.parametrize("twice", [(0, 1), (4, 6), (3, 4), (9, 10), (0, 20), (5, 8)])
def test_nothing_is_accounted_for_twice(catalog: CatalogWriter, twice: tuple[int, int]) -> None:
    commit(catalog, (0, 5), (7, 10))
    before = (catalog.position(), catalog.postings_after(0, 9), catalog.files("contoso", "App_CL"))
    with pytest.raises(Corrupt):
        commit(catalog, twice)
    assert (catalog.position(), catalog.postings_after(0, 9), catalog.files("contoso", "App_CL")) == before
    assert ranges_of(catalog) == [(0, 5), (7, 10)]


def test_one_step_may_not_post_a_record_twice(catalog: CatalogWriter) -> None:
    with pytest.raises(Corrupt):
        commit(catalog, (0, 5), (4, 6))
    assert catalog.position() == 0


def test_epochs_and_streams_are_told_apart(catalog: CatalogWriter) -> None:
    other_epoch = KEY._replace(epoch="f" * 32)
    other_stream = KEY._replace(stream="t" * 32)
    for key in (KEY, other_epoch, other_stream):
        commit(catalog, (0, 3), key=key)
    postings = catalog.postings_after(0, 9)
    assert [(each.stream, each.epoch) for each in postings] == [
        key[2:] for key in (KEY, other_epoch, other_stream)
    ]


def test_postings_are_read_in_the_order_of_commits_page_by_page(catalog: CatalogWriter) -> None:
    for first in range(0, 50, 5):
        commit(catalog, (first + 2, first + 5))
        commit(catalog, (first, first + 2), account="quarantined")
    read: list[tuple[int, str]] = []
    last = 0
    while page := catalog.postings_after(last, 3):
        assert len(page) <= 3
        read += [(posting.first, posting.account) for posting in page]
        last = page[-1].id
    assert read == [
        each for first in range(0, 50, 5) for each in ((first + 2, "stored"), (first, "quarantined"))
    ]
    assert [each.account for each in catalog.postings_of(KEY.stream, KEY.epoch, 11)] == ["quarantined"]
    assert catalog.postings_of(KEY.stream, KEY.epoch, 50) == []
    assert catalog.postings_of(KEY.stream, "f" * 32, 11) == []


def test_duplicates_are_counted_and_change_nothing_else(catalog: CatalogWriter) -> None:
    commit(catalog, (0, 3))
    commit(catalog, duplicates=3)
    commit(catalog, key=KEY._replace(epoch="f" * 32), duplicates=2)
    with catalog.reading() as connection:
        counts = connection.exec_driver_sql("SELECT stored, duplicates FROM epoch ORDER BY id").all()
    assert counts == [(3, 3), (0, 2)]
    assert imbalances(catalog) == []


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("UPDATE epoch SET stored = stored + 1", "are in its ranges"),
        ("UPDATE accounted SET next = next + 1", "are in its ranges"),
        ("UPDATE epoch SET expired = 1", "its files hold"),
        ("DELETE FROM file", "its files hold"),
        ("UPDATE file SET records = 1", "its files hold"),
    ],
)
def test_books_that_do_not_balance_are_found(catalog: CatalogWriter, sql: str, told: str) -> None:
    commit(catalog, (0, 5), (7, 10))
    commit(catalog, (5, 6), account="quarantined")
    assert imbalances(catalog) == []
    with sqlite3.connect(f"{catalog.root}/catalog.db") as connection:
        connection.execute(sql)
    assert any(told in fault for fault in imbalances(catalog))


def test_readers_in_other_processes_see_commits_and_cannot_write(catalog: CatalogWriter) -> None:
    commit(catalog, (0, 5))
    script = (
        "import sys; from gapless.lake.catalog import Catalog; c = Catalog(sys.argv[1]); "
        "print(len(c.postings_after(0, 9))); input(); print(len(c.postings_after(0, 9)))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, catalog.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "1\n"
        commit(catalog, (5, 6))
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "2\n"
    assert process.returncode == 0
    reader = Catalog(catalog.root)
    with pytest.raises(Unavailable, match="readonly"), reader.reading() as connection:
        connection.exec_driver_sql("DELETE FROM posting")


def test_a_reader_is_not_kept_waiting_by_a_writing_transaction(catalog: CatalogWriter) -> None:
    commit(catalog, (0, 5))
    reader = Catalog(catalog.root)
    with catalog.writing(position=99) as connection:
        assert reader.position() == 10
        assert catalog.position() == 10
        connection.rollback()


def test_a_reader_may_come_before_the_lake(tmp_path: Path) -> None:
    reader = Catalog(str(tmp_path / "lake"))
    with pytest.raises(Unavailable):
        reader.position()
    CatalogWriter(str(tmp_path / "lake")).close()
    assert reader.position() == 0


def test_another_format_is_not_touched(catalog: CatalogWriter) -> None:
    catalog.close()
    with sqlite3.connect(f"{catalog.root}/catalog.db") as connection:
        connection.execute("UPDATE lake SET format = 999")
    with pytest.raises(Misconfigured, match="format 999"):
        CatalogWriter(catalog.root)
    with pytest.raises(Misconfigured, match="format 999"):
        Catalog(catalog.root).position()
    with sqlite3.connect(f"{catalog.root}/catalog.db") as connection:
        assert connection.execute("SELECT generation FROM lake").fetchone() == (1,)


def test_a_catalogue_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    root.mkdir()
    (root / "catalog.db").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(Corrupt):
        CatalogWriter(str(root))


def test_what_was_committed_is_there_after_reopening(catalog: CatalogWriter) -> None:
    commit(catalog, (0, 5))
    catalog.add_notice(Notice("kind", "text", 1, 2, "contoso", "App_CL"), 77)
    seen = (catalog.position(), catalog.postings_after(0, 9), catalog.files("contoso", "App_CL"))
    catalog.close()
    again = CatalogWriter(catalog.root)
    assert again.generation == catalog.generation + 1
    assert (again.position(), again.postings_after(0, 9), again.files("contoso", "App_CL")) == seen
    (row,) = again.notices_after(0, 9)
    assert (row.at_us, row.notice) == (77, Notice("kind", "text", 1, 2, "contoso", "App_CL"))
    assert again.notices_after(row.id, 9) == []


def test_a_commit_is_on_disk_when_it_returns(catalog: CatalogWriter) -> None:
    with catalog._writer.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
