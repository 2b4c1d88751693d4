"""How long `--help` of every command takes, in a process of its own.

    python benchmarks/help.py [--rounds 5]

Prints the median in seconds and writes benchmarks/results/help.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from ham_keras.commands import find_commands, help_text
from ham_keras.environment import describe_environment
from ham_keras.runs import save_json


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how long --help of every command takes.")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in find_commands()}
    for _ in range(args.rounds):
        for name, measured in seconds.items():
            start = time.perf_counter()
            help_text(name)
            measured.append(time.perf_counter() - start)
    medians = {name: round(statistics.median(measured), 3) for name, measured in seconds.items()}
    for name, median in sorted(medians.items(), key=lambda item: -item[1]):
        print(f"{name:24}{median:6.2f} s")
    environment = describe_environment("CPU", "none")
    result = {"rounds": args.rounds, "median_seconds": medians, "environment": environment}
    save_json(Path("benchmarks/results/help.json"), result)


if __name__ == "__main__":
    main()
