"""Find the image files that a prediction is asked for."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path

from ham_keras.data.folders import image_files
from ham_keras.data.layouts import SUFFIXES, without_mask_ending
from ham_keras.errors import HamError
from ham_keras.prediction.folder import Predictions


def find_images(inputs: Sequence[Path | str], output: Predictions) -> list[Path]:
    """The image files that inputs name, sorted within each.

    Not among them: masks beside their images, and masks and overlays of `output`.

    Raises:
        HamError: an input names none, or two files have one name.
    """
    found: dict[Path, Path] = {}
    for given in inputs:
        paths = [path for path in _images_of(str(given)) if not output.is_product(path)]
        if not paths:
            raise HamError(
                f"{given}: no image there; expected files, folders or globs of {', '.join(sorted(SUFFIXES))}"
            )
        for path in paths:
            found.setdefault(path.resolve(), path)
    names = Counter(path.stem.lower() for path in found.values())
    images = [path for path in found.values() if not _is_mask_of_another(path.stem.lower(), names)]
    twice = [path for path in images if names[path.stem.lower()] > 1]
    if twice:
        first, second = [path for path in twice if path.stem.lower() == twice[0].stem.lower()][:2]
        raise HamError(f"{first} and {second}: their masks would have one name; rename one, or use another -o for it")
    return images


def _images_of(given: str) -> list[Path]:
    path = Path(given)
    if path.is_dir():
        return [file for file in image_files(path) if not _is_overlay(file)]
    if path.exists() or path.is_symlink():
        return [path]
    matches = [Path(match) for match in sorted(glob.glob(given, recursive=True))]
    return [match for match in matches if match.suffix.lower() in SUFFIXES and match.is_file()]


def _is_overlay(path: Path) -> bool:
    """Of whichever folder of predictions."""
    overlays = Predictions(path.parent.parent)
    return path.parent == overlays.overlay(path.stem).parent and overlays.settings.exists()


def _is_mask_of_another(stem: str, names: Container[str]) -> bool:
    image = without_mask_ending(stem)
    return image != stem and image in names
