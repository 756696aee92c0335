"""What is kept of a measurement: the report as JSON, its rows as CSV, and figures."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Report = dict[str, Any]


def write_report(folder: Path, name: str, report: Report) -> Path:
    """Write a report as JSON, and its rows as CSV if it has any; return the path of the JSON.

    Args:
        folder: exists already.
        name: of the files, without suffix.
        report: plain data; its rows are in `rows` or `timings`, or are the memory of the last run.
    """
    path = folder / f"{name}.json"
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if rows := report.get("rows") or report.get("timings") or last_memory(report):
        _write_rows(folder / f"{name}.csv", rows)
    return path


def last_memory(report: Report) -> list[dict[str, Any]]:
    """Return the memory of the perception process in the last run of a report end to end; empty for other reports."""
    entries = list(report.get("faces", {}).values())
    return entries[-1]["runs"][-1]["memory"] if entries else []


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of single values; the others are in the JSON only."""
    columns = [key for key, value in rows[0].items() if not isinstance(value, dict)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({key: row[key] for key in columns} for row in rows)
