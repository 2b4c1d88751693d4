"""Draw phantoms: synthetic dermoscopy images in the Kaggle layout, for tests and demonstrations.

    python -m ham_keras.data.phantom data/phantoms --count 200 --seed 1

They contain nothing of a real image. The masks of lesion and hairs are exact. The same arguments draw the same bytes,
and image i is the same for every count.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ham_keras.data.phantoms.dataset import draw_phantoms
from ham_keras.errors import program, run_command, shown


def main(argv: Sequence[str] | None = None) -> None:
    """Draw a set of phantoms, unless it already exists."""
    parser = argparse.ArgumentParser(program("data.phantom"), description="Draw dermoscopy phantoms.")
    parser.add_argument("root", type=Path, metavar="OUT", help="a new folder")
    for name, default, what in (
        ("count", 40, "number of images"), ("seed", 0, "the same seed draws the same bytes"),
        ("inverted_fraction", 0.0, "share of masks that are saved inverted"),
        ("palette_fraction", 0.04, "share of masks with a reversed palette"),
        ("width_px", 600, "width of an image in pixels"), ("height_px", 450, "height of an image in pixels"),
    ):  # fmt: skip
        option = "--" + name.removesuffix("_px").replace("_", "-")
        help_text = f"{what} (default %(default)s)"
        parser.add_argument(option, dest=name, type=type(default), default=default, help=help_text)
    given = parser.parse_args(argv)
    drawn = draw_phantoms(**vars(given))
    print(f"{shown(given.root)}: {given.count} phantoms {'drawn' if drawn else 'already exist, nothing to do'}")


if __name__ == "__main__":
    run_command(main)
