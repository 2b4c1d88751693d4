"""Pairing of images and masks by id in every layout, and its errors and warnings."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ham_keras.data import layouts
from ham_keras.data.known_duplicates import KNOWN_DUPLICATES
from ham_keras.data.records import Record, find_records, merge_duplicate_lesions
from ham_keras.errors import HamError


def lay(root: Path, *names: str) -> Path:
    """Create empty files: pairing only uses names."""
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
    # Unpacking twice nests the folder in another with the same name.
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


def test_isic_2018_layout_ignores_superpixels_and_text_files(tmp_path: Path) -> None:
    photographs, truth = "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"
    lay(tmp_path, f"{photographs}/ISIC_1.jpg", f"{photographs}/ISIC_1_superpixels.png")
    lay(tmp_path, f"{photographs}/LICENSE.txt", f"{truth}/ISIC_1_segmentation.png")
    pairing = find_records(tmp_path)
    assert [(record.image_id, record.lesion_id, record.diagnosis) for record in pairing.records] == [
        ("ISIC_1", "ISIC_1", "unknown")
    ]
    assert pairing.images_without_mask == []
    assert pairing.warnings() == [
        f"1 of 1 image has no lesion_id in any table of {tmp_path}: each counts as a separate lesion"
    ]


def test_ph2_layout_has_images_and_masks_in_one_tree(tmp_path: Path) -> None:
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


def test_case_of_folders_suffixes_and_ids_is_ignored(tmp_path: Path) -> None:
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
        pytest.skip("this file system ignores case")
    lay(tmp_path, "Images/b.jpg", "Masks/b.png")
    assert ids(tmp_path) == ["a", "b"]


def test_other_files_and_hidden_files_are_not_images(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "images/b.gif", "images/._a.jpg", "images/__MACOSX/a.jpg", "masks/a.png")
    assert ids(tmp_path) == ["a"]
    assert find_records(tmp_path).images_without_mask == []


def test_unpaired_files_are_skipped_and_counted(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "images/b.jpg", "images/c.jpg", "masks/a.png", "masks/d_mask.png")
    (tmp_path / "table.csv").write_text("image_id,lesion_id\na,L1\n")
    pairing = find_records(tmp_path)
    assert ids(tmp_path) == ["a"]
    assert pairing.images_without_mask == [tmp_path / "images/b.jpg", tmp_path / "images/c.jpg"]
    assert pairing.masks_without_image == [tmp_path / "masks/d_mask.png"]
    assert pairing.warnings() == [
        f"2 images have no mask and are skipped, the first: {tmp_path / 'images/b.jpg'}",
        f"1 mask has no image and is skipped, the first: {tmp_path / 'masks/d_mask.png'}",
    ]


def test_only_one_ending_is_removed_from_a_mask(tmp_path: Path) -> None:
    lay(tmp_path, "images/case.jpg", "images/case_lesion.jpg", "masks/case_lesion_mask.png")
    pairing = find_records(tmp_path)
    assert [(record.image_path.name, record.mask_path.name) for record in pairing.records] == [
        ("case_lesion.jpg", "case_lesion_mask.png")
    ]
    assert pairing.images_without_mask == [tmp_path / "images/case.jpg"]


def test_mask_with_the_name_of_an_image_belongs_to_it(tmp_path: Path) -> None:
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
def test_two_files_with_the_same_id_are_an_error_that_names_both(tmp_path: Path, first: str, second: str) -> None:
    lay(tmp_path, "images/other.jpg", "masks/other.png", first, second)
    with pytest.raises(HamError, match="have the same id: keep one of them, or rename it") as error:
        find_records(tmp_path)
    assert first in str(error.value)
    assert second in str(error.value)


def test_folder_without_pairs_is_an_error(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "images/b.jpg", "masks/c.png")
    with pytest.raises(HamError, match=r"none of 2 images and 1 mask share an id; expected NAME\.jpg"):
        find_records(tmp_path)


@pytest.mark.parametrize(("present", "missing"), [("images/a.jpg", "masks"), ("masks/a.png", "images")])
def test_missing_folder_is_an_error_that_lists_known_names(tmp_path: Path, present: str, missing: str) -> None:
    lay(tmp_path, present)
    with pytest.raises(HamError, match=f"no folder of {missing}; expected one of: {missing}, ham10000_") as raised:
        find_records(tmp_path)
    assert f"`python -m ham_keras.data.download {tmp_path}`" in str(raised.value)
    assert "run `make sample`" in str(raised.value)


def test_missing_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HamError, match="nowhere: no such data folder"):
        find_records(tmp_path / "nowhere")


def pairs(root: Path) -> list[tuple[str, str]]:
    return [(record.image_path.name, record.mask_path.name) for record in find_records(root).records]


ISIC_1 = ("ISIC_0000001.jpg", "ISIC_0000001_Segmentation.png")
ISIC_2 = ("ISIC_0000002.jpg", "ISIC_0000002_segmentation.png")
LAYOUTS = {
    "ISIC 2016": (
        [
            f"ISBI2016_ISIC_Part1_Training_Data/{ISIC_1[0]}",
            f"ISBI2016_ISIC_Part1_Training_GroundTruth/{ISIC_1[1]}",
            f"ISBI2016_ISIC_Part1_Test_Data/{ISIC_2[0]}",
            f"ISBI2016_ISIC_Part1_Test_GroundTruth/{ISIC_2[1]}",
        ],
        [ISIC_1, ISIC_2],
    ),
    "ISIC 2016, part 3B": (
        [f"ISBI2016_ISIC_Part3B_Training_Data/{name}" for name in ISIC_1],
        [ISIC_1],
    ),
    "ISIC 2017": (
        [
            f"ISIC-2017_Training_Data/{ISIC_1[0]}",
            "ISIC-2017_Training_Data/ISIC_0000001_superpixels.png",
            f"ISIC-2017_Training_Part1_GroundTruth/{ISIC_1[1]}",
            "ISIC-2017_Training_Part2_GroundTruth/ISIC_0000001_features.json",
            f"ISIC-2017_Test_v2_Data/{ISIC_2[0]}",
            f"ISIC-2017_Test_v2_Part1_GroundTruth/{ISIC_2[1]}",
        ],
        [ISIC_1, ISIC_2],
    ),
    "ISIC 2018, task 1, unpacked into folders of their own names, with the attributes of task 2": (
        [
            f"ISIC2018_Task1-2_Training_Input/ISIC2018_Task1-2_Training_Input/{ISIC_1[0]}",
            f"ISIC2018_Task1_Training_GroundTruth/ISIC2018_Task1_Training_GroundTruth/{ISIC_1[1]}",
            "ISIC2018_Task2_Training_GroundTruth_v3/ISIC_0000001_attribute_globules.png",
            f"ISIC2018_Task1-2_Test_Input/{ISIC_2[0]}",
            f"ISIC2018_Task1_Test_GroundTruth/{ISIC_2[1]}",
        ],
        [ISIC_1, ISIC_2],
    ),
    "ISIC 2018, task 3, with the masks of Dataverse": (
        [f"ISIC2018_Task3_Training_Input/{ISIC_1[0]}", f"HAM10000_segmentations_lesion_tschandl/{ISIC_1[1]}"],
        [ISIC_1],
    ),
    "U-Net's names": (["train/image/a.png", "train/label/a.png"], [("a.png", "a.png")]),
    "images in parts": (
        ["images_part_0/a.jpg", "images_part_1/b.jpg", "masks/a.png", "masks/b.png"],
        [("a.jpg", "a.png"), ("b.jpg", "b.png")],
    ),
    "Carvana": (["train/a.jpg", "train_masks/a_mask.png"], [("a.jpg", "a_mask.png")]),
    "PAD-UFES-20 with masks": (
        [
            "imgs_part_1/imgs_part_1/PAT_1_2_3.png",
            "imgs_part_2/PAT_4_5_6.png",
            "masks/PAT_1_2_3_mask.png",
            "masks/PAT_4_5_6_mask.png",
        ],
        [("PAT_1_2_3.png", "PAT_1_2_3_mask.png"), ("PAT_4_5_6.png", "PAT_4_5_6_mask.png")],
    ),
    "sides with folders": (
        ["train/images/a.jpg", "train/masks/a.png", "Val/Images/b.jpg", "Val/Masks/b_mask.png", "notes/c.txt"],
        [("a.jpg", "a.png"), ("b.jpg", "b_mask.png")],
    ),
    "folders with sides": (
        ["images/train/a.jpg", "images/test/b.jpg", "masks/train/a.png", "masks/test/b.png"],
        [("a.jpg", "a.png"), ("b.jpg", "b.png")],
    ),
    "folders named for their side": (
        ["train_images/a.jpg", "train_masks/a.png", "test-images/b.jpg", "test-masks/b.png"],
        [("a.jpg", "a.png"), ("b.jpg", "b.png")],
    ),
    "one flat folder": (
        ["a.jpg", "a_mask.png", "B.JPG", "b_Segmentation.PNG", "c.jpg", "c.jpg_mask.png", "d e.jpg", "d e-mask.png"],
        [
            ("a.jpg", "a_mask.png"),
            ("B.JPG", "b_Segmentation.PNG"),
            ("c.jpg", "c.jpg_mask.png"),
            ("d e.jpg", "d e-mask.png"),
        ],
    ),
    "a flat folder of each side": (
        ["train/a.jpg", "train/a_segmentation.png", "test/b.jpg", "test/b_lesion.png"],
        [("a.jpg", "a_segmentation.png"), ("b.jpg", "b_lesion.png")],
    ),
    "images and masks in the folder of images": (["images/a.jpg", "images/a_mask.png"], [("a.jpg", "a_mask.png")]),
    "images next to the mask folder": (["a.jpg", "b.jpg", "masks/a.png"], [("a.jpg", "a.png")]),
    "Pascal VOC, with the objects of its second mask": (
        [
            *("VOC2012/JPEGImages/a.jpg", "VOC2012/SegmentationClass/a.png", "VOC2012/Annotations/a.xml"),
            "VOC2012/ImageSets/Segmentation/train.txt",
        ],
        [("a.jpg", "a.png")],
    ),
    "nnU-Net": (
        [
            *("imagesTr/case_001_0000.png", "labelsTr/case_001.png", "dataset.json"),
            *("imagesTs/case_10000_0000.png", "labelsTs/case_10000.png"),
        ],
        [("case_001_0000.png", "case_001.png"), ("case_10000_0000.png", "case_10000.png")],
    ),
    "images named so": (
        [
            *("images/img_1.jpg", "images/Image2.jpg", "images/3_orig.jpg", "images/4.jpg", "images/image_5.jpg"),
            *("masks/mask_1.png", "masks/Mask2.png", "masks/3_contour.png", "masks/4 (mask).png", "masks/5.png"),
        ],
        [
            *(("3_orig.jpg", "3_contour.png"), ("4.jpg", "4 (mask).png"), ("Image2.jpg", "Mask2.png")),
            *(("image_5.jpg", "5.png"), ("img_1.jpg", "mask_1.png")),
        ],
    ),
    "a flat folder of images named so": (
        ["img_1.jpg", "mask_1.png", "2_image.jpg", "2_label.png", "A3.jpg", "A3mask.png"],
        [("2_image.jpg", "2_label.png"), ("A3.jpg", "A3mask.png"), ("img_1.jpg", "mask_1.png")],
    ),
    "names that others use": (
        ["imgs/a.jpg", "imgs/b.jpg", "Ground Truth/a.png", "Ground Truth/mask_b.png"],
        [("a.jpg", "a.png"), ("b.jpg", "mask_b.png")],
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("inside", ["", "data/", "My Data/data/"])
def test_layouts_in_the_root_and_inside_other_folders(tmp_path: Path, layout: str, inside: str) -> None:
    files, expected = LAYOUTS[layout]
    lay(tmp_path / ".hidden" / "root", *(f"{inside}{name}" for name in files), "readme.md")
    root = tmp_path / ".hidden" / "root"
    assert pairs(root) == expected
    assert not [group for group in find_records(root).problem_groups if group.kind != "no_lesion_column"]


@pytest.mark.parametrize("inside", ["", "PH2Dataset/", "archive/PH2Dataset/"])
def test_ph2_found_from_each_parent_folder(tmp_path: Path, inside: str) -> None:
    for case in ("IMD002", "IMD013"):
        cases = tmp_path / inside / "PH2 Dataset images" / case
        lay(cases, f"{case}_Dermoscopic_Image/{case}.bmp", f"{case}_lesion/{case}_lesion.bmp")
        lay(cases, f"{case}_roi/{case}_R1_Label4.bmp")
    expected = [("IMD002.bmp", "IMD002_lesion.bmp"), ("IMD013.bmp", "IMD013_lesion.bmp")]
    assert pairs(tmp_path) == pairs(tmp_path / inside / "PH2 Dataset images") == expected


def test_several_data_folders_are_an_error_that_names_them(tmp_path: Path) -> None:
    lay(tmp_path, "ham/images/a.jpg", "ham/masks/a.png")
    lay(tmp_path, "ph2/c/c_Dermoscopic_Image/c.bmp", "ph2/c/c_lesion/c_lesion.bmp")
    with pytest.raises(HamError, match=r"has several data folders in it, .*ham and .*ph2; name one of them"):
        find_records(tmp_path)


BY_PATIENT = {
    "a folder for each patient": ["{}/DSC1.jpg", "{}/DSC1_mask.png"],
    "folders of images and masks": ["images/{}/DSC1.jpg", "masks/{}/DSC1.png"],
    "masks in the tree of images": ["images/{}/DSC1.jpg", "images/{}/DSC1_mask.png"],
    "folders inside those of patients": ["images/{}/left/DSC1.jpg", "masks/{}/left/DSC1.png"],
    "folders of images and masks for each patient": ["{}/images/DSC1.jpg", "{}/masks/DSC1_mask.png"],
    "visits": ["{}/left/DSC1.jpg", "{}/left/DSC1_mask.png"],
    "folders of cases": ["{}/DSC1_Dermoscopic_Image/DSC1.bmp", "{}/DSC1_lesion/DSC1_lesion.bmp"],
}


@pytest.mark.parametrize("layout", BY_PATIENT)
@pytest.mark.parametrize("inside", ["", "data/"])
def test_names_that_repeat_in_folders_are_ids_with_the_folder(tmp_path: Path, layout: str, inside: str) -> None:
    lay(tmp_path, *(inside + name.format(patient) for name in BY_PATIENT[layout] for patient in ("p1", "P2")))
    records = find_records(tmp_path).records
    assert [record.image_id.split("/")[0] for record in records] == ["p1", "P2"]
    assert {record.image_id.split("/")[-1] for record in records} == {"DSC1"}
    for record in records:
        assert f"/{record.image_id.split('/')[0]}/" in str(record.image_path)
        assert f"/{record.image_id.split('/')[0]}/" in str(record.mask_path)
        assert record.lesion_id == record.image_id
    base = tmp_path / inside
    (base / "table.csv").write_text("image,lesion_id\n" + "".join(f"x/{each.image_id}.jpg,L1\n" for each in records))
    assert {record.lesion_id for record in find_records(tmp_path).records} == {"L1"}


def test_subsets_keep_their_folders_only_where_names_repeat(tmp_path: Path) -> None:
    lay(tmp_path, "train/images/a.jpg", "train/masks/a.png", "val_images/a.jpg", "val_masks/a.png")
    assert ids(tmp_path) == ["train/a", "val/a"]
    (tmp_path / "val_images/a.jpg").rename(tmp_path / "val_images/b.jpg")
    (tmp_path / "val_masks/a.png").rename(tmp_path / "val_masks/b.png")
    assert ids(tmp_path) == ["a", "b"]


def test_folders_of_patients_are_told(tmp_path: Path) -> None:
    lay(tmp_path, "p1/a.jpg", "p1/a_mask.png", "p2/b.jpg", "p2/b_mask.png", "p3/c.jpg")
    pairing = find_records(tmp_path)
    assert [record.image_id for record in pairing.records] == ["a", "b"]
    assert pairing.images_without_mask == [tmp_path / "p3/c.jpg"]
    (group,) = pairing.problem_groups
    assert group.warning == (
        f"2 folders of images and masks are read as one data folder: {tmp_path / 'p1'} to p2; to read only one of "
        f"them, name it"
    )


def test_a_folder_for_each_patient_with_the_same_two_names(tmp_path: Path) -> None:
    lay(tmp_path, *(f"{patient}/{name}" for patient in ("p1", "p2") for name in ("image.png", "mask.png")))
    assert ids(tmp_path) == ["p1/image", "p2/image"]


def test_a_mask_without_a_certain_image_is_not_paired(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "images/img_7.jpg", "images/7_orig.jpg", "masks/a.png", "masks/mask_7.png")
    assert ids(tmp_path) == ["a"]
    # A close-up is another photograph than the one that was outlined.
    lay(tmp_path, "images/b_lesion.jpg", "masks/b_mask.png")
    assert ids(tmp_path) == ["a"]


def test_copies_of_photographs_in_another_folder_are_an_error(tmp_path: Path) -> None:
    for seed in range(3):
        spots = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8))
        for side in (256, 512):
            lay(tmp_path, f"{side}/images/{seed}.jpg", f"{side}/masks/{seed}.png")
            spots.resize((side, side), Image.Resampling.BICUBIC).save(tmp_path / f"{side}/images/{seed}.jpg")
    with pytest.raises(HamError, match=r"256/images/0\.jpg and .*512/images/0\.jpg are the same photograph"):
        find_records(tmp_path)
    for seed in range(3):
        (tmp_path / f"256/images/{seed}.jpg").replace(tmp_path / f"256/images/{(seed + 1) % 3}_.jpg")
        (tmp_path / f"256/masks/{seed}.png").replace(tmp_path / f"256/masks/{(seed + 1) % 3}_.png")
    for path in (tmp_path / "256").glob("*/*_.*"):
        path.replace(path.with_stem(path.stem[:-1]))
    assert len(find_records(tmp_path).records) == 6  # names that repeat for different photographs


@pytest.mark.parametrize(
    "folders", [("Bilder", "Masken"), ("x/train", "y/train"), ("images", "drawn"), ("rgb", "mask")]
)
def test_two_folders_of_other_names_are_recognised_by_their_pixels(tmp_path: Path, folders: tuple[str, str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    drawn = np.zeros((48, 64), np.uint8)
    drawn[10:30, 20:40] = 255
    for name in ("a", "b"):
        lay(tmp_path, *(f"{folder}/{name}.png" for folder in folders))
        Image.fromarray(noise + np.uint8(ord(name))).save(tmp_path / folders[0] / f"{name}.png")
        Image.fromarray(drawn).save(tmp_path / folders[1] / f"{name}.png")
    pairing = find_records(tmp_path)
    assert [(record.image_id, record.mask_path.parent) for record in pairing.records] == [
        ("a", tmp_path / folders[1]),
        ("b", tmp_path / folders[1]),
    ]
    images, masks = (tmp_path / Path(folder).parts[0] for folder in folders)
    (group,) = pairing.problem_groups
    assert group.warning == f"{images} is read as the folder of images and {masks} as that of masks, by their pixels"
    Image.fromarray(noise).save(tmp_path / folders[1] / "c.png")
    with pytest.raises(HamError, match="no folder of"):
        find_records(tmp_path)


def test_names_that_repeat_in_folders_recognised_by_their_pixels(tmp_path: Path) -> None:
    drawn = np.zeros((48, 64), np.uint8)
    drawn[10:30, 20:40] = 255
    for seed, subset in enumerate(("train", "val")):
        lay(tmp_path, f"{subset}/img/a.png", f"{subset}/ann/a.png")
        spots = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(spots).resize((64, 48)).save(tmp_path / f"{subset}/img/a.png")
        Image.fromarray(drawn).save(tmp_path / f"{subset}/ann/a.png")
    pairing = find_records(tmp_path)
    assert [record.image_id for record in pairing.records] == ["train/a", "val/a"]
    assert pairing.problem_groups[0].warning.endswith("by their pixels; so are 2 further folders")


def test_images_beside_the_only_data_folder_are_told(tmp_path: Path) -> None:
    lay(tmp_path, "p1/a.jpg", "p1/a_mask.png", "p1/more/b.jpg", "p2/c.jpg", "notes/d.txt")
    (group,) = find_records(tmp_path).problem_groups
    assert group.kind == "unread_folder"
    assert {problem.path.name: problem.detail for problem in group.problems} == {"more": "1 image", "p2": "1 image"}


def test_images_beside_subsets_are_told(tmp_path: Path) -> None:
    lay(tmp_path, "test/a.jpg", "test/a_mask.png", "p2/a.jpg", "p2/a_mask.png")
    (group,) = find_records(tmp_path).problem_groups
    assert (group.kind, [problem.path.name for problem in group.problems]) == ("unread_folder", ["p2"])


def test_links_that_lead_nowhere_are_skipped_and_counted(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "masks/a.png")
    for name, target in {
        "images/self": "self",
        "images/b.jpg": "b.jpg",
        "images/one": "two",
        "images/two": "one",
        "masks/c.png": "/nowhere/c.png",
        "table.csv": "table.csv",
    }.items():
        (tmp_path / name).symlink_to(target)
    pairing = find_records(tmp_path)
    assert [record.image_id for record in pairing.records] == ["a"]
    (group,) = pairing.problem_groups
    assert (group.kind, len(group.problems)) == ("broken_link", 6)
    assert group.warning == (f"6 links lead nowhere and are skipped, the first: {tmp_path / 'table.csv'} to table.csv")


def test_a_link_to_a_missing_folder_of_images_is_named(tmp_path: Path) -> None:
    lay(tmp_path, "masks/a.png")
    (tmp_path / "images").symlink_to("/nowhere/images")
    with pytest.raises(HamError, match=r"no folder of images; .*1 link leads nowhere .*images to /nowhere/images"):
        find_records(tmp_path)


def test_a_photograph_with_the_name_of_a_mask_is_told(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    drawn = np.zeros((48, 64), np.uint8)
    drawn[10:30, 20:40] = 255
    for name in ("a.jpg", "a_mask.jpg", "b.jpg", "c.jpg"):
        Image.fromarray(noise).save(tmp_path / name)
    Image.fromarray(noise[..., 0]).save(tmp_path / "d_mask.jpg")
    Image.fromarray(drawn).save(tmp_path / "b_mask.png")
    Image.fromarray(drawn).convert("RGB").save(tmp_path / "c_mask.jpg")
    assert pairs(tmp_path) == [("b.jpg", "b_mask.png"), ("c.jpg", "c_mask.jpg")]
    pairing = find_records(tmp_path)
    assert [path.name for path in pairing.images_without_mask] == ["a.jpg", "a_mask.jpg", "d_mask.jpg"]
    (told,) = [group for group in pairing.problem_groups if group.kind == "named_like_mask"]
    assert told.warning == (f"2 files are named like masks but are photographs, the first: {tmp_path / 'a_mask.jpg'}")


def test_only_the_first_generic_mask_folder_is_read(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "masks/a.png", "labels/a.png", "segmentations/a_mask.png")
    assert find_records(tmp_path).records[0].mask_path == tmp_path / "masks/a.png"


def test_byte_identical_files_are_read_once(tmp_path: Path) -> None:
    lay(tmp_path, "masks/a.png", "masks/b.png")
    for name in ("HAM10000_images_part_1/a.jpg", "ham10000_images_part_1 (2)/a.jpg", "HAM10000_images_part_2/b.jpg"):
        lay(tmp_path, name)
        (tmp_path / name).write_bytes(Path(name).stem.encode() * 100_000)
    pairing = find_records(tmp_path)
    assert ids(tmp_path) == ["a", "b"]
    (copy,) = pairing.problem_groups
    assert (copy.kind, len(copy.problems)) == ("copy", 1)
    assert copy.warning.startswith("1 file is a duplicate and read once, the first: ")
    twice = tmp_path / "ham10000_images_part_1 (2)/a.jpg"
    twice.write_bytes(b"a" * 50_000 + b"b" + b"a" * 49_999)
    with pytest.raises(HamError, match=r"part_1.*a\.jpg and .*part_1.*a\.jpg have the same id"):
        find_records(tmp_path)


def test_error_without_pairs_shows_the_ids_tried(tmp_path: Path) -> None:
    lay(tmp_path, "images/photo 7.jpg", "images/b.HEIC", "masks/outline_7_mask.png")
    with pytest.raises(HamError) as raised:
        find_records(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path}: none of 1 image and 1 mask share an id; expected NAME.jpg and NAME_segmentation.png or "
        f"NAME.png; tried the image {tmp_path / 'images/photo 7.jpg'} as 'photo 7'; tried the mask "
        f"{tmp_path / 'masks/outline_7_mask.png'} as 'outline_7'; 1 file has an unsupported format (.heic), the "
        f"first: {tmp_path / 'images/b.HEIC'}; save them as JPEG or PNG"
    )


def test_files_of_unsupported_formats_are_counted(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "masks/a.png", "images/notes.txt", "images/Thumbs.db", "images/LICENSE")
    kinds = ["b.heic", "c.DCM", "d.jp2", "e.avif", "f.NEF", "g.nii.gz"]
    lay(tmp_path, *(f"images/{name}" for name in kinds), "masks/h.gif")
    (tmp_path / "images" / "IM000001").write_bytes(bytes(128) + b"DICM" + bytes(99))
    (group,) = find_records(tmp_path).problem_groups
    assert group.kind == "unread_kind"
    assert sorted(problem.path.name for problem in group.problems) == sorted([*kinds, "h.gif", "IM000001"])
    assert group.warning.startswith("8 files have unsupported formats (.avif, .dcm, .gif, .gz, .heic, .jp2, .nef")


def test_hidden_and_system_folders_are_skipped(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "masks/a.png")
    lay(tmp_path, "images/.cache/a.jpg", "images/@eaDir/a.jpg", ".images/b.jpg", "masks/.ipynb_checkpoints/a.png")
    assert ids(tmp_path) == ["a"]


def test_links_are_followed_without_cycles(tmp_path: Path) -> None:
    lay(tmp_path / "store", "p1/a.jpg", "p2/b.jpg")
    lay(tmp_path / "data", "images/c.jpg", "masks/a.png", "masks/b.png", "masks/c.png")
    (tmp_path / "data/images/linked").symlink_to(tmp_path / "store")
    (tmp_path / "data/images/again").symlink_to(tmp_path / "store/p1")
    (tmp_path / "store/p2/back").symlink_to(tmp_path / "data")
    assert ids(tmp_path / "data") == ["a", "b", "c"]
    (tmp_path / "alias").symlink_to(tmp_path / "data")
    assert ids(tmp_path / "alias") == ["a", "b", "c"]
    lay(tmp_path / "around", "data/images/d.jpg", "data/masks/d.png")
    (tmp_path / "around/latest").symlink_to(tmp_path / "around/data")
    (tmp_path / "around/here").symlink_to(tmp_path / "around")
    assert ids(tmp_path / "around") == ["d"]


def test_names_in_different_unicode_forms_match(tmp_path: Path) -> None:
    composed, decomposed = "l\xe9sion_1", "le\u0301sion_1"
    lay(tmp_path, f"images/{decomposed}.jpg", f"masks/{composed}_segmentation.png")
    (tmp_path / "table.csv").write_text(f"image_id,lesion_id\n{composed},L1\n")
    (record,) = find_records(tmp_path).records
    assert (record.image_id, record.lesion_id) == (composed, "L1")


def test_names_that_are_not_utf8_are_skipped_and_reported(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "masks/a.png", os.fsdecode(b"images/caf\xe9.jpg"))
    pairing = find_records(tmp_path)
    assert [record.image_id for record in pairing.records] == ["a"]
    assert pairing.warnings()[-1].endswith(r"the first: " + str(tmp_path) + r"/images/caf\xe9.jpg; rename them")


def test_mask_with_the_stem_of_its_image_is_recognized_by_its_pixels(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    drawn = np.zeros((48, 64), np.uint8)
    drawn[10:30, 20:40] = 255
    Image.fromarray(noise).save(tmp_path / "a.png")
    Image.fromarray(drawn).save(tmp_path / "a.bmp")
    assert pairs(tmp_path) == [("a.png", "a.bmp")]


def test_a_photograph_named_like_a_mask_is_a_photograph(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    drawn = np.zeros((48, 64), np.uint8)
    drawn[10:30, 20:40] = 255
    for name in ("P1.jpg", "P1_lesion.jpg", "P2.jpg", "P3.jpg", "P3_lesion.jpg"):
        Image.fromarray(noise + np.uint8(len(name))).save(tmp_path / name)
    for name in ("P1_mask.png", "P2_lesion.png"):
        Image.fromarray(drawn).save(tmp_path / name)
    assert pairs(tmp_path) == [("P1.jpg", "P1_mask.png"), ("P2.jpg", "P2_lesion.png")]
    unpaired = [path.name for path in find_records(tmp_path).images_without_mask]
    assert unpaired == ["P1_lesion.jpg", "P3.jpg", "P3_lesion.jpg"]


def test_folders_that_are_not_read_beside_others_are_reported(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "masks/a.png", "image/b.jpg", "image/c.jpg", "mask/b.png", "labels/a.txt")
    (group,) = find_records(tmp_path).problem_groups
    assert group.kind == "unread_folder"
    assert group.warning.endswith(f"{tmp_path / 'image'} (2 images), {tmp_path / 'mask'} (1 image)")


@pytest.mark.parametrize("mask", ["mask_a.png", "a_binary.png"])
def test_other_names_of_masks_in_a_flat_folder(tmp_path: Path, mask: str) -> None:
    lay(tmp_path, "a.jpg", "b.jpg", mask)
    assert pairs(tmp_path) == [("a.jpg", mask)]


def test_a_flat_folder_without_masks_is_an_error_that_names_its_images(tmp_path: Path) -> None:
    lay(tmp_path, "a.jpg", "a_drawn.png")
    with pytest.raises(HamError, match=r"it has 2 files: 1 \.jpg, 1 \.png \(a\.jpg, a_drawn\.png\), none named so"):
        find_records(tmp_path)


def test_an_error_without_folders_of_images_names_what_is_there(tmp_path: Path) -> None:
    lay(tmp_path, *(f"{number}.heic" for number in range(5)), "0_mask.png", "scans/x.dcm")
    seen = r"it has 1 folder \(scans\) and 6 files: 5 \.heic, 1 \.png \(0\.heic, 0_mask\.png, 1\.heic, \.\.\."
    with pytest.raises(HamError, match=seen + r".*5 files have unsupported formats \(\.heic\)"):
        find_records(tmp_path)


@pytest.mark.parametrize("mask", ["train_masks/a_mask.gif", "train_masks/a_mask.png"])
def test_images_in_a_subset_beside_its_masks(tmp_path: Path, mask: str) -> None:
    lay(tmp_path, "train/a.jpg", "train_masks/b_mask.png", "train/b.jpg", mask, "test/c.jpg")
    pairing = find_records(tmp_path)
    assert [record.image_id for record in pairing.records] == (["a", "b"] if mask.endswith("png") else ["b"])


def test_images_beside_the_folders_that_are_read_are_told(tmp_path: Path) -> None:
    lay(tmp_path, "images/a.jpg", "masks/a.png", "images2/b.jpg", "masks2/b.png", "new/c.jpg", "notes/d.txt")
    lay(tmp_path, "e.jpg", "f.jpg", "ISIC2018_Task2_Training_GroundTruth/a_attribute.png")
    folders, loose = find_records(tmp_path).problem_groups
    assert [problem.path.name for problem in folders.problems] == ["images2", "masks2", "new"]
    assert (loose.kind, [problem.path.name for problem in loose.problems]) == ("loose_image", ["e.jpg", "f.jpg"])


def test_known_duplicates_and_their_lesions_are_merged(tmp_path: Path) -> None:
    names = ("ISIC_0027820", "ISIC_0028209", "ISIC_0000001", "ISIC_0000002")
    lay(tmp_path, *(f"images/{name}.jpg" for name in names), *(f"masks/{name}_segmentation.png" for name in names))
    (tmp_path / "table.csv").write_text(
        "image_id,lesion_id\nISIC_0027820,HAM_2\nISIC_0028209,HAM_1\nISIC_0000001,HAM_2\nISIC_0000002,HAM_3\n"
    )
    pairing = find_records(tmp_path)
    assert {record.image_id: record.lesion_id for record in pairing.records} == {
        "ISIC_0027820": "HAM_1", "ISIC_0028209": "HAM_1", "ISIC_0000001": "HAM_1", "ISIC_0000002": "HAM_3",
    }  # fmt: skip
    (line,) = pairing.warnings()
    assert line.startswith(
        "1 pair of images shows one lesion under two lesion_ids and count as one lesion, e.g. ISIC_00"
    )
    # They are also merged without a table.
    (tmp_path / "table.csv").unlink()
    lesions = {record.image_id: record.lesion_id for record in find_records(tmp_path).records}
    assert lesions["ISIC_0027820"] == lesions["ISIC_0028209"]


def test_known_duplicates_are_found_in_folders_and_with_a_suffix() -> None:
    first, second = KNOWN_DUPLICATES[0]
    for form in ("site1/{}", "{}_downsampled", "a/b/{}-2"):
        ids = {form.format(name).lower(): name for name in (first, second, "ISIC_0000001")}
        assert len(merge_duplicate_lesions(ids)) == 1
        assert len(set(ids.values())) == 2
    longer = {f"{name.lower()}7": name for name in (first, second)}
    assert merge_duplicate_lesions(longer) == []


def test_known_duplicates_are_18_pairs_of_36_images() -> None:
    assert len(KNOWN_DUPLICATES) == 18
    assert len({image for pair in KNOWN_DUPLICATES for image in pair}) == 36
    assert all(first < second for first, second in KNOWN_DUPLICATES)


def test_docs_list_every_layout() -> None:
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "data.md").read_text(encoding="utf-8")
    for layout in (layouts.GENERIC, *layouts.LAYOUTS):
        assert layout.source in reference
        for name in (*layout.images, *layout.masks):
            assert f"`{name}`" in reference


@pytest.mark.real_data
def test_real_data_has_expected_pairs_and_lesions(real_root: Path) -> None:
    pairing = find_records(real_root)
    assert len(pairing.records) == 5078
    assert len({record.lesion_id for record in pairing.records}) == 3772 - 5  # minus five known duplicates
    assert [group.kind for group in pairing.problem_groups] == ["known_duplicate"]
    for name, count in ("isic2018", 326), ("pad_ufes", 416):
        if (real_root.parent / name).is_dir():
            assert len(find_records(real_root.parent / name).records) == count
