"""How much of KQL is answered, and answered rightly: ``python -m bench.kql REFERENCE_DIRECTORY``.

Compares with recorded answers (``emulator_cases.jsonl``), with documented examples (``doc_cases.jsonl``), and
translates and runs public rules (``sentinel_rules.jsonl``) over the services' tables. Prints equal, refused
(by what is missing) and wrong, and the time that translation takes.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from gapless import clock
from gapless.model.errors import GaplessError
from gapless.model.tables import Column, TableSchema, known_tables
from gapless.query.engine import execute
from gapless.query.kql.errors import KqlError
from gapless.query.kql.translate import translate_knowing
from gapless.query.kql.values.values import parse_datetime, parse_timespan
from gapless.query.request import QueryRequest, QueryResult, TableFiles
from gapless.services.generate import table_lines

_EMULATOR_TYPES = {
    "int": "Int",
    "long": "Int",
    "real": "Real",
    "string": "String",
    "bool": "Bool",
    "dynamic": "Dynamic",
}
_EMULATOR_TYPES |= {"datetime": "DateTime", "timespan": "TimeSpan", "guid": "Guid", "decimal": "Real"}
_ORDERED = re.compile(r"\b(?:sort|order|top)\b")
_UNREPEATABLE = re.compile(r"\b(?:now|ago|rand|new_guid)\(|innerunique|\|\s*sample\b")
#: Examples whose table is not the answer to their query: it shows other input than the query has, a part
#: alone, or numbers and texts in forms that the engine of the documentation does not have.
_MISPRINTED = re.compile(
    r"bin\(time\(16d\), 7d\)|strcat\('Number is '|arr_(?:acos|atan|cos|sin|tan) = series_"
    r"|with_const = series_fill_linear|\"GeometryCollection\", \"geometries\""
    r"|print polygons_union_centroid|distinct name, id, longitude|individual_polygon_coordinates"
)
_UNCOMPARABLE = re.compile(f"{_UNREPEATABLE.pattern}|{_MISPRINTED.pattern}")
#: A link in Markdown, by its text or by itself.
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)|<(https?://[^>]*)>")
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Infinity)")


@dataclass
class Tally:
    """Outcomes of one set of cases."""

    equal: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    missing: collections.Counter[str] = field(default_factory=collections.Counter)
    failed: list[tuple[str, str]] = field(default_factory=list)
    skipped: int = 0

    @property
    def total(self) -> int:
        return self.equal + len(self.wrong) + len(self.refused) + len(self.failed)

    def line(self, name: str) -> str:
        share = 100 * self.equal / max(1, self.total)
        return (
            f"{name:10} equal {self.equal}/{self.total} ({share:.1f} %), wrong {len(self.wrong)}, "
            f"refused {len(self.refused)}, failed {len(self.failed)}, not comparable {self.skipped}"
        )


def answer(text: str, tables: tuple[TableFiles, ...] = ()) -> QueryResult:
    """The engine's answer, in this process."""
    return execute(QueryRequest(text=text, language="kql", tables=tables))


def cases(path: Path) -> Iterator[dict[str, Any]]:
    """The cases of a file of JSON lines."""
    with path.open() as lines:
        for line in lines:
            yield json.loads(line)


# Recorded answers -------------------------------------------------------------------------------------------


def emulator_text(value: Any, kind: str) -> str:
    """A value as the recorded answers write it."""
    if value is None:
        return "null"
    if kind in ("string", "guid"):
        return f"'{value}'"
    if kind == "bool":
        return str(value)
    if kind == "dynamic":
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if kind == "real":
        return str(value) if isinstance(value, str) else repr(float(value))
    return str(value)


def same_text(ours: str, theirs: str) -> bool:
    """Whether two texts are equal but for how they write the same numbers."""
    if ours == theirs:
        return True
    if _NUMBER.sub("#", ours) != _NUMBER.sub("#", theirs):
        return False
    pairs = zip(_NUMBER.findall(ours), _NUMBER.findall(theirs), strict=True)
    return all(a == b or abs(float(a) - float(b)) <= 1e-9 * max(1.0, abs(float(a))) for a, b in pairs)


def same_rows(ours: Sequence[str], theirs: Sequence[str], ordered: bool) -> bool:
    """Whether the rows are equal; in any order unless ``ordered``."""
    if len(ours) == len(theirs) and all(map(same_text, ours, theirs)):
        return True
    if ordered:
        return False
    left = list(ours)
    for row in theirs:
        match = next((index for index, each in enumerate(left) if same_text(each, row)), None)
        if match is None:
            return False
        left.pop(match)
    return True


def _flat(text: str) -> str:
    """A row without the line breaks and blanks of indented JSON."""
    return re.sub(r"\n\s*", "", text).replace('": ', '":')


def compare_recorded(case: dict[str, Any], result: QueryResult) -> str | None:
    """What differs from a recorded answer; None if nothing does."""
    recorded = case["Kusto"]
    columns = [f"{column.name}:{_EMULATOR_TYPES[column.type]}" for column in result.columns]
    wanted = recorded["Columns"]
    random_names = any("___obj_" in name for name in wanted)
    if columns != wanted and not random_names:
        return f"columns {columns} not {wanted}"
    if len(result.rows) != recorded["RowCount"]:
        return f"{len(result.rows)} rows, not {recorded['RowCount']}"
    kinds = [column.type for column in result.columns]
    ours = [_flat(f"({', '.join(map(emulator_text, row, kinds))})") for row in result.rows]
    theirs = [_flat(row) for row in recorded["SampleRows"]]
    query = case["Kql"]
    last_sort = _ORDERED.search(query) is not None and not re.search(r"summarize[^|]*$|mv-", query)
    if not same_rows(ours, theirs, last_sort and len(ours) == len(theirs)):
        return f"{ours[:4]} not {theirs[:4]}"
    return None


def run_recorded(path: Path) -> tuple[Tally, Tally]:
    """Answers that were recorded, and errors that were."""
    answers, errors = Tally(), Tally()
    for case in cases(path):
        if case["Outcome"] == "Nondeterministic":
            answers.skipped += 1
            continue
        tally = answers if case["Outcome"] == "Result" else errors
        result = _attempt(tally, case["Kql"])
        if result is None:
            continue
        if case["Outcome"] != "Result":
            tally.wrong.append((case["Kql"], "answered what the emulator refuses"))
            continue
        difference = compare_recorded(case, result)
        _count(tally, case["Kql"], difference)
    return answers, errors


def _attempt(tally: Tally, text: str, tables: tuple[TableFiles, ...] = ()) -> QueryResult | None:
    try:
        return answer(text, tables)
    except KqlError as error:
        tally.refused.append((text, str(error)))
        tally.missing[error.missing or "refused: " + re.sub(r"^line.*?: ", "", str(error))[:70]] += 1
    except GaplessError as error:
        tally.failed.append((text, str(error)))
    return None


def _count(tally: Tally, text: str, difference: str | None) -> None:
    if difference is None:
        tally.equal += 1
    else:
        tally.wrong.append((text, difference))


# Documented examples ----------------------------------------------------------------------------------------


def markdown_table(text: str) -> tuple[list[str], list[list[str]]] | None:
    """The header and the rows of a Markdown table."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip().startswith("|")]
    if len(lines) < 2 or not re.fullmatch(r"[|:\- ]+", lines[1]):
        return None
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))] for line in lines]
    width = len(rows[0])
    if any(len(row) != width for row in rows[2:]):
        return None
    return rows[0], rows[2:]


def same_cell(value: Any, kind: str, cell: str) -> bool:
    """Whether a value is what a documented cell shows."""
    cell = cell.replace("\\|", "|").replace("&lt;", "<").replace("&gt;", ">").strip().strip("`").strip()
    cell = cell.replace("∞", "Infinity").strip("<>") if kind == "real" else cell
    if value is None or value == "":
        return cell in ("", "null", "&nbsp;", '""', "NULL", "(null)")
    if kind == "datetime":
        return parse_datetime(str(value)) == parse_datetime(re.sub(r"(\d)\s+(\d)", r"\1 \2", cell))
    if kind == "timespan":
        return parse_timespan(str(value)) == parse_timespan(cell)
    if kind == "bool":
        return cell.lower() in (("true", "1") if value else ("false", "0"))
    if isinstance(value, str) and kind == "real":
        return value.lower() == cell.lower()
    if kind in ("real", "int", "long"):
        try:
            shown = float(cell.replace(",", ""))
        except ValueError:
            return False
        digits = len(cell.split(".")[1].split("E")[0]) if "." in cell else 0
        return abs(shown - value) <= max(1e-9 * abs(value), 0.51 * 10**-digits if digits else 1e-9)
    if kind == "dynamic":
        try:
            shown_json = json.loads(cell.replace("<br>", ""))
        except ValueError:
            return json.dumps(value).strip('"') == cell
        return _same_json(value, shown_json)
    cell = _LINK.sub(lambda match: match[1] or match[2], cell)
    return " ".join(str(value).split()) == " ".join(cell.split()) or str(value) == cell.strip('"')


def _same_json(a: Any, b: Any) -> bool:
    if isinstance(a, float | int) and isinstance(b, float | int) and not isinstance(a, bool):
        return abs(a - b) <= 1e-9 * max(1.0, abs(a))
    if isinstance(a, list) and isinstance(b, list):
        same = len(a) == len(b) and all(_same_json(x, y) for x, y in zip(a, b, strict=True))
        return same or sorted(map(json.dumps, a)) == sorted(map(json.dumps, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same_json(a[k], b[k]) for k in a)
    if isinstance(a, str) and isinstance(b, str) and a != b:
        return parse_datetime(a) is not None and parse_datetime(a) == parse_datetime(b)
    return bool(a == b)


def compare_documented(table: tuple[list[str], list[list[str]]], result: QueryResult) -> str | None:
    """What differs from a documented table; None if nothing does."""
    header, rows = table
    kinds = [column.type for column in result.columns]
    if len(header) != len(kinds):
        return f"columns {[column.name for column in result.columns]} not {header}"
    if len(result.rows) < len(rows) or (
        len(result.rows) > len(rows) and not any("..." in c for r in rows for c in r)
    ):
        return f"{len(result.rows)} rows, not {len(rows)}"
    left = list(result.rows)
    for row in rows:
        if all(cell in ("...", "…") for cell in row):
            continue
        match = next((i for i, each in enumerate(left) if all(map(same_cell, each, kinds, row))), None)
        if match is None:
            return f"{result.rows[:3]} lacks {row}"
        left.pop(match)
    return None


def run_documented(path: Path) -> Tally:
    """The examples of the documentation that need no table."""
    tally = Tally()
    for case in cases(path):
        table = markdown_table(case["out"])
        if not case["self"] or table is None or _UNCOMPARABLE.search(case["q"]):
            tally.skipped += 1
            continue
        result = _attempt(tally, case["q"])
        if result is not None:
            _count(tally, case["q"], compare_documented(table, result))
    return tally


# Rules ------------------------------------------------------------------------------------------------------


def rule_tables(schemas: Path | None) -> dict[str, TableSchema]:
    """The services' tables, and with ``schemas`` Azure Monitor's by their published columns."""
    tables: dict[str, TableSchema] = {}
    if schemas is None:
        return dict(known_tables())
    for name, columns in json.loads(schemas.read_text()).items():
        kept = [Column(c, k) for c, k in columns.items() if k in _JSON_TYPES]
        tables[name] = TableSchema(name, tuple(kept))
    return tables | dict(known_tables())


def names_tables(text: str, known: set[str], published: set[str]) -> bool:
    """Whether a rule reads known tables alone: none of the published ones that are not, no function that a
    workspace has saved, and no external data."""
    plain = re.sub(r"//[^\n]*|\"[^\"\n]*\"|'[^'\n]*'", " ", text)
    words = set(re.findall(r"\w+", plain))
    saved = {word for word in words if re.match(r"_?(?:Im_|im[A-Z]|ASim|_GetWatchlist)", word)}
    return (
        bool(words & known)
        and not (words & (published - known))
        and not saved
        and "externaldata" not in words
    )


def run_rules(
    path: Path, schemas: Path | None, published: set[str], data: dict[str, str]
) -> tuple[Tally, list[float]]:
    """Translate and run the rules that read known tables alone: the services', and with ``schemas`` all that
    are published."""
    tables = rule_tables(schemas)
    files = {name: TableFiles(table, tuple(filter(None, [data.get(name)]))) for name, table in tables.items()}
    tally, seconds = Tally(), []
    for case in cases(path):
        text = case["query"]
        started = time.perf_counter()
        try:
            known = translate_knowing((), text, tables.values(), clock.now_us())
        except KqlError as error:
            if not names_tables(text, set(tables), published) or (error.missing or "").startswith("table "):
                tally.skipped += 1
                continue
            tally.refused.append((text, str(error)))
            tally.missing[error.missing or "refused: " + re.sub(r"^line.*?: ", "", str(error))[:70]] += 1
            continue
        finally:
            seconds.append(time.perf_counter() - started)
        try:
            answer(text, tuple(files[name] for name in known.tables))
            tally.equal += 1
        except KqlError as error:
            tally.refused.append((text, str(error)))
            tally.missing[f"refused over the data: {str(error)[:70]}"] += 1
        except GaplessError as error:
            tally.failed.append((text, str(error)))
    return tally, seconds


_JSON_TYPES = {"string": "VARCHAR", "int": "INTEGER", "long": "BIGINT", "real": "DOUBLE", "bool": "BOOLEAN"}
_JSON_TYPES |= {"datetime": "TIMESTAMPTZ", "dynamic": "JSON", "timespan": "VARCHAR", "guid": "VARCHAR"}


def generate(directory: Path, records: int, names: Iterable[str] = known_tables()) -> dict[str, str]:
    """Parquet files of the services' tables, one each, of a record each second up to now."""
    found = {}
    start_us = clock.now_us() - records * 1_000_000
    for name in names:
        table = known_tables()[name]
        lines = directory / f"{name}.ndjson"
        lines.write_bytes(
            b"\n".join(table_lines(name, records=records, seed=1, start_us=start_us, rate_per_s=1.0))
        )
        columns = ", ".join(f"'{column.name}': '{_JSON_TYPES[column.type]}'" for column in table.columns)
        path = directory / f"{name}.parquet"
        duckdb.sql(
            f"COPY (FROM read_json('{lines}', format = 'newline_delimited', columns = {{{columns}}}))"
            f" TO '{path}' (FORMAT parquet)"
        )
        found[name] = str(path)
    return found


def _report(name: str, tally: Tally, shown: int) -> None:
    print(tally.line(name))
    for what, count in tally.missing.most_common(shown):
        print(f"    {count:4}  {what}")
    for kind, pairs in (("WRONG", tally.wrong), ("FAILED", tally.failed)):
        for text, what in pairs[:shown]:
            print(f"  {kind} {' '.join(text.split())[:300]}\n      {what[:600]}")


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="holds kql/ and schemas/")
    parser.add_argument("--records", type=int, default=2_000, help="of each table that rules run over")
    parser.add_argument("--shown", type=int, default=12)
    parser.add_argument("--only", choices=("emulator", "doc", "rules"))
    options = parser.parse_args(arguments if arguments is None else list(arguments))
    kql = options.directory / "kql"
    wrong = 0
    if options.only in (None, "emulator"):
        answers, errors = run_recorded(kql / "emulator_cases.jsonl")
        _report("emulator", answers, options.shown)
        print(f"    where the emulator refuses: refused {len(errors.refused)}, answered {len(errors.wrong)}")
        wrong += len(answers.wrong)
    if options.only in (None, "doc"):
        documented = run_documented(kql / "doc_cases.jsonl")
        _report("documented", documented, options.shown)
        wrong += len(documented.wrong)
    if options.only in (None, "rules"):
        schemas = options.directory / "schemas" / "azure_monitor_tables.json"
        published = set(json.loads(schemas.read_text()))
        with tempfile.TemporaryDirectory() as directory:
            data = generate(Path(directory), options.records)
            rules, _ = run_rules(kql / "sentinel_rules.jsonl", None, published, data)
        _report("rules over the services' tables", rules, options.shown)
        rules, seconds = run_rules(kql / "sentinel_rules.jsonl", schemas, published, {})
        _report("rules over Azure Monitor's tables", rules, options.shown)
        seconds.sort()
        for share in (0.5, 0.99):
            print(f"    translation p{share * 100:g}: {seconds[int(len(seconds) * share)] * 1000:.2f} ms")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
