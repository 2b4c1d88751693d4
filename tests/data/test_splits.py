"""The split: by lesion, seeded, with the requested fractions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from ham_keras.data.records import Record, find_records
from ham_keras.data.splits import load_split, make_split, select, shared_lesions
from ham_keras.errors import HamError

# 200 images of 100 lesions: every other lesion has three images, the rest one.
LESIONS = [f"L{i:03}" for i in range(100) for _ in range(3 if i % 2 else 1)]
RECORDS = [Record(f"I{i:03}", lesion, "nv", Path("i"), Path("m")) for i, lesion in enumerate(LESIONS)]
LESION_OF = {record.image_id: record.lesion_id for record in RECORDS}
TENTHS = {"train": 0.8, "val": 0.1, "test": 0.1}


def test_every_image_is_used_once_and_lesions_are_not_split() -> None:
    split = make_split(RECORDS, TENTHS, seed=0)
    sides = {name: {LESION_OF[image_id] for image_id in ids} for name, ids in split.items()}
    assert not sides["train"] & sides["val"] and not sides["train"] & sides["test"] and not sides["val"] & sides["test"]
    assert sorted(image_id for ids in split.values() for image_id in ids) == sorted(LESION_OF)
    assert {name: len(ids) for name, ids in split.items()} == {"train": 160, "val": 20, "test": 20}


def test_lesions_in_two_subsets_are_found() -> None:
    assert shared_lesions(make_split(RECORDS, TENTHS, seed=0), RECORDS) == []
    # L001 is I001 to I003, L003 is I005 to I007.
    leaking = {"train": ["I001", "I005", "I000"], "val": ["I002", "I004"], "test": ["I003", "I007"]}
    assert shared_lesions(leaking, RECORDS) == ["L001", "L003"]


def test_split_depends_on_the_seed_and_not_on_the_order_of_records() -> None:
    assert make_split(RECORDS, TENTHS, seed=3) == make_split(RECORDS[::-1], TENTHS, seed=3)
    assert make_split(RECORDS, TENTHS, seed=3) != make_split(RECORDS, TENTHS, seed=4)


def test_splitting_by_image_splits_lesions() -> None:
    split = make_split(RECORDS, TENTHS, seed=0, group_by=None)
    shared = {LESION_OF[i] for i in split["train"]} & {LESION_OF[i] for i in split["test"]}
    assert len(split["test"]) == 20 and shared


def test_sample_limits_the_number_of_images() -> None:
    split = make_split(RECORDS, {"train": 0.5, "val": 0.25, "test": 0.25}, seed=0, sample=40)
    assert Counter({name: len(ids) for name, ids in split.items()}) == {"train": 20, "val": 10, "test": 10}
    everything = make_split(RECORDS, TENTHS, seed=0, sample=1000)
    assert sum(map(len, everything.values())) == 200


def test_fractions_may_leave_images_unused() -> None:
    split = make_split(RECORDS, {"train": 0.2, "val": 0.1, "test": 0.1}, seed=0)
    assert [len(split[name]) for name in ("train", "val", "test")] == [40, 20, 20]


def test_empty_subset_is_an_error() -> None:
    with pytest.raises(HamError, match=r"data\.split\.val: 0\.1 of 3 images leave this subset empty"):
        make_split(RECORDS[:3], TENTHS, seed=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a readable split file"),
        ({"train": ["a"], "val": ["b"]}, "expected"),
        ({"train": ["a"], "val": ["b"], "test": [1]}, "test: expected a list of image ids"),
        ({"train": ["a"], "val": [], "test": ["c"]}, "val: empty"),
        ({"train": ["a", "b"], "val": ["b"], "test": ["c"]}, "b is in both train and val"),
    ],
)
def test_invalid_split_file_is_an_error(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(HamError, match=message):
        load_split(path)


def test_saved_split_is_loaded_again(tmp_path: Path) -> None:
    split = make_split(RECORDS, TENTHS, seed=0)
    (tmp_path / "split.json").write_text(json.dumps(split))
    assert load_split(tmp_path / "split.json") == split


def test_select_keeps_the_order_of_ids_and_reports_missing_ones() -> None:
    assert [record.image_id for record in select(RECORDS, ["I003", "I001"], "split.json")] == ["I003", "I001"]
    with pytest.raises(HamError, match=r"split\.json: 2 of 3 ids have no image and mask.*the first: X1"):
        select(RECORDS, ["I003", "X1", "X2"], "split.json")


def test_unicode_form_of_ids_in_a_split_file_is_normalized(tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text(json.dumps({"train": ["e\u0301"], "val": ["b"], "test": ["c"]}))
    assert load_split(tmp_path / "split.json")["train"] == ["\xe9"]


@pytest.mark.real_data
def test_one_known_duplicate_crosses_the_fixed_split(real_root: Path) -> None:
    path = real_root.parents[1] / "peer" / "split.json"
    if not path.exists():
        pytest.skip("the fixed split is not there")
    records, split = find_records(real_root).records, load_split(path)
    assert {name: len(select(records, split[name], name)) for name in split} == {"train": 3800, "val": 400, "test": 878}
    (crossing,) = shared_lesions(split, records)
    images = {record.image_id for record in records if record.lesion_id == crossing}
    assert images & set(split["val"]) == {"ISIC_0027820"}
    assert images & set(split["test"]) == {"ISIC_0028209", "ISIC_0029518"}  # two images of one lesion_id


# Of 1000 lesions, 5 % are "df" and 1 % "vasc".
DIAGNOSES = ["vasc" if i % 100 == 0 else "df" if i % 20 == 1 else "nv" for i in range(1000)]
COMMON = [Record(f"J{i:04}", f"M{i:04}", diagnosis, Path("i"), Path("m")) for i, diagnosis in enumerate(DIAGNOSES)]


@pytest.mark.parametrize("seed", range(5))
def test_stratified_split_gives_each_diagnosis_its_share(seed: int) -> None:
    split = make_split(COMMON, TENTHS, seed=seed, stratify=True)
    diagnosis_of = {record.image_id: record.diagnosis for record in COMMON}
    assert {name: len(ids) for name, ids in split.items()} == {"train": 800, "val": 100, "test": 100}
    for name, count in (("test", 1), ("val", 1), ("train", 8)):
        found = Counter(diagnosis_of[image_id] for image_id in split[name])
        assert found == {"vasc": count, "df": 5 * count, "nv": 94 * count}
    lesions = make_split(RECORDS, TENTHS, seed=seed, stratify=True)
    assert lesions == make_split(RECORDS, TENTHS, seed=seed)  # there is one diagnosis


def test_unstratified_split_may_lack_a_rare_diagnosis() -> None:
    rare = {record.image_id for record in COMMON if record.diagnosis == "vasc"}
    assert any(not rare.intersection(make_split(COMMON, TENTHS, seed=seed)["test"]) for seed in range(5))


def test_stratifying_without_diagnoses_raises() -> None:
    records = [Record(f"I{i}", f"I{i}", "unknown", Path("i"), Path("m")) for i in range(20)]
    with pytest.raises(HamError, match=r"^data\.stratify: no image has a diagnosis"):
        make_split(records, TENTHS, seed=0, stratify=True)
