"""Write a report: its template filled in, its pictures inside it, and the files beside it, whole or not at all."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2

from ham_keras.errors import HamError
from ham_keras.files import load_json, locked, save_json, save_text
from ham_keras.scores.bootstrap import show_interval

PAGE, CONTENT, MEASURES = "report.html", "report.json", "failure_measures.csv"


@contextmanager
def new_report(folder: Path) -> Iterator[Path]:
    """A new folder to write a report into; its files take the places of those in `folder` when the block ends.

    The page, which holds its pictures itself, is replaced last, in one step: whatever ends this, a page that was
    there before stays there. Then what only the report before had is deleted, as its report.json names it.

    Raises:
        HamError: `folder` holds something else, or another process writes there.
    """
    if folder.exists() and not folder.is_dir():
        raise HamError(f"{folder}: not a folder; choose --output DIR")
    strangers = [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.exists() else []
    before = _files(folder)
    if strangers and not before and not (folder / PAGE).exists():
        raise HamError(f"{folder}: holds {strangers[0].name} and no report; choose --output DIR, a new folder")
    with locked(folder, instead="choose --output DIR"):
        part = folder / ".part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        try:
            yield part
            written = sorted(path.name for path in part.iterdir() if path.name != PAGE)
            for name in [*written, PAGE]:
                os.replace(part / name, folder / name)
            for name in before - {*written, PAGE}:
                (folder / name).unlink(missing_ok=True)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _files(folder: Path) -> set[str]:
    """What the report that lies in a folder consists of; nothing where there is none."""
    try:
        names = load_json(folder / CONTENT)["files"]
        return {name for name in names if Path(name).name == name}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def save_page(template: str, folder: Path, content: Mapping[str, Any], view: Mapping[str, Any]) -> None:
    """Write report.html from a template of the package and `view`, and `content` as report.json.

    The template embeds pictures by their names in `folder`. All text is escaped: ids, paths and names are not ours.
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
    page = environment.get_template(template).render(view, written=now, version=version("ham-keras"))
    files = sorted({path.name for path in folder.iterdir()} | {PAGE, CONTENT})
    save_json(folder / CONTENT, {**content, "files": files})
    save_text(folder / PAGE, page)
