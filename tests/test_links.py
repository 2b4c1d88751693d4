"""Relative links and anchors of the documentation are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = sorted([*Path(".").glob("*.md"), *Path("docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    found = LINK.findall(CODE.sub("", page.read_text()))
    return [link for link in found if not link.startswith(("https://", "http://"))]


def test_tests_named_in_the_documentation_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", Path("docs/reference/runs.md").read_text())
    assert len(named) > 20
    for path, test in named:
        assert f"def {test}(" in Path(path).read_text(), f"{path}::{test}"


def test_anchors_match_github(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("# A search, over `learning rate`\n```sh\n# no heading\n```\n## What it leaves: all\n")
    assert anchors(page) == {"a-search-over-learning-rate", "what-it-leaves-all"}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_are_valid(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors(target), f"{page}: {link}"


def test_index_links_to_every_page() -> None:
    index = Path("docs/README.md")
    reached = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert {page.resolve() for page in PAGES if page.parts[0] == "docs"} - {index.resolve()} <= reached
