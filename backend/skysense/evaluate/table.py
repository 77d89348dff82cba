"""The rows of an evaluation, printed as a table and written as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

Row = Mapping[str, object]


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows in aligned columns; numbers to the right, a missing value as a dash."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns] + [[_text(row.get(name)) for name in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    right = [all(not isinstance(row.get(name), str) for row in rows) for name in columns]
    for line in cells:
        print("  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right)).rstrip())


def write_json(rows: Sequence[Row], path: str | Path) -> None:
    """Write the rows as one JSON list; a missing value is null."""
    Path(path).write_text(json.dumps(list(rows), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
