"""Look for everything that is wrong or odd in a data folder, and say it in a table, JSON, CSV and pictures.

The exit status is 1 when a file cannot be read; what is repaired or merely odd does not change it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from ham_keras.data.contact_sheet import KINDS, Problem, save_contact_sheet, summary_table
from ham_keras.data.masks import read_mask
from ham_keras.data.records import Pairing, Record, find_records
from ham_keras.errors import HamError, run_command, warn

CSV_COLUMNS = ["image_id", "lesion_id", "diagnosis", "image_size", "mask_size", "palette", "repaired"]
CSV_COLUMNS += ["levels", "lesion_fraction", "problems", "phash", "sha256"]
UNREADABLE = frozenset({"unreadable_image", "truncated_image", "unreadable_mask"})

# Of 5,078 masks of HAM10000 one is smaller, 0.39 %; a thousandth of them lie below 0.71 %.
TINY_LESION_FRACTION = 0.005
ASPECT_TOLERANCE = 0.01
# The hash alone brings together 1,303 pairs of different lesions, dark blobs on light skin; none of them
# correlates above 0.974 at 32x32. Of the 97 pairs of one lesion 57 reach 0.98: the same view.
NEAR_HASH_DISTANCE = 8
NEAR_CORRELATION = 0.98
THUMBNAIL_PX = 32
EXIF_ORIENTATION, TURNED = 0x0112, frozenset({5, 6, 7, 8})  # the values that swap width and height


@dataclass
class Pair:
    """What one image and its mask hold; sizes are (width, height); None or "" where a file is unreadable."""

    record: Record
    sha256: str = ""
    phash: str = ""
    thumbnail: npt.NDArray[np.uint8] | None = None
    image_size: tuple[int, int] | None = None
    mask_size: tuple[int, int] | None = None
    palette: bool = False
    repaired: bool = False
    levels: int | None = None
    lesion_fraction: float | None = None
    problems: list[Problem] = field(default_factory=list)

    def add(self, kind: str, detail: str, path: Path) -> None:
        """Note a problem of this pair alone."""
        self.problems.append(Problem(kind, (self.record.image_id,), detail, path))


@dataclass(frozen=True)
class Audit:
    """All pairs of a data folder and all problems, the gravest kind first."""

    pairing: Pairing
    pairs: list[Pair]
    problems: list[Problem]

    def facts(self) -> dict[str, Any]:
        """The numbers and ids of audit.json, all but the problems."""
        images_per_lesion = Counter(pair.record.lesion_id for pair in self.pairs)
        return {
            "root": str(self.pairing.root),
            "pairs": len(self.pairs),
            "palette": sum(pair.palette for pair in self.pairs),
            "repaired": sum(pair.repaired for pair in self.pairs),
            "repaired_ids": [pair.record.image_id for pair in self.pairs if pair.repaired],
            "images_without_mask": len(self.pairing.images_without_mask),
            "masks_without_image": len(self.pairing.masks_without_image),
            "images_without_metadata": self.pairing.images_without_metadata,
            "lesions": len(images_per_lesion),
            "lesions_with_several_images": sum(count > 1 for count in images_per_lesion.values()),
            "diagnoses": dict(Counter(pair.record.diagnosis for pair in self.pairs).most_common()),
            "image_sizes": dict(Counter(_size(pair.image_size) for pair in self.pairs).most_common()),
            "counts": dict(Counter(problem.kind for problem in self.problems)),
            "versions": {name: version(name) for name in ("numpy", "Pillow", "ImageHash")},
        }


def audit(root: Path | str) -> Audit:
    """Read every pair below `root` and compare the images with each other.

    Raises:
        HamError: no such folder, no pairs in it, or two files that claim one id (see `find_records`).
    """
    pairing = find_records(root)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        read = threads.map(_read_pair, pairing.records)
        pairs = list(tqdm(read, "reading", len(pairing.records), unit=" pairs", disable=None))
    problems = [problem for pair in pairs for problem in pair.problems]
    alone = [("image_without_mask", path) for path in pairing.images_without_mask]
    alone += [("mask_without_image", path) for path in pairing.masks_without_image]
    problems += [Problem(kind, (path.stem,), "no partner of this id", path) for kind, path in alone]
    problems += [Problem(finding.kind, *case) for finding in pairing.findings for case in finding.cases]
    problems += _compare(pairs)
    return Audit(pairing, pairs, sorted(problems, key=lambda problem: list(KINDS).index(problem.kind)))


def _read_pair(record: Record) -> Pair:
    pair = Pair(record)
    try:
        data = record.image_path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            turned = image.getexif().get(EXIF_ORIENTATION) in TURNED
            pair.image_size = image.size[::-1] if turned else image.size
            # A JPEG at reduced scale is read to its end all the same, so a truncated one is told.
            image.draft("L", (4 * THUMBNAIL_PX, 4 * THUMBNAIL_PX))
            grey = ImageOps.exif_transpose(image).convert("L")
        pair.sha256, pair.phash = hashlib.sha256(data).hexdigest(), str(imagehash.phash(grey))
        pair.thumbnail = np.asarray(grey.resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        kind = "truncated_image" if "truncated" in str(error).lower() else "unreadable_image"
        detail = "of no known format" if isinstance(error, UnidentifiedImageError) else str(error)
        pair.add(kind, detail, record.image_path)
    try:
        _check_mask(pair)
    except HamError as error:
        pair.add("unreadable_mask", str(error).removeprefix(f"{record.mask_path}: "), record.mask_path)
    return pair


def _check_mask(pair: Pair) -> None:
    path = pair.record.mask_path
    mask = read_mask(path)
    height, width = mask.lesion.shape
    pair.mask_size, pair.lesion_fraction = (width, height), float(mask.lesion.mean())
    pair.palette, pair.repaired, pair.levels = mask.palette, mask.repaired, mask.levels
    if mask.repaired:
        pair.add("repaired", "the border was more lesion than the centre", path)
    if mask.levels > 2:
        pair.add("not_binary", f"{mask.levels} grey levels", path)
    if pair.lesion_fraction in (0, 1):
        pair.add("all_lesion" if pair.lesion_fraction else "empty", f"all {width}x{height} pixels", path)
    elif pair.lesion_fraction < TINY_LESION_FRACTION:
        pair.add("tiny", f"{pair.lesion_fraction:.2%} of the mask, {mask.lesion.sum()} pixels", path)
    if pair.image_size and pair.image_size != pair.mask_size:
        stretch = width / height * pair.image_size[1] / pair.image_size[0]
        kind = "aspect_mismatch" if abs(stretch - 1) > ASPECT_TOLERANCE else "size_mismatch"
        pair.add(kind, f"image {_size(pair.image_size)}, mask {_size(pair.mask_size)}", path)


def _compare(pairs: Sequence[Pair]) -> Iterator[Problem]:
    read = [pair for pair in pairs if pair.thumbnail is not None]
    distinct = list({pair.sha256: pair for pair in reversed(read)}.values())[::-1]
    for kind, compared, keys in (
        ("several_images", pairs, [pair.record.lesion_id for pair in pairs]),
        ("identical", read, [pair.sha256 for pair in read]),
        ("near_identical", distinct, _near_groups(distinct)),
    ):
        groups: dict[object, list[Pair]] = {}
        for pair, key in zip(compared, keys, strict=True):
            groups.setdefault(key, []).append(pair)
        for group in groups.values():
            ids = tuple(pair.record.image_id for pair in group)
            lesions = sorted({pair.record.lesion_id for pair in group})
            detail = f"{' and '.join(ids)} of {' and '.join(lesions)}"
            leak = "_other_lesion" if len(lesions) > 1 else ""
            if len(group) > 1:
                yield Problem(kind + leak, ids, detail, group[0].record.image_path)


def _near_groups(pairs: Sequence[Pair]) -> list[int]:
    hashes = np.array([int(pair.phash, 16) for pair in pairs], np.uint64)
    thumbnails = [np.ravel(pair.thumbnail) for pair in pairs if pair.thumbnail is not None]
    groups = np.arange(len(pairs))  # at first each image is a group of its own
    for index in range(len(pairs)):
        close = np.bitwise_count(hashes[index + 1 :] ^ hashes[index]) <= NEAR_HASH_DISTANCE
        for other in index + 1 + np.flatnonzero(close):
            with np.errstate(invalid="ignore"):  # a flat image has no correlation: it is like no other
                if np.corrcoef(thumbnails[index], thumbnails[other])[0, 1] >= NEAR_CORRELATION:
                    groups[groups == groups[other]] = groups[index]
    return [int(group) for group in groups]


def save_audit(audited: Audit, output: Path | str) -> None:
    """Write audit.json, audit.csv and contact_sheet.png into `output`, each through a temporary name.

    Raises:
        HamError: `output` is the data folder itself, or cannot be written.
    """
    output = Path(output)
    if output.resolve() == audited.pairing.root.resolve():
        raise HamError(f"{output}: audit.csv would be read as metadata there; name another --output")
    content = audited.facts() | {"problems": [problem.to_json() for problem in audited.problems]}
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in ("audit.json", json.dumps(content, indent=2)), ("audit.csv", _csv(audited)):
            part = output / f"{name}.part"
            part.write_text(text, encoding="utf-8")
            part.replace(output / name)
        save_contact_sheet(output / "contact_sheet.png", audited.pairing, audited.problems)
    except OSError as error:
        raise HamError(f"{output}: the audit cannot be written ({error}); name another --output") from None


def _csv(audited: Audit) -> str:
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for problem in audited.problems:
        for image_id in problem.image_ids:
            kinds[image_id].append(problem.kind)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for pair in audited.pairs:
        found = ";".join(kinds[pair.record.image_id])
        row: list[object] = [pair.record.image_id, pair.record.lesion_id, pair.record.diagnosis]
        row += [_size(pair.image_size), _size(pair.mask_size), int(pair.palette), int(pair.repaired)]
        writer.writerow([*row, pair.levels, pair.lesion_fraction, found, pair.phash, pair.sha256])
    return text.getvalue()


def _size(size: tuple[int, int] | None) -> str:
    return f"{size[0]}x{size[1]}" if size else "unknown"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 1 when a file cannot be read."""
    description = str(__doc__).partition("\n")[0]
    parser = argparse.ArgumentParser("python -m ham_keras.data.audit", description=description)
    parser.add_argument("root", metavar="ROOT", help="data folder, in any layout the project reads")
    parser.add_argument("--output", default="audit", metavar="DIR", help="default: %(default)s")
    arguments = parser.parse_args(argv)
    save_audit(audited := audit(arguments.root), arguments.output)
    print(summary_table(audited.facts(), audited.problems))
    for line in audited.pairing.warnings():
        warn(line)
    print(f"wrote {arguments.output}/audit.json, audit.csv and contact_sheet.png")
    return int(any(problem.kind in UNREADABLE for problem in audited.problems))


if __name__ == "__main__":
    run_command(main)
