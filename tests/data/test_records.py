"""Files are paired by id in every layout, and never silently wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from ham_keras.data.records import Record, find_records
from ham_keras.errors import HamError


def lay(root: Path, *names: str) -> Path:
    """Make empty files: pairing looks at names alone."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def ids(root: Path) -> list[str]:
    return [record.image_id for record in find_records(root).records]


def test_kaggle_layout_with_both_tables(tmp_path: Path) -> None:
    lay(tmp_path, "images/ISIC_2.jpg", "images/ISIC_1.jpg")
    lay(tmp_path, "masks/ISIC_1_segmentation.png", "masks/ISIC_2_segmentation.png")
    (tmp_path / "GroundTruth.csv").write_text("image,MEL,NV,BCC\nISIC_1,0.0,1.0,0.0\nISIC_2,1.0,0.0,0.0\n")
    (tmp_path / "HAM10000_metadata.csv").write_text(
        "lesion_id,image_id,dx,dx_type\nHAM_7,ISIC_1,bkl,histo\nHAM_7,ISIC_2,,histo\n"
    )
    pairing = find_records(tmp_path)
    images, masks = tmp_path / "images", tmp_path / "masks"
    # dx counts for more than the one-hot columns, and these fill its gap.
    assert pairing.records == [
        Record("ISIC_1", "HAM_7", "bkl", images / "ISIC_1.jpg", masks / "ISIC_1_segmentation.png"),
        Record("ISIC_2", "HAM_7", "mel", images / "ISIC_2.jpg", masks / "ISIC_2_segmentation.png"),
    ]
    assert pairing.warnings() == []


def test_dataverse_layout_in_two_parts_with_a_quoted_tab_table(tmp_path: Path) -> None:
    lay(tmp_path, "HAM10000_images_part_1/ISIC_0024306.jpg", "HAM10000_images_part_2/ISIC_0029306.jpg")
    # Unpacking twice nests the folder in one of its own name.
    masks = "HAM10000_segmentations_lesion_tschandl/HAM10000_segmentations_lesion_tschandl"
    lay(tmp_path, f"{masks}/ISIC_0024306_segmentation.png", f"{masks}/ISIC_0029306_segmentation.png")
    (tmp_path / "HAM10000_metadata.tab").write_text(
        'lesion_id\timage_id\tdx\n"HAM_0000550"\t"ISIC_0024306"\t"nv"\n"HAM_0000551"\t"ISIC_0029306"\t"mel"\n'
    )
    records = find_records(tmp_path).records
    assert [(record.image_id, record.lesion_id, record.diagnosis) for record in records] == [
        ("ISIC_0024306", "HAM_0000550", "nv"),
        ("ISIC_0029306", "HAM_0000551", "mel"),
    ]
    assert records[1].image_path.parent.name == "HAM10000_images_part_2"


def test_isic_2018_layout_without_superpixels_and_texts(tmp_path: Path) -> None:
    photographs, truth = "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"
    lay(tmp_path, f"{photographs}/ISIC_1.jpg", f"{photographs}/ISIC_1_superpixels.png")
    lay(tmp_path, f"{photographs}/LICENSE.txt", f"{truth}/ISIC_1_segmentation.png")
    pairing = find_records(tmp_path)
    assert [(record.image_id, record.lesion_id, record.diagnosis) for record in pairing.records] == [
        ("ISIC_1", "ISIC_1", "unknown")
    ]
    assert pairing.images_without_mask == []
    assert pairing.warnings() == [
        f"1 of 1 images have no lesion_id in any table of {tmp_path}: each counts as a lesion of its own"
    ]


def test_ph2_layout_with_images_and_masks_in_one_tree(tmp_path: Path) -> None:
    cases = tmp_path / "PH2 Dataset images"
    for case in ("IMD002", "IMD013"):
        lay(cases / case, f"{case}_Dermoscopic_Image/{case}.bmp", f"{case}_lesion/{case}_lesion.bmp")
    lay(cases / "IMD002", "IMD002_roi/IMD002_R1_Label4.bmp")
    (tmp_path / "PH2_dataset.txt").touch()
    pairing = find_records(tmp_path)
    assert [(record.image_id, record.mask_path.name) for record in pairing.records] == [
        ("IMD002", "IMD002_lesion.bmp"), ("IMD013", "IMD013_lesion.bmp"),
    ]  # fmt: skip
    assert pairing.images_without_mask == pairing.masks_without_image == []


def test_folders_endings_and_ids_are_matched_without_regard_to_case(tmp_path: Path) -> None:
    lay(tmp_path, "Images/A.JPG", "Images/b.Jpeg", "Images/c.BMP", "Images/d.png")
    lay(tmp_path, "MASKS/a.png", "MASKS/B_LESION.bmp", "MASKS/c_Mask.PNG", "MASKS/d_segmentation.JPG")
    (tmp_path / "table.CSV").write_text("image_id,lesion_id\na,L1\nB,L1\n")
    records = find_records(tmp_path).records
    assert [(record.image_id, record.lesion_id) for record in records] == [
        ("A", "L1"), ("b", "L1"), ("c", "c"), ("d", "d"),
    ]  # fmt: skip
    assert [record.mask_path.name for record in records] == [
        "a.png", "B_LESION.bmp", "c_Mask.PNG", "d_segmentation.JPG",
    ]  # fmt: skip


def test_folders_that_differ_by_case_are_both_read(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "masks/a.png")
    if (tmp_path / "IMAGES").exists():
        pytest.skip("this file system does not tell upper from lower case")
    lay(tmp_path, "Images/b.jpg", "Masks/b.png")
    assert ids(tmp_path) == ["a", "b"]


def test_files_of_other_kinds_and_hidden_files_are_not_images(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "images/b.gif", "images/._a.jpg", "images/__MACOSX/a.jpg", "masks/a.png")
    assert ids(tmp_path) == ["a"]
    assert find_records(tmp_path).images_without_mask == []


def test_unpaired_files_are_left_out_and_counted(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "images/b.jpg", "images/c.jpg", "masks/a.png", "masks/d_mask.png")
    (tmp_path / "table.csv").write_text("image_id,lesion_id\na,L1\n")
    pairing = find_records(tmp_path)
    assert ids(tmp_path) == ["a"]
    assert pairing.images_without_mask == [tmp_path / "images/b.jpg", tmp_path / "images/c.jpg"]
    assert pairing.masks_without_image == [tmp_path / "masks/d_mask.png"]
    assert pairing.warnings() == [
        f"2 images have no mask and are left out, the first: {tmp_path / 'images/b.jpg'}",
        f"1 masks have no image and are left out, the first: {tmp_path / 'masks/d_mask.png'}",
    ]


def test_one_ending_is_taken_off_a_mask_so_that_it_cannot_meet_another_image(tmp_path: Path) -> None:
    lay(tmp_path, "images/case.jpg", "images/case_lesion.jpg", "masks/case_lesion_mask.png")
    pairing = find_records(tmp_path)
    assert [(record.image_path.name, record.mask_path.name) for record in pairing.records] == [
        ("case_lesion.jpg", "case_lesion_mask.png")
    ]
    assert pairing.images_without_mask == [tmp_path / "images/case.jpg"]


def test_a_mask_that_is_named_like_an_image_is_that_images(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "images/a_lesion.jpg", "masks/a.png", "masks/a_lesion.png")
    pairs = {record.image_path.name: record.mask_path.name for record in find_records(tmp_path).records}
    assert pairs == {"a.jpg": "a.png", "a_lesion.jpg": "a_lesion.png"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("images/a.jpg", "images/A.png"),
        ("images/a.jpg", "images/more/a.jpg"),
        ("HAM10000_images_part_1/a.jpg", "HAM10000_images_part_2/a.jpg"),
        ("masks/a.png", "masks/a_segmentation.png"),
    ],
)
def test_two_files_of_one_id_are_an_error_that_names_both(tmp_path: Path, first: str, second: str) -> None:
    lay(tmp_path, "images/other.jpg", "masks/other.png", first, second)
    with pytest.raises(HamError, match="claim the same id: keep one of them, or rename it") as error:
        find_records(tmp_path)
    assert first in str(error.value)
    assert second in str(error.value)


def test_no_pair_at_all_is_an_error(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "images/b.jpg", "masks/c.png")
    with pytest.raises(HamError, match=r"none of 2 images and 1 masks share an id; expected NAME\.jpg"):
        find_records(tmp_path)


@pytest.mark.parametrize(("present", "missing"), [("images/a.jpg", "masks"), ("masks/a.png", "images")])
def test_a_missing_folder_is_an_error_that_lists_the_known_names(tmp_path: Path, present: str, missing: str) -> None:
    lay(tmp_path, present)
    with pytest.raises(HamError, match=f"no folder of {missing}; expected one of: {missing}, ham10000_") as raised:
        find_records(tmp_path)
    assert f"`python -m ham_keras.data.download {tmp_path}`" in str(raised.value)
    assert "`make sample`, which needs no data" in str(raised.value)


def test_a_missing_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HamError, match="nowhere: no such data folder"):
        find_records(tmp_path / "nowhere")
