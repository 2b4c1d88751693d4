"""Report the scores of a run, or of two runs side by side, as a self-contained HTML page.

python -m ham_keras.report runs/base
python -m ham_keras.report runs/base runs/full
python -m ham_keras.report runs/base --set PH2
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ham_keras.errors import program, run_command, shown


def report(
    folder: Path | str,
    other: Path | str | None = None,
    *,
    name: str = "test",
    data_root: Path | str | None = None,
    output: Path | str | None = None,
    visible: bool = True,
) -> Path:
    """Report scores/<name>/ of one run, or of two runs side by side, and return the path of the page.

    Writes to reports/<name>/ of the run, to its reports/<name>-vs-<other>/ for two runs, or to `output`: report.html,
    its pictures as PNGs, report.json with its figures, and failure_measures.csv. Set `data_root` if the images have
    moved since they were scored.

    Raises:
        HamError: a folder is not a run or not scored, the runs scored different images, or images or weights have
            changed since.
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
        description="Report the scores of a run, or of two runs side by side, as a self-contained HTML page. It is "
        "written to RUN/reports/NAME/report.html, or for two runs to RUN/reports/NAME-vs-OTHER/report.html.",
    )
    parser.add_argument("run", help="a run folder, e.g. runs/base")
    parser.add_argument("other", nargs="?", help="another run, scored on the same images, to compare with")
    parser.add_argument("--set", default="test", metavar="NAME", help="report scores/NAME/ (default: test)")
    parser.add_argument("--data", metavar="ROOT", help="folder of the scored images, if they have moved")
    parser.add_argument("--output", metavar="DIR", help="write into this folder instead")
    args = parser.parse_args(argv)
    print(shown(report(args.run, args.other, name=args.set, data_root=args.data, output=args.output)))
    return 0


if __name__ == "__main__":
    run_command(main)
