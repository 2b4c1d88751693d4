"""Time contestants alternately, each in a separate process, and save the results.

Separate processes keep threads, memory and frameworks apart, and alternating rounds expose both sides to the same load
of the machine: only the ratio of the medians is worth quoting.
"""

from __future__ import annotations

import multiprocessing
import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ham_keras.environment import describe_environment
from ham_keras.files import load_json, save_json

RESULTS = Path("benchmarks/results")
PEER_PACKAGES = (
    "segmentation-models-pytorch", "lightning", "torch", "onnxruntime", "openvino", "nncf", "ai-edge-litert", "ray",
)  # fmt: skip

INSTRUCTIONS = {"amx": "amx_bf16", "avx512-bf16": "avx512_bf16", "avx512": "avx512f", "avx2": "avx2"}

Seconds = npt.NDArray[np.float64]  # [rounds, calls per round]
Row = dict[str, Any]
Item = TypeVar("Item")
Work = Callable[[], object]


@dataclass(frozen=True)
class Contestant:
    """A module-level function, called with the settings in a separate process; it returns the work to be timed."""

    prepare: Callable[..., Work]
    settings: Mapping[str, Any] = field(default_factory=dict)


def alternate(
    contestants: Mapping[str, Contestant], *, rounds: int, calls: int = 1, warm_up: int = 1
) -> dict[str, Seconds]:
    """Return the seconds of every call. In each round, the contestants run in turn, with `calls` calls each.

    `warm_up` calls of each contestant are not timed.

    Raises:
        RuntimeError: a contestant failed; its traceback is printed.
    """
    context = multiprocessing.get_context("spawn")
    links: dict[str, Connection] = {}
    processes = []
    try:
        for name, contestant in contestants.items():
            links[name], theirs = context.Pipe()
            # Daemons cannot have child processes, which torch's DataLoader may start.
            process = context.Process(target=_serve, args=(theirs, contestant, calls, warm_up))
            process.start()
            theirs.close()
            processes.append(process)
            _answer(links[name], name)
        turns = [{name: _turn(link, name) for name, link in links.items()} for _ in range(rounds)]
    finally:
        for process in processes:
            process.kill()
            process.join()
    return {name: np.array([turn[name] for turn in turns]) for name in contestants}


def alone(function: Callable[..., Any], **settings: Any) -> Any:
    """Call a module-level function in a separate process, so that it shares no memory, and return its result.

    Raises:
        RuntimeError: the function failed; its traceback is printed.
    """
    context = multiprocessing.get_context("spawn")
    link, theirs = context.Pipe()
    process = context.Process(target=_call, args=(theirs, function, settings))
    process.start()
    theirs.close()
    try:
        return _answer(link, function.__name__)
    finally:
        process.join()


def _call(link: Connection, function: Callable[..., Any], settings: dict[str, Any]) -> None:
    link.send(function(**settings))


def _turn(link: Connection, name: str) -> list[float]:
    link.send(True)
    return _answer(link, name)


def _answer(link: Connection, name: str) -> Any:
    try:
        return link.recv()
    except EOFError:
        raise RuntimeError(f"{name}: failed; its traceback is above") from None


def _serve(link: Connection, contestant: Contestant, calls: int, warm_up: int) -> None:
    work = contestant.prepare(**contestant.settings)
    for _ in range(warm_up):
        work()
    link.send([])
    while link.recv():
        seconds = []
        for _ in range(calls):
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        link.send(seconds)


def compare(
    name: str,
    ours: Seconds,
    peer: Seconds,
    *,
    goal: float | None,
    unit: str,
    images: int = 1,
    percentile: float = 50,
    **others: Any,
) -> Row:
    """Return a row of the table. `unit` is "ms" or "s" per call, or "images/s" with `images` per call.

    The ratio is the speed-up of ours over the peer: the ratio of the medians or of another percentile over all calls,
    with its quartiles over the rounds.
    """
    ours_by_round, peer_by_round = (np.percentile(side, percentile, axis=1) for side in (ours, peer))
    of_all = {"ours": np.percentile(ours, percentile), "peer": np.percentile(peer, percentile)}
    return {
        "name": name,
        "ours": show(of_all["ours"], unit, images),
        "peer": show(of_all["peer"], unit, images),
        "ratio": round(float(of_all["peer"] / of_all["ours"]), 3),
        "goal": goal,
        "unit": unit,
        "ratio_quartiles": _rounded(np.percentile(peer_by_round / ours_by_round, [25, 75]), 3),
        "ours_quartiles": sorted(show(np.percentile(ours_by_round, q), unit, images) for q in (25, 75)),
        "peer_quartiles": sorted(show(np.percentile(peer_by_round, q), unit, images) for q in (25, 75)),
        **others,
    }


def measured(name: str, ours: float, *, goal: float | None, unit: str, **others: Any) -> Row:
    """Return a row without a peer, with a measurement of ours only."""
    return {"name": name, "ours": ours, "peer": None, "ratio": None, "goal": goal, "unit": unit, **others}


def show(seconds: Any, unit: str, images: int = 1) -> float:
    """Return the median in this unit, rounded to four digits."""
    median = float(np.median(seconds))
    value = {"ms": 1000 * median, "s": median, "images/s": images / median}[unit]
    return float(f"{value:.4g}")


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """Return `count` evenly spaced items, or all if there are fewer.

    The first items would not be representative: in HAM10000, images with low numbers have a different kind of masks.
    """
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def save(
    name: str,
    rows: Sequence[Row],
    setting: Mapping[str, Any],
    *,
    precision: str = "float32",
    columns: tuple[str, str] = ("ours", "peer"),
) -> None:
    """Print the table and write benchmarks/results/<name>/<kind of processor>.json.

    `columns` are the headings of "ours" and "peer".
    """
    width = max(len(row["name"]) for row in rows)
    print(f"{'':{width}}  {columns[0]:>9} {columns[1]:>9}  {'unit':9} {'ratio':>6}  {'(quartiles)':15} {'goal':>6}")
    for row in rows:
        low, high = row.get("ratio_quartiles", (None, None))
        spread = f"({low:.2f} to {high:.2f})" if low is not None else ""
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        numbers = ["" if row[key] is None else f"{row[key]:g}" for key in ("ours", "peer", "goal")]
        print(
            f"{row['name']:{width}}  {numbers[0]:>9} {numbers[1]:>9}  {row['unit']:9} {ratio:>6}  "
            f"{spread:15} {numbers[2]:>6}"
        )
    environment = describe_environment("CPU", precision)
    environment["packages"] |= {package: _version(package) for package in PEER_PACKAGES}
    content = {"setting": dict(setting), "columns": list(columns), "rows": list(rows), "environment": environment}
    path = RESULTS / name / f"{cpu_kind()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_json(path, content)


def load_results(name: str, results: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """The saved content of a benchmark by kind of processor, the newest first."""
    found = {path.stem: load_json(path) for path in (results / name).glob("*.json")}
    return dict(sorted(found.items(), key=lambda item: item[1]["environment"]["date"], reverse=True))


def cpu_kind(facts: str | None = None) -> str:
    """The vendor and the widest instructions, e.g. "intel-amx". A result of the same kind replaces the former one.

    `facts`: the content of /proc/cpuinfo; of this machine, if None.
    """
    if facts is None:
        path = Path("/proc/cpuinfo")
        facts = path.read_text(encoding="utf-8") if path.exists() else ""
    vendor = re.search(r"^vendor_id\s*:\s*(?:Genuine|Authentic)(\w+)$", facts, re.MULTILINE)
    if vendor is None:
        return platform.machine()
    flags = set(facts.split())
    widest = next((name for name, flag in INSTRUCTIONS.items() if flag in flags), "sse")
    return f"{vendor[1].lower()}-{widest}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _rounded(values: Any, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
