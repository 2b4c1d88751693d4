"""Groups of images by the columns of tables: skin type, artefact labels, rated hairs, age, ..."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ham_keras.data.columns import (
    DIAGNOSIS_COLUMNS,
    IMAGE_COLUMNS,
    LESION_COLUMNS,
    ONE_HOT_COLUMNS,
    PATIENT_COLUMNS,
    ImageKeys,
    id_column,
    usual_name,
    without_decimals,
)
from ham_keras.data.discovery import find_contents
from ham_keras.data.folders import key
from ham_keras.data.table_files import Table, read_table
from ham_keras.data.tables import is_table
from ham_keras.errors import HamError

MOST_VALUES = 8  # of a column whose values are groups as they are; more numbers are grouped by quartiles
MOST_WORDS, IMAGES_PER_WORD = 30, 5  # more different words, or fewer images for each, are no groups
QUARTILES = (0.25, 0.5, 0.75)
MISSING = frozenset({"", "na", "n/a", "nan", "none", "null", "unknown"})
# The image's own: `Record` has them.
NOT_PROPERTIES = frozenset(
    {*IMAGE_COLUMNS, *LESION_COLUMNS, *PATIENT_COLUMNS, *DIAGNOSIS_COLUMNS, *ONE_HOT_COLUMNS, "lesionfraction"}
)
Groups = dict[str, str]  # the group of each image, by image id; images without a value are missing


def read_properties(tables: Iterable[Path], image_ids: Sequence[str]) -> dict[str, Groups]:
    """The groups that the columns of tables make of these images, by column.

    Ids of lesions and patients, diagnoses and columns whose values are all different make no groups. Of two columns
    with the same name, the second is named TABLE:COLUMN.

    Raises:
        HamError: a table cannot be read, names none of these images, or has no column that makes groups.
    """
    found: dict[str, Groups] = {}
    for path in tables:
        try:
            groups = _groups_of(path, image_ids)
        except OSError as error:
            raise HamError(f"{path}: cannot be read: {error.strerror}") from None
        if not groups:
            raise HamError(f"{path}: no column makes groups of these images; expected e.g. labels or ratings")
        _add(found, groups, path)
    return found


def own_properties(root: Path, image_ids: Sequence[str]) -> dict[str, Groups]:
    """As `read_properties`, of the tables of a data folder; those that name none of the images are left out."""
    found: dict[str, Groups] = {}
    for path in sorted({path.resolve() for path in find_contents(root).tables if is_table(path)}):
        try:
            _add(found, _groups_of(path, image_ids), path)
        except HamError:
            continue
    return found


def _add(found: dict[str, Groups], groups: Mapping[str, Groups], path: Path) -> None:
    for column, group in groups.items():
        found[column if column not in found else f"{path.stem}:{column}"] = group


def _groups_of(path: Path, image_ids: Sequence[str]) -> dict[str, Groups]:
    table: Table = read_table(path, lambda column: True, IMAGE_COLUMNS)
    ids = {key(image_id): image_id for image_id in image_ids}
    known = ImageKeys.of(ids)
    image_column = id_column(table, known)
    if image_column is None:
        raise HamError(f"{path}: names none of these {len(ids)} images; expected a column image_id with their ids")
    rows = {ids[name]: row for row in table.rows if (name := known.find(row[image_column])) is not None}
    found = {}
    for column in table.columns:
        if column and column != image_column and usual_name(column) not in NOT_PROPERTIES:
            groups = group_values({image_id: row[column] for image_id, row in rows.items()})
            if groups:
                found[column] = groups
    return found


def group_values(cells: Mapping[str, str]) -> Groups | None:
    """Group images by the cells of a column; None if it makes no groups.

    Up to 8 different values are groups. More numbers are divided at their quartiles; more words are groups if they have
    5 images on average.
    """
    values = {image: without_decimals(cell) for image, cell in cells.items() if cell.lower() not in MISSING}
    different = set(values.values())
    if len(different) < 2:
        return None
    if len(different) <= MOST_VALUES and len(different) < len(values):
        return values
    try:
        numbers = {image: float(value) for image, value in values.items()}
    except ValueError:
        few = len(different) <= MOST_WORDS and len(different) * IMAGES_PER_WORD <= len(values)
        return values if few else None
    if not np.isfinite(list(numbers.values())).all():
        return None
    edges = [float(edge) for edge in np.unique(np.quantile(list(numbers.values()), QUARTILES, method="nearest"))]
    edges = [edge for edge in edges if edge > min(numbers.values())]
    return {image: _between(number, edges) for image, number in numbers.items()} if edges else None


def _between(number: float, edges: Sequence[float]) -> str:
    place = int(np.searchsorted(edges, number, side="right"))
    if place == 0:
        return f"below {edges[0]:g}"
    return f"from {edges[place - 1]:g}" + (f" to below {edges[place]:g}" if place < len(edges) else "")


def order_of(group: str) -> tuple[float, str]:
    """A sort key for the groups of a column: numbers and ranges by size, then words by the alphabet."""
    words = group.replace("%", "").split()
    try:
        number = float(words[words[0] in {"from", "below"}])
    except (ValueError, IndexError):
        return float("inf"), group
    return number - (words[0] == "below") * 1e-9, group
