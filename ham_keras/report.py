"""Report a scored run, or two side by side, as one HTML page that holds its pictures and can be mailed alone.

python -m ham_keras.report runs/base
python -m ham_keras.report runs/base runs/full
python -m ham_keras.report runs/base --set PH2
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ham_keras.errors import program, run_command


def report(
    folder: Path | str,
    other: Path | str | None = None,
    *,
    name: str = "test",
    data_root: Path | str | None = None,
    output: Path | str | None = None,
    visible: bool = True,
) -> Path:
    """Write the report of scores/<name>/ of a run, or of it and the same scoring of another run; returns the page.

    It goes to reports/<name>/ of the run, with another to reports/<name>-vs-<other>/, or to `output`. Beside
    report.html lie its pictures as PNGs, report.json with its figures, and failure_measures.csv. `data_root` is where
    the images lie now, if no longer where they were scored.

    Raises:
        HamError: not a run, not scored, other images in the two, images or weights are not those that were scored.
    """
    options: dict[str, Any] = {"data_root": data_root, "output": output, "visible": visible}
    if other is None:
        from ham_keras.reports.single import report_run

        return report_run(folder, name, **options)
    from ham_keras.reports.comparison import report_pair

    return report_pair(folder, other, name, **options)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog=program("report"),
        description="Write a scored run's report, or that of two runs side by side, as one HTML page with its pictures "
        "inside. It goes to RUN/reports/NAME/report.html; of two runs to RUN/reports/NAME-vs-OTHER/report.html.",
    )
    parser.add_argument("run", help="a run folder, e.g. runs/base")
    parser.add_argument("other", nargs="?", help="another run that scored the same images, to compare with")
    parser.add_argument("--set", default="test", metavar="NAME", help="report scores/NAME/ (default: test)")
    parser.add_argument("--data", metavar="ROOT", help="where the scored images lie now, if they have moved")
    parser.add_argument("--output", metavar="DIR", help="write into this folder instead")
    args = parser.parse_args(argv)
    print(report(args.run, args.other, name=args.set, data_root=args.data, output=args.output))
    return 0


if __name__ == "__main__":
    run_command(main)
