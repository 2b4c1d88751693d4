"""Groups of images by the columns of tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from ham_keras.data.properties import group_values, order_of, own_properties, read_properties
from ham_keras.data.records import find_records
from ham_keras.errors import HamError

IDS = [f"ISIC_{i:07d}" for i in range(8)]


def test_labels_are_groups_and_numbers_are_divided_at_their_quartiles(tmp_path: Path) -> None:
    ratings = tmp_path / "ratings.csv"
    lines = [f"{image_id},5,{0.2 * i:.1f},{f'{i % 2}.0' if i else 'NaN'}" for i, image_id in enumerate(IDS)]
    ratings.write_text("\n".join(["image_id,raters,mean_rating,ruler", *lines, "ISIC_9999999,5,9,0"]))
    found = read_properties([ratings], IDS)
    assert found.keys() == {"mean_rating", "ruler"}  # all have 5 raters
    groups = [found["mean_rating"][image_id] for image_id in IDS]
    assert groups == [
        "below 0.4", "below 0.4", "from 0.4 to below 0.8", "from 0.4 to below 0.8",
        "from 0.8 to below 1", "from 1", "from 1", "from 1",
    ]  # fmt: skip
    assert found["ruler"] == {image_id: str(i % 2) for i, image_id in enumerate(IDS) if i}


def test_what_makes_no_groups() -> None:
    assert group_values({"a": "x", "b": "x"}) is None  # one value
    assert group_values({"a": "x", "b": "y", "c": ""}) is None  # all different
    assert group_values({str(i): f"PAT_{i}" for i in range(50)}) is None  # ids
    assert group_values({str(i): f"site {i % 10}" for i in range(50)}) is not None
    assert group_values({str(i): f"{i}" if i else "inf" for i in range(9)}) is None


def test_groups_in_order() -> None:
    groups = ["from 4", "below 0.4", "from 0.4 to below 4", "unclear", "10% to 20%", "0% to 5%", "back"]
    expected = ["0% to 5%", "below 0.4", "from 0.4 to below 4", "from 4", "10% to 20%", "back", "unclear"]
    assert sorted(groups, key=order_of) == expected
    assert sorted(["6", "1", "2"], key=order_of) == ["1", "2", "6"]


def test_tables_of_the_data_folder(phantoms: Path) -> None:
    ids = [record.image_id for record in find_records(phantoms).records]
    found = own_properties(phantoms, ids)
    assert {"sex", "dx_type"} <= found.keys() and not found.keys() & {"lesion_id", "dx", "image_id", "MEL"}
    assert set(found["sex"].values()) == {"male", "female"} and found["sex"].keys() == set(ids)


def test_tables_that_do_not_help_are_an_error(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    with pytest.raises(HamError, match=r"table\.csv: cannot be read: No such file"):
        read_properties([table], IDS)
    table.write_text("image_id,rating\nother,1\nanother,2\n")
    with pytest.raises(HamError, match=r"table\.csv: names none of these 8 images; expected a column image_id"):
        read_properties([table], IDS)
    table.write_text(f"image_id,rating\n{IDS[0]},1\n{IDS[1]},1\n")
    with pytest.raises(HamError, match=r"table\.csv: no column makes groups of these images"):
        read_properties([table], IDS)


def test_columns_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for name in ("first", "second"):
        cells = [f"{image_id},{i % 2}" for i, image_id in enumerate(IDS)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["image_id,hair", *cells]))
    assert read_properties([tmp_path / "first.csv", tmp_path / "second.csv"], IDS).keys() == {"hair", "second:hair"}
