"""Write a report: a page with embedded pictures, and the files that belong to it."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from ham_keras.environment import package_version, without_paths
from ham_keras.errors import HamError
from ham_keras.files import load_json, locked, save_json, save_text
from ham_keras.scores.bootstrap import show_interval

PAGE, CONTENT, MEASURES = "report.html", "report.json", "failure_measures.csv"


@contextmanager
def new_report(folder: Path) -> Iterator[Path]:
    """Yield a new folder to write a report into; its files replace those in `folder` when the block ends.

    The page embeds its pictures and is replaced last, in one step, so an interruption never leaves a damaged page.
    Finally, files listed in the previous report.json that the new report does not have are deleted.

    Raises:
        HamError: `folder` contains other files, or another process is writing to it.
    """
    if folder.exists() and not folder.is_dir():
        raise HamError(f"{folder}: not a folder; choose --output DIR")
    others = [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.exists() else []
    previous = _files(folder)
    if others and not previous and not (folder / PAGE).exists():
        raise HamError(f"{folder}: contains {others[0].name} but no report; choose a new folder with --output DIR")
    with locked(folder, instead="choose --output DIR"):
        part = folder / ".part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        try:
            yield part
            written = sorted(path.name for path in part.iterdir() if path.name != PAGE)
            for name in [*written, PAGE]:
                os.replace(part / name, folder / name)
            for name in previous - {*written, PAGE}:
                (folder / name).unlink(missing_ok=True)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _files(folder: Path) -> set[str]:
    """Return the file names of the report in a folder; empty if there is none."""
    try:
        names = load_json(folder / CONTENT)["files"]
        return {name for name in names if Path(name).name == name}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def save_page(template: str, folder: Path, content: Mapping[str, Any], view: Mapping[str, Any]) -> None:
    """Render a template with `view` as report.html, and save `content` as report.json.

    Absolute paths in both are shortened, since reports are passed on. The template embeds pictures by their names
    in `folder`. All text is escaped, since ids, paths and names are user input.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ham_keras.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def embedded(name: str) -> str:
        return "data:image/png;base64," + base64.b64encode((folder / name).read_bytes()).decode("ascii")

    environment.filters |= {"embedded": embedded, "interval": show_interval}
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
    version = package_version("ham-keras") or "from source"
    page = environment.get_template(template).render(without_paths(view), written=now, version=version)
    files = sorted({path.name for path in folder.iterdir()} | {PAGE, CONTENT})
    save_json(folder / CONTENT, without_paths({**content, "files": files}))
    save_text(folder / PAGE, page)
