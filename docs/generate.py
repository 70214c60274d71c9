"""Writes docs/reference from the code: run it as ``make docs``. Tests compare what it would write."""

from __future__ import annotations

from pathlib import Path

from generator.commands import commands_page
from generator.errors import errors_page
from generator.http import http_page
from generator.kql import kql_page
from generator.metrics import metrics_page
from generator.settings import settings_page
from generator.tables import tables_page

REFERENCE = Path(__file__).parent / "reference"

PAGES = {
    "commands.md": commands_page,
    "settings.md": settings_page,
    "http.md": http_page,
    "metrics.md": metrics_page,
    "errors.md": errors_page,
    "kql.md": kql_page,
    "tables.md": tables_page,
}


def main() -> None:
    REFERENCE.mkdir(exist_ok=True)
    for name, written in PAGES.items():
        (REFERENCE / name).write_text(written(), "utf-8")


if __name__ == "__main__":
    main()
