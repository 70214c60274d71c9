"""The page of cases and the tests that carry their numbers say the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "internals" / "cases.md"
LIST = ROOT.parent / "shared" / "CASES.md"
WHY_NONE = "*Cannot happen here:* "


class Row(NamedTuple):
    """A row of the page: the case, what happens here, and the tests, as ``path::name``."""

    case: str
    outcome: str
    tests: tuple[str, ...]


def rows() -> list[Row]:
    found = []
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.split(" |")] if line.startswith("| ") else []
        if len(cells) == 5 and cells[0] not in ("| case", "| ---"):
            found.append(
                Row(cells[0][2:], cells[2].removeprefix("| "), tuple(re.findall(r"`([^`]+::\w+)`", cells[3])))
            )
    return found


def carried() -> Iterator[tuple[str, str]]:
    """Every case that a test carries: (case, path::name)."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = path.read_text("utf-8")
        if "mark.case(" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for case in _cases(node):
                    yield case, f"{path.relative_to(ROOT)}::{node.name}"


def _cases(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for mark in node.decorator_list:
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.case":
            for argument in mark.args:
                yield ast.literal_eval(argument)


def test_every_test_that_is_named_carries_the_case_and_every_one_that_carries_it_is_named() -> None:
    said = {(row.case, test) for row in rows() for test in row.tests}
    assert said == set(carried())


def test_a_case_without_a_test_says_why() -> None:
    assert [row.case for row in rows() if not row.tests and not row.outcome.startswith(WHY_NONE)] == []


@pytest.mark.skipif(not LIST.exists(), reason="the list of cases is not beside this checkout")
def test_no_case_of_the_list_is_left_out() -> None:
    listed = re.findall(r"^\| (T\d+[ab]?|`[\w.-]+`) \|", LIST.read_text("utf-8"), re.MULTILINE)
    assert [row.case for row in rows()] == [case.strip("`") for case in listed]
