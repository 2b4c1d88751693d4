"""Update a document's tables from benchmarks/results.

    python benchmarks/tables.py [docs/performance.md]

Tables follow a line `<!-- NAME -->` or `<!-- NAME: PREFIX -->`: the rows of each benchmarks/results/NAME/KIND.json,
either all or those whose names begin with PREFIX, which is then left out, under the processor and the date.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from side_by_side import RESULTS, Row, load_results

from ham_keras.files import save_text

MARKED = re.compile(r"<!-- (?P<name>\w+)(: (?P<prefix>.+?))? -->\n(\n\*.+\*\n\n(\|.*\n)+)*")


def update(document: str, results: Path = RESULTS) -> str:
    """Return the document with every marked table rendered from the results."""

    def table(found: re.Match[str]) -> str:
        marker, prefix = found[0].partition("\n")[0], found["prefix"] or ""
        text = f"{marker}\n"
        for kind, content in load_results(found["name"], results).items():
            rows = [
                row | {"name": row["name"].removeprefix(prefix).strip()}
                for row in content["rows"]
                if row["name"].startswith(prefix)
            ]
            if rows:
                environment = content["environment"]
                caption = f"{environment['cpu']} ({kind}), {environment['date'][:10]}:"
                if prefix:
                    caption = f"{prefix.strip(' :')}; {caption}"
                text += f"\n*{caption}*\n\n{render(rows, content['columns'])}"
        if "|" not in text:
            raise ValueError(f"{marker}: no results")
        return text

    return MARKED.sub(table, document)


def render(rows: list[Row], columns: list[str]) -> str:
    """Render a Markdown table without empty columns."""
    heads = ["", *columns, "unit", "ratio (quartiles)", "goal"]
    body = [
        [row["name"], *(digits(row[key]) for key in ("ours", "peer")), row["unit"], ratio(row), digits(row["goal"])]
        for row in rows
    ]
    kept = [index for index in range(len(heads)) if any(line[index] for line in body)]
    lines = [heads, ["---"] * len(heads), *body]
    return "".join(f"| {' | '.join(line[index] for index in kept)} |\n" for line in lines)


def digits(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def ratio(row: Row) -> str:
    if row["ratio"] is None:
        return ""
    low, high = row["ratio_quartiles"]
    return f"**{row['ratio']:.2f}** ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Update a document's tables from the benchmark results.")
    parser.add_argument("document", nargs="?", type=Path, default=Path("docs/performance.md"))
    args = parser.parse_args()
    save_text(args.document, update(args.document.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
