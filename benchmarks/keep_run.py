"""Keep the small files of finished runs, so that the tables of docs/results.md can be made again.

    python benchmarks/keep_run.py runs/best docs/runs/best
    python benchmarks/keep_run.py runs/best docs/runs/best --set isic2018 --set pad_ufes

Writes config.json and environment.json without absolute paths, history.csv, trust.json if there is one, and of
each scored set summary.json and per_image.csv.gz. Weights, masks and pictures stay behind.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

from ham_keras.environment import without_paths
from ham_keras.files import load_json, replacing, replacing_folder, save_json
from ham_keras.runs import load_run

DESCRIBED = ("config.json", "environment.json")


def keep_run(folder: Path, target: Path, sets: Sequence[str] = ("test",)) -> None:
    run, _ = load_run(folder)
    with replacing_folder(target) as part:
        for name in DESCRIBED:
            save_json(part / name, without_paths(load_json(run.folder / name)))
        (part / "history.csv").write_bytes(run.history.read_bytes())
        if run.trust.exists():
            trust = load_json(run.trust)
            save_json(part / "trust.json", {"made_from": without_paths(trust["made_from"])})
        for name in sets:
            scores = part / "scores" / name
            scores.mkdir(parents=True)
            save_json(scores / "summary.json", without_paths(load_json(run.summary(name))))
            table = (run.scores(name) / "per_image.csv").read_bytes()
            with replacing(scores / "per_image.csv.gz") as temporary:
                temporary.write_bytes(gzip.compress(table, mtime=0))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("target", type=Path, help="e.g. docs/runs/best")
    parser.add_argument("--set", action="append", help="a scored set; default: test")
    args = parser.parse_args(argv)
    keep_run(args.run, args.target, args.set or ["test"])
    print(json.dumps(sorted(str(path) for path in args.target.rglob("*") if path.is_file()), indent=1))


if __name__ == "__main__":
    main()
