"""Sample records of the catalogue's services: realistic, and the same for the same arguments everywhere.

The record at (service, table, seed, index) is always the same bytes but for its times, which follow from
``start_us`` and ``rate_per_s``. A record is one line of compact JSON in UTF-8, 300 to 3,072 bytes long, with
columns of its table only. Its ``id_column`` holds an id that occurs in no other record of any table, service
or seed, so that records can be counted by what is in them.

One process makes some 50,000 SigninLogs a second; the first record of a table and seed costs up to 50 ms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

from gapless.model.errors import Refused
from gapless.services import (
    azure_monitor,
    entra,
    healthcare,
    logic_apps,
    power_platform,
    sentinel,
    trusted_signing,
    virtual_desktop,
)
from gapless.services.catalogue import Service, service, services
from gapless.services.recipe import Printer, Recipe
from gapless.services.slots import TICKS_PER_SECOND

SERVICE_RECIPES: dict[str, tuple[Recipe, ...]] = {
    "entra": entra.RECIPES,
    "logic-apps": logic_apps.RECIPES,
    "healthcare": healthcare.RECIPES,
    "sentinel": sentinel.RECIPES,
    "azure-monitor": azure_monitor.RECIPES,
    "trusted-signing": trusted_signing.RECIPES,
    "virtual-desktop": virtual_desktop.RECIPES,
    "power-platform": power_platform.RECIPES,
}

#: TimeGenerated is at most this much later than due, and less where records follow each other faster: one may
#: be overtaken by its neighbours, but not by what comes seconds later.
JITTER_US_MAX = 2_000_000
_JITTER_INTERVALS_MAX = 1.5
_TICKS_PER_US = TICKS_PER_SECOND // 1_000_000
_LAST_US = (
    253_402_300_799_000_000 - JITTER_US_MAX
)  # the end of the year 9999, where ISO 8601 in 4 digits ends
_INDEX_MAX = 1 << 53  # up to here an index is exact as a float
_PRINTERS_KEPT_MAX = 128


def id_column(table: str) -> str:
    """The column of ``table`` that holds each record's unique id. Raises Refused for an unknown table."""
    return _recipe(_writer(table), table).id_column


def record_id(table: str, *, seed: int, index: int, service: Service | str | None = None) -> str:
    """The id in the record at ``index``; the arguments mean what they mean to ``table_lines``."""
    line = next(
        table_lines(
            table, records=1, seed=seed, start_us=0, rate_per_s=1.0, first_index=index, service=service
        )
    )
    found: str = msgspec.json.decode(line)[id_column(table)]
    return found


def table_lines(
    table: str,
    *,
    records: int,
    seed: int,
    start_us: int,
    rate_per_s: float,
    first_index: int = 0,
    service: Service | str | None = None,
) -> Iterator[bytes]:
    """``records`` lines of ``table`` from ``first_index`` on, without newlines.

    The record at index i is due ``i / rate_per_s`` seconds after ``start_us``, and its TimeGenerated is later
    than that by less than 1.5 intervals and 2 s. So a run can be cut into pieces by ``first_index``.

    A table that several services write to (AzureDiagnostics) is written as the catalogue's first of them
    does, unless ``service`` names another. Raises Refused, before anything is made, for names that are not
    in the catalogue and numbers out of range.
    """
    writer = _writer(table) if service is None else _resolve(service)
    recipe = _recipe(writer, table)
    _check_numbers(first_index, records, start_us, rate_per_s)
    return _lines(_printer(writer.name, recipe.table, seed), first_index, records, start_us, rate_per_s)


def generate(
    service: Service | str,
    *,
    records: int,
    seed: int,
    start_us: int,
    rate_per_s: float,
    tables: Sequence[str] | None = None,
) -> Iterator[tuple[str, bytes]]:
    """``records`` records of a service as (table, line without newline), its tables mixed by their shares.

    ``rate_per_s`` is the rate of all tables together. Each table's lines are those of ``table_lines`` from
    index 0 at the table's part of the rate. ``tables`` restricts the mix. Raises Refused as ``table_lines``
    does.
    """
    writer = _resolve(service)
    wanted = tuple(dict.fromkeys(writer.tables if tables is None else tables))
    if not wanted:
        raise Refused(f"no table was asked for: name some of {', '.join(writer.tables)}")
    recipes = [_recipe(writer, table) for table in wanted]
    _check_numbers(0, records, start_us, rate_per_s)
    return _mix(writer.name, recipes, records, seed, start_us, rate_per_s)


def _mix(
    service_name: str, recipes: list[Recipe], records: int, seed: int, start_us: int, rate_per_s: float
) -> Iterator[tuple[str, bytes]]:
    turns = _turns([recipe.share for recipe in recipes])
    sources = []
    for recipe in recipes:
        rate = rate_per_s * recipe.share / len(turns)
        printer = _printer(service_name, recipe.table, seed)
        sources.append((recipe.table, _lines(printer, 0, records, start_us, rate)))
    for count in range(records):
        table, lines = sources[turns[count % len(turns)]]
        yield table, next(lines)


def _turns(shares: Sequence[int]) -> list[int]:
    """A cycle in which position k comes up ``shares[k]`` times, as evenly spread as can be."""
    total = sum(shares)
    credit = [0] * len(shares)
    turns = []
    for _ in range(total):
        credit = [have + share for have, share in zip(credit, shares, strict=True)]
        turn = max(range(len(shares)), key=credit.__getitem__)
        credit[turn] -= total
        turns.append(turn)
    return turns


def _lines(
    printer: Printer, first_index: int, records: int, start_us: int, rate_per_s: float
) -> Iterator[bytes]:
    start_ticks = start_us * _TICKS_PER_US
    interval_us = 1_000_000 / rate_per_s
    jitter_ticks = int(min(_JITTER_INTERVALS_MAX * interval_us, JITTER_US_MAX) * _TICKS_PER_US)
    for index in range(first_index, first_index + records):
        due_ticks = start_ticks + int(index * TICKS_PER_SECOND / rate_per_s)
        yield printer.line(index, due_ticks, jitter_ticks)


@lru_cache(maxsize=_PRINTERS_KEPT_MAX)
def _printer(service_name: str, table: str, seed: int) -> Printer:
    return Printer(service_name, seed, _recipe(service(service_name), table))


def _resolve(chosen: Service | str) -> Service:
    return service(chosen if isinstance(chosen, str) else chosen.name)


def _writer(table: str) -> Service:
    """The first service of the catalogue that writes to ``table``."""
    for candidate in services():
        if table in candidate.tables:
            return candidate
    raise Refused(f"no service writes to a table {table!r}: use one that `gapless services list` shows")


def _recipe(writer: Service, table: str) -> Recipe:
    for recipe in SERVICE_RECIPES[writer.name]:
        if recipe.table == table:
            return recipe
    raise Refused(f"{writer.title} has no table {table!r}: use one of {', '.join(writer.tables)}")


def _check_numbers(first_index: int, records: int, start_us: int, rate_per_s: float) -> None:
    if records < 0 or first_index < 0 or first_index + records > _INDEX_MAX:
        raise Refused("records and first_index must not be negative, nor their sum above 2**53")
    if not (math.isfinite(rate_per_s) and rate_per_s > 0):
        raise Refused(f"a rate of {rate_per_s} records per second cannot be kept: use a number above 0")
    if start_us < 0 or start_us + (first_index + records) / rate_per_s * 1_000_000 > _LAST_US:
        raise Refused(
            "the records must lie between 1970 and 9999: choose another start, rate or number of records"
        )
