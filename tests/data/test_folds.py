"""Folds contain every image once, keep lesions together, and are balanced in size and diagnoses."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ham_keras.data.folds import fold_split, make_folds
from ham_keras.data.records import Record
from ham_keras.errors import HamError


def records(lesions: int = 120, seed: int = 0) -> list[Record]:
    """Lesions of 1 to 4 images; one in four is a melanoma."""
    rng = np.random.default_rng(seed)
    made = []
    for lesion in range(lesions):
        diagnosis = "mel" if lesion % 4 == 0 else "nv"
        for view in range(rng.integers(1, 5)):
            made.append(Record(f"I{lesion}_{view}", f"L{lesion}", diagnosis, Path("a.jpg"), Path("a.png")))
    return made


@pytest.mark.parametrize("group_by", ["lesion_id", None])
def test_every_image_and_every_lesion_is_in_one_fold(group_by: str | None) -> None:
    known = records()
    folds = make_folds(known, 5, seed=1, group_by=group_by)
    assert sorted(image_id for fold in folds for image_id in fold) == sorted(record.image_id for record in known)
    lesion_of = {record.image_id: record.lesion_id for record in known}
    lesions = Counter(lesion for fold in folds for lesion in {lesion_of[image_id] for image_id in fold})
    assert (max(lesions.values()) == 1) == (group_by is not None)


def test_folds_are_balanced_in_size_and_diagnoses() -> None:
    known = records()
    folds = make_folds(known, 5, seed=1)
    melanomas = {record.image_id for record in known if record.diagnosis == "mel"}
    sizes = [len(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 4  # a lesion has at most 4 images
    shares = [len(melanomas & set(fold)) / len(fold) for fold in folds]
    assert max(shares) - min(shares) < 0.05


def test_folds_depend_on_the_seed_and_not_on_the_order_of_records() -> None:
    known = records()
    assert make_folds(known, 3, seed=1) == make_folds(known[::-1], 3, seed=1)
    assert make_folds(known, 3, seed=1) != make_folds(known, 3, seed=2)


def test_split_of_a_fold_tests_on_the_fold_and_keeps_lesions_together() -> None:
    known = records()
    folds = make_folds(known, 4, seed=0)
    split = fold_split(known, folds, 2, 0.1, seed=0)
    assert split["test"] == folds[2]
    assert sorted(split["train"] + split["val"] + split["test"]) == sorted(record.image_id for record in known)
    assert len(split["val"]) / (len(split["train"]) + len(split["val"])) == pytest.approx(0.1, abs=0.02)
    lesion_of = {record.image_id: record.lesion_id for record in known}
    sides = [{lesion_of[image_id] for image_id in ids} for ids in split.values()]
    assert sum(map(len, sides)) == len(set.union(*sides))


def test_fewer_lesions_than_folds_is_an_error() -> None:
    with pytest.raises(HamError, match="5 folds: only 3 lesions; use fewer folds"):
        make_folds(records(3), 5, seed=0)


def test_few_lesions_leave_one_to_validate_on() -> None:
    known = records(14)
    folds = make_folds(known, 2, seed=0)
    split = fold_split(known, folds, 0, 0.026, seed=0)
    assert split["val"] and split["train"]
